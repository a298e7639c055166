"""Requests of Anthropic's Messages API, as chats that keep what the client sent."""

from collections.abc import Mapping
from hashlib import sha256

from attrs import evolve, field, frozen
from attrs.validators import ge, le, min_len, optional

from providers import MESSAGES, ChatRequest, NativeRequest
from server.json_types import JSON, JSONMapping, JSONObject
from server.racing.lineup import Selection
from server.wire.reading import make, read_object, take_selection

from .tools import ToolChoice, chat_choice, chat_tools
from .turns import Turn, Turns

# The client's headers that an upstream of the same API is sent.
HEADERS = ("anthropic-version", "anthropic-beta")
# The most tokens of thinking that are still a low effort, and a medium one.
LOW, MEDIUM = 4096, 16384
# OpenAI's bound on the name of a user; a hash is as good a name.
LONGEST_USER = 64
EFFORTS = ("low", "medium", "high", "xhigh", "max")


@frozen(kw_only=True)
class Thinking:
    type: str
    budget_tokens: int | None = None


@frozen(kw_only=True)
class OutputConfig:
    effort: str | None = None
    format: JSONMapping | None = None


@frozen(kw_only=True)
class Metadata:
    user_id: str | None = None


@frozen(kw_only=True)
class CountRequest:
    """A request to count tokens: the fields of a message that have any."""

    model: str = field(validator=min_len(1))
    messages: tuple[Turn, ...] = field(validator=min_len(1))
    system: str | tuple[JSONMapping, ...] | None = None
    tools: tuple[JSONMapping, ...] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: JSONMapping | None = None
    mcp_servers: tuple[JSONMapping, ...] | None = None
    container: str | JSONMapping | None = None


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
    """Return the chat in *body*, and whom it asks; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    request = make(payload, MessageRequest)
    return _chat(payload, request, _options(request), headers or {}), selection


def parse_count(
    body: bytes,
    path_providers: tuple[str, ...] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[ChatRequest, Selection]:
    """Return the chat whose tokens are to be counted, and by whom."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    request = make(payload, CountRequest)
    return _chat(payload, request, {}, headers or {}), selection


def _chat(
    payload: JSONObject,
    request: CountRequest,
    options: JSONMapping,
    headers: Mapping[str, str],
) -> ChatRequest:
    """
    Return *request* as a chat.

    What no other vendor's API has a field for is left out of the chat if that changes
    little (`top_k`, `cache_control`). If it changes much, only upstreams of this API
    can answer the request.
    """
    turns = Turns()
    effort = _effort(request)
    declared = chat_tools(request.tools or (), servers=bool(request.mcp_servers))
    tools = declared.functions
    fields = {
        "model": request.model,
        "messages": turns.translated(request.system, request.messages),
        "tools": tools,
        **(chat_choice(request.tool_choice) if tools else {}),
        "response_format": _response_format(request),
        # OpenAI's copies answer 400 to "none" where they know no such effort.
        "reasoning_effort": None if effort == "none" else effort,
        **options,
    }
    body = {name: value for name, value in fields.items() if value not in (None, [])}
    native = NativeRequest(
        format=MESSAGES,
        body=payload,
        headers={name: headers[name] for name in HEADERS if name in headers},
        only=turns.only or declared.only or _elsewhere(request),
    )
    chat = make({**body, "body": body}, ChatRequest)
    hosted = declared.left_out(request.tool_choice)
    return evolve(chat, native=native, hosted=hosted, reasoning_effort=effort)


def _options(request: MessageRequest) -> JSONObject:
    user = request.metadata.user_id if request.metadata else None
    if user and len(user) > LONGEST_USER:
        user = sha256(user.encode()).hexdigest()
    return {
        "stream": request.stream,
        "max_tokens": request.max_tokens,
        "stop": list(request.stop_sequences or ()),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "user": user,
    }


def _effort(request: CountRequest) -> str | None:
    """Return the reasoning effort in OpenAI's words; None if the client has no wish."""
    thinking = request.thinking
    if thinking is not None and thinking.type == "disabled":
        return "none"
    if thinking is not None and thinking.budget_tokens is not None:
        budget = thinking.budget_tokens
        return "low" if budget <= LOW else "medium" if budget <= MEDIUM else "high"
    effort = request.output_config.effort if request.output_config else None
    return effort if effort in EFFORTS else None


def _response_format(request: CountRequest) -> JSONObject | None:
    current = request.output_config.format if request.output_config else None
    output_format = current or request.output_format
    schema = output_format.get("schema") if output_format else None
    if not isinstance(schema, dict):
        return None
    json_schema = {"name": "answer", "schema": schema, "strict": _is_strict(schema)}
    return {"type": "json_schema", "json_schema": json_schema}


def _is_strict(schema: JSON) -> bool:
    """Say whether OpenAI's API takes a schema as a strict one: all is required."""
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


def _elsewhere(request: CountRequest) -> str:
    """Name what Anthropic's own servers would have to run for this request, if any."""
    return "'container'" if request.container else ""
