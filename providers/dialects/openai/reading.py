"""The parts of OpenAI's chunks, and what the vendors that copy it put there."""

from collections.abc import Iterable, Mapping

import orjson
from attrs import evolve

from providers.chat import NOTHING, Choice, Chunk, Delta, ToolCallDelta, Usage
from providers.dialects.endings import first_number, object_in
from providers.dialects.tolerant import mended
from providers.dialects.upstream_errors import error_in
from providers.errors import ProviderError
from providers.json_types import JSON, JSONMapping

KNOWN_IN_CHUNK = frozenset(
    ("id", "object", "created", "model", "choices", "usage", "obfuscation", "provider")
)
KNOWN_IN_USAGE = frozenset(
    (
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "input_tokens",
        "output_tokens",
    )
)
# How many counts most have, and no more.
COUNTS = 3
# The types of parts that are text; None: a part that names no type.
TEXT_PARTS = (None, "text", "output_text")
# Seconds since 1970; more is no time of this century or the next.
MAX_TIME = 2**33


def error_of(payload: JSON) -> ProviderError | None:
    """Return the error that a chunk carries, also beside its choices, if it does."""
    error = error_in(payload)
    if error is None and "x_groq" in payload:
        # Why Groq has stopped a stream early, whatever the finish_reason says.
        why = payload["x_groq"].get("error") if payload["x_groq"] else None
        error = error_in({"error": why}) if why else None
    return error


def chunk_of(payload: JSONMapping, choices: tuple[Choice, ...]) -> Chunk:
    """Make the chunk of what is no choice's, less the usage."""
    name, model = payload.get("id"), payload.get("model")
    return Chunk(
        # Nothing hangs on a name that is none.
        id=name if name and type(name) is str else None,
        created=time_of(payload.get("created")),
        model=model if model and type(model) is str else None,
        choices=choices,
        extra=rest_of(payload, KNOWN_IN_CHUNK),
    )


def usage_of(payload: JSONMapping) -> Usage | None:
    """Return the usage at the top, in `x_groq` or in a choice, if there is any."""
    usage = payload.get("usage") or object_in(payload.get("x_groq"), "usage")
    if not usage:
        choices: Iterable[JSON] = payload.get("choices") or ()
        usage = next((c["usage"] for c in choices if c.get("usage")), None)
    return _usage(usage) if usage else None


def _usage(usage: JSONMapping) -> Usage:
    """Read counts under OpenAI's names, or Anthropic's."""
    prompt, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
    total = usage.get("total_tokens")
    if (
        len(usage) == COUNTS
        and total
        and type(prompt) is type(made) is type(total) is int
    ):
        return Usage(prompt_tokens=prompt, completion_tokens=made, total_tokens=total)
    prompt = first_number(usage, "prompt_tokens", "input_tokens")
    completion = first_number(usage, "completion_tokens", "output_tokens")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=first_number(usage, "total_tokens") or prompt + completion,
        extra=rest_of(usage, KNOWN_IN_USAGE),
    )


def readable_usage(payload: JSONMapping) -> Usage | None:
    """
    Return the usage of an answer that is passed on as it came; None where it counts no
    tokens, or nobody can read it.
    """
    counts = payload.get("usage")
    try:
        usage = _usage(counts) if isinstance(counts, dict) else None
    except TypeError:
        return None
    return usage if usage is not None and usage.total_tokens else None


def said_in(choice: JSONMapping) -> JSONMapping:
    """Return the message, or the text, that is in the place of a stream's delta."""
    said: JSONMapping = choice.get("message") or NOTHING
    return said or {"content": choice.get("text")}


def says(delta: JSONMapping) -> bool:
    """Whether a delta says anything but whose it is."""
    return any(value for name, value in delta.items() if name != "role")


def with_calls(delta: Delta, calls: Iterable[ToolCallDelta]) -> Delta:
    """Return a delta with more pieces of calls, after its own."""
    return evolve(delta, tool_calls=(*delta.tool_calls, *calls))


def index_of(value: JSON) -> int:
    """Return a choice's number; some vendors, with one choice only, leave it out."""
    if value is None or type(value) is int:
        return value or 0
    raise TypeError(f"an index expected, not {type(value).__name__}")


def call_index(value: JSON) -> int | None:
    """Return the number of a tool call's piece, None if it has none."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return value if type(value) is int else None


def time_of(value: JSON) -> int | None:
    """Return a time that JSON has room for, or None."""
    if type(value) is int or type(value) is float:
        return int(value) if 0 <= value < MAX_TIME else None
    return None


def rest_of(payload: JSONMapping, known: frozenset[str]) -> JSONMapping:
    """Return the fields that are not *known*, less those with nothing in them."""
    if payload.keys() <= known:
        return NOTHING
    return {
        name: value
        for name, value in payload.items()
        if name not in known and value is not None
    }


def content_of(content: JSON) -> tuple[str | None, str | None]:
    """Split Mistral's list of parts into what is said and what is thought."""
    if isinstance(content, Mapping):
        content = [content]  # the one part that there is
    if not isinstance(content, list):
        return text_of(content), None
    parts = [part for part in content if isinstance(part, Mapping)]
    thought = "".join(
        _text_in(part.get("thinking")) for part in parts if part.get("type") != "text"
    )
    return _texts(content) or None, thought or None


def _text_in(value: JSON) -> str:
    """Return a text, or the texts of a list of parts, of whatever types they are."""
    if isinstance(value, str):
        return value
    return _texts(value) if isinstance(value, list) else ""


def _texts(parts: Iterable[JSON]) -> str:
    """Join what is text among parts; those of other types are passed over."""
    return "".join(
        (part if isinstance(part, str) else text_of(part.get("text"))) or ""
        for part in parts
        if isinstance(part, str)
        or (isinstance(part, Mapping) and part.get("type") in TEXT_PARTS)
    )


def thought_of(value: JSON) -> str | None:
    """Return a thought, which may be a list of parts as well."""
    return _texts(value) or None if isinstance(value, list) else text_of(value)


def text_of(value: JSON) -> str | None:
    """Return a text, None for one with nothing in it."""
    if value is None or isinstance(value, str):
        return value or None
    raise TypeError(f"text expected, not {type(value).__name__}")


def object_of(value: JSON) -> JSONMapping | None:
    """Return an object, or None."""
    if value is None or isinstance(value, Mapping):
        return value
    raise TypeError(f"an object expected, not {type(value).__name__}")


def arguments_of(value: JSON) -> str | None:
    """Return JSON text; some vendors send the object itself."""
    if isinstance(value, Mapping):
        return orjson.dumps(mended(value)).decode()
    return text_of(value)
