"""Anthropic's Messages as we take them in: a translation, and what the client said."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from attrs import evolve, field, frozen
from attrs.validators import ge, in_, le, min_len, optional

from providers import MESSAGES, ChatRequest, NativeRequest
from server.racing.lineup import Selection
from server.wire.reading import make, read_object, take_selection

from .turns import Turn, Turns

Object = Mapping[str, Any]
# What an upstream of the same API has to know too.
HEADERS = ("anthropic-version", "anthropic-beta")
# The most tokens of thinking that are still a low effort, and a medium one.
LOW, MEDIUM = 4096, 16384
# OpenAI's bound on the name of a user; a hash is as good a name.
LONGEST_USER = 64
EFFORTS = ("low", "medium", "high", "xhigh", "max")
CHOICES = {"auto": "auto", "any": "required", "none": "none"}


@frozen(kw_only=True)
class CustomTool:
    """A tool of the client's own; *input_schema* is a JSON schema."""

    name: str = field(validator=min_len(1))
    input_schema: Object
    description: str | None = None
    strict: bool | None = None


@frozen(kw_only=True)
class ToolChoice:
    type: str = field(validator=in_((*CHOICES, "tool")))
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


@frozen(kw_only=True)
class Thinking:
    type: str
    budget_tokens: int | None = None


@frozen(kw_only=True)
class OutputConfig:
    effort: str | None = None
    format: Object | None = None


@frozen(kw_only=True)
class Metadata:
    user_id: str | None = None


@frozen(kw_only=True)
class CountRequest:
    """What a message is asked with, as far as it has tokens: the API's own fields."""

    model: str = field(validator=min_len(1))
    messages: tuple[Turn, ...] = field(validator=min_len(1))
    system: str | tuple[Object, ...] | None = None
    tools: tuple[Object, ...] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Object | None = None
    mcp_servers: tuple[Object, ...] | None = None
    container: str | Object | None = None


@frozen(kw_only=True)
class MessageRequest(CountRequest):
    """A message as the client asks for it."""

    max_tokens: int = field(validator=ge(1))
    stream: bool | None = None
    stop_sequences: tuple[str, ...] | None = None
    temperature: float | None = field(default=None, validator=optional([ge(0), le(1)]))
    top_p: float | None = field(default=None, validator=optional([ge(0), le(1)]))
    metadata: Metadata | None = None


def parse(
    body: bytes,
    path_providers: tuple[str, ...] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[ChatRequest, Selection]:
    """Return the chat that *body* asks for, and whom; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    asked = make(payload, MessageRequest)
    return _chat(payload, asked, _options(asked), headers or {}), selection


def parse_count(
    body: bytes,
    path_providers: tuple[str, ...] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[ChatRequest, Selection]:
    """Return the chat whose tokens are to be counted, and by whom."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    asked = make(payload, CountRequest)
    return _chat(payload, asked, {}, headers or {}), selection


def _chat(
    payload: dict[str, Any],
    asked: CountRequest,
    options: Object,
    headers: Mapping[str, str],
) -> ChatRequest:
    """
    Return *asked* as a chat.

    What no other vendor's API has a field for is left out if that changes little
    (`top_k`, `cache_control`), and makes a request for upstreams of this API only if
    it changes much.
    """
    turns = Turns()
    effort = _effort(asked)
    tools, unknown = _tools(asked.tools or ())
    fields = {
        "model": asked.model,
        "messages": turns.translated(asked.system, asked.messages),
        "tools": tools,
        **(_choice(asked.tool_choice) if tools else {}),
        "response_format": _response_format(asked),
        # OpenAI's copies answer 400 to "none" where they know no such effort.
        "reasoning_effort": None if effort == "none" else effort,
        **options,
    }
    said = {name: it for name, it in fields.items() if it not in (None, [])}
    native = NativeRequest(
        format=MESSAGES,
        body=payload,
        headers={name: headers[name] for name in HEADERS if name in headers},
        only=turns.only or unknown or _elsewhere(asked),
    )
    chat = make({**said, "body": said}, ChatRequest)
    return evolve(chat, native=native, reasoning_effort=effort)


def _options(asked: MessageRequest) -> dict[str, Any]:
    user = asked.metadata.user_id if asked.metadata else None
    if user and len(user) > LONGEST_USER:
        user = sha256(user.encode()).hexdigest()
    return {
        "stream": asked.stream,
        "max_tokens": asked.max_tokens,
        "stop": list(asked.stop_sequences or ()),
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "user": user,
    }


def _tools(tools: Iterable[Object]) -> tuple[list[dict[str, Any]], str]:
    """Return the client's own tools, and what to call the first of another type."""
    found, unknown = [], ""
    for i, tool in enumerate(tools):
        if tool.get("type") in (None, "custom"):
            found.append(_function(make(tool, CustomTool, f"tools[{i}]")))
        else:
            unknown = unknown or f"tools of the type {tool['type']!r}"
    return found, unknown


def _function(tool: CustomTool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice | None) -> dict[str, Any]:
    if choice is None:
        return {}
    how: Any = CHOICES.get(choice.type)
    if choice.type == "tool":
        how = {"type": "function", "function": {"name": choice.name}}
    alone = {"parallel_tool_calls": False} if choice.disable_parallel_tool_use else {}
    return {"tool_choice": how, **alone}


def _effort(asked: CountRequest) -> str | None:
    """Return how much is to be thought, in OpenAI's words; None if that is open."""
    thinking = asked.thinking
    if thinking is not None and thinking.type == "disabled":
        return "none"
    if thinking is not None and thinking.budget_tokens is not None:
        budget = thinking.budget_tokens
        return "low" if budget <= LOW else "medium" if budget <= MEDIUM else "high"
    effort = asked.output_config.effort if asked.output_config else None
    return effort if effort in EFFORTS else None


def _response_format(asked: CountRequest) -> dict[str, Any] | None:
    given = asked.output_config.format if asked.output_config else None
    wanted = given or asked.output_format
    schema = wanted.get("schema") if wanted else None
    if not isinstance(schema, dict):
        return None
    named = {"name": "answer", "schema": schema, "strict": _is_strict(schema)}
    return {"type": "json_schema", "json_schema": named}


def _is_strict(schema: Any) -> bool:
    """Say whether a schema is one that OpenAI's API takes for strict: all required."""
    if isinstance(schema, list):
        return all(_is_strict(each) for each in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object":
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        if schema.get("additionalProperties") is not False:
            return False
        if set(properties) != set(required):
            return False
    return all(_is_strict(each) for each in schema.values())


def _elsewhere(asked: CountRequest) -> str:
    """Name what Anthropic's own servers would have to run for this request, if any."""
    if asked.mcp_servers:
        return "'mcp_servers'"
    return "'container'" if asked.container else ""
