"""What the dialects of another shape need to take an OpenAI-shaped request apart."""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

from providers.chat import ChatRequest, ContentPart, Message, ToolCall
from providers.errors import ProviderRefusedRequest, not_called
from providers.json_types import JSON, JSONMapping, JSONObject

from .arguments import argument_object

# Fields that OpenAI's reference calls best effort, or that change no answer: upstreams
# that have no such thing may be asked without.
HINTS = frozenset(
    (
        "metadata",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "user",
        "verbosity",
    )
)
# The fields with which a client would notice that they were not carried.
BINDING = frozenset(
    (
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "modalities",
        "n",
        "presence_penalty",
        "response_format",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "web_search_options",
    )
)
# What these say by default, so that saying it asks for nothing.
NEUTRAL: Mapping[str, tuple[JSON, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
    "tool_choice": ("none", "auto"),
}


def refused(message: str) -> ProviderRefusedRequest:
    """Make the error of a dialect that can't say what a request asks for."""
    return not_called(
        ProviderRefusedRequest(
            message, phase="connect", status=400, upstream_code="unsupported_by_dialect"
        )
    )


def check_carried(request: ChatRequest, carried: frozenset[str], api: str) -> None:
    """
    Raise if *request* asks for what a dialect that has *carried* only can't say.

    Hints are left out without a word, as are fields that are not OpenAI's own.
    """
    check_translated(request, api)
    without(request.body, sorted(BINDING - carried), api)


def check_translated(request: ChatRequest, api: str) -> None:
    """Raise if *request* came in another format, and has what only that can say."""
    if request.native is not None and request.native.only:
        raise refused(f"{api} has nothing for {request.native.only}")


def without(body: JSONMapping, names: Iterable[str], api: str) -> JSONObject:
    """Return *body* less the fields *names*; raise if it would be missed: no hint."""
    left = dict(body)
    for name in names:
        value = left.pop(name, None)
        asks = value not in (None, [], {}) and value not in NEUTRAL.get(name, ())
        if asks and name not in HINTS:
            raise refused(f"{api} has nothing for '{name}'")
    return left


def system_and_turns(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    """Split the system's and developer's leading messages, as one text, off."""
    for i, message in enumerate(messages):
        if message.role not in ("system", "developer"):
            return "\n\n".join(text_of(m) for m in messages[:i]), messages[i:]
    return "\n\n".join(text_of(message) for message in messages), ()


def parts_of(message: Message) -> tuple[ContentPart, ...]:
    """Return a message's content as parts, empty texts left out."""
    if isinstance(message.content, str):
        whole = ContentPart(type="text", text=message.content)
        return (whole,) if message.content else ()
    parts = message.content or ()
    return tuple(part for part in parts if part.type != "text" or part.text)


def text_of(message: Message) -> str:
    """Return the text of a message, less all else."""
    texts = (part.text or part.refusal for part in parts_of(message))
    return "\n".join(filter(None, texts))


def data_url(part: ContentPart) -> tuple[str, str] | None:
    """Return an image part's media type and base64 data; None if it is elsewhere."""
    return base64_url(image_url(part))


def base64_url(url: str) -> tuple[str, str] | None:
    """
    Return the media type, in small letters, and the base64 data of a data: URL; None
    for other URLs.

    RFC 2397: parameters may stand before `;base64`, and the data be escaped.
    """
    scheme, _, rest = url.partition(":")
    head, comma, data = rest.partition(",")
    kind, *parameters = (word.strip().lower() for word in head.split(";"))
    if scheme.strip().lower() != "data" or not comma or "base64" not in parameters:
        return None
    return kind, "".join((unquote(data) if "%" in data else data).split())


def image_url(part: ContentPart) -> str:
    """Return an image part's URL; raises ProviderRefusedRequest if it has none."""
    url = (part.image_url or {}).get("url")
    if not isinstance(url, str):
        raise refused("an image_url part has no url")
    return url


def called(call: ToolCall, api: str) -> tuple[str, JSONMapping]:
    """
    Return the name and the arguments of a call; a custom tool's are its input alone.
    """
    if call.function is not None:
        return call.function.name, argument_object(call.function.arguments)
    if call.custom is not None:
        return call.custom.name, {"input": call.custom.input}
    raise refused(f"{api} has nothing for tool calls of the type {call.type!r}")


def call_name(call: ToolCall) -> str:
    """Return the name of what is called."""
    of = call.function or call.custom
    return of.name if of is not None else ""


def chosen_tool(request: ChatRequest) -> tuple[str, str]:
    """
    Return how tools are to be chosen: "auto", "none", "required", or "function" and
    that function's name.
    """
    choice = request.tool_choice
    if choice is None or isinstance(choice, str):
        if choice not in (None, "auto", "none", "required"):
            raise refused(f"there is no tool_choice {choice!r}")
        return choice or "auto", ""
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    if choice.get("type") != "function" or not isinstance(name, str):
        raise refused("tool_choice must name a function")
    return "function", name


def tool_names(messages: Sequence[Message]) -> dict[str, str]:
    """Return the names of the called functions by the calls' ids: results have ids."""
    return {
        call.id: call_name(call)
        for message in messages
        for call in message.tool_calls or ()
    }


def most_tokens(request: ChatRequest) -> int | None:
    """Return the bound on the answer's tokens, under whichever name it came."""
    return request.max_completion_tokens or request.max_tokens


def stops(request: ChatRequest) -> list[str]:
    """Return the stop sequences, one or many, as a list."""
    if request.stop is None:
        return []
    return [request.stop] if isinstance(request.stop, str) else list(request.stop)


def json_schema(request: ChatRequest) -> JSONMapping | None:
    """Return the JSON schema that the answer must have; {} for any JSON object."""
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {}
    schema = (wanted.json_schema or {}).get("schema")
    if wanted.type != "json_schema" or not isinstance(schema, dict):
        raise refused(f"there is no response_format {wanted.type!r} without a schema")
    return schema
