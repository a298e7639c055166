"""A request for a response: what of it is a chat, and what is ours."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from attrs.validators import ge, in_, le, min_len, optional

from providers import ChatRequest
from server.errors import InvalidRequest
from server.racing.lineup import Selection
from server.wire.reading import make, read_object, take_selection

from .history import Item, messages_of, reference_in, thought_in

LOGPROBS = "message.output_text.logprobs"
OPAQUE = "reasoning.encrypted_content"
# What is refused, and why.
NOT_HERE = {
    "background": "an answer lasts as long as its connection here",
    "conversation": "conversations are not kept here; send 'previous_response_id'",
    "prompt": "prompt templates are kept at OpenAI; send 'instructions' and 'input'",
}
# The fields that have a place of their own, or none, in a chat; all others go along.
NO_CHAT_FIELDS = frozenset(
    (
        "background_options",
        "client_metadata",
        "context_management",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "messages",
        # OpenAI's chat completions refuse it for what they are not to store.
        "metadata",
        "n",
        "previous_response_id",
        "reasoning",
        "store",
        "stream",
        "stream_options",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "truncation",
        *NOT_HERE,
    )
)
# What says nothing where there are no tools, and is refused by some there.
WITH_TOOLS = ("parallel_tool_calls",)


@frozen(kw_only=True)
class TextFormat:
    """The shape that the answer's text must have."""

    type: str = field(validator=in_(("text", "json_object", "json_schema")))
    name: str | None = None
    description: str | None = None
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None


@frozen(kw_only=True)
class TextSettings:
    format: TextFormat | None = None
    verbosity: str | None = None


@frozen(kw_only=True)
class Reasoning:
    effort: str | None = None
    summary: str | None = field(
        default=None, validator=optional(in_(("auto", "concise", "detailed")))
    )


@frozen(kw_only=True)
class Tool:
    type: str = field(validator=min_len(1))
    name: str | None = None
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None


NO_TEXT = TextSettings()
NO_REASONING = Reasoning()


@frozen(kw_only=True)
class ResponseRequest:
    """
    What a client asks of the Responses API; *body* is the JSON object that it sent,
    less what speaks to the gateway alone.
    """

    model: str = field(validator=min_len(1))
    input: str | tuple[Any, ...] | None = field(
        default=None, validator=optional(min_len(1))
    )
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    include: tuple[str, ...] | None = None
    max_output_tokens: int | None = field(default=None, validator=optional(ge(1)))
    temperature: float | None = field(default=None, validator=optional([ge(0), le(2)]))
    top_p: float | None = field(default=None, validator=optional([ge(0), le(1)]))
    top_logprobs: int | None = field(default=None, validator=optional([ge(0), le(20)]))
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None
    reasoning: Reasoning | None = None
    metadata: Mapping[str, Any] | None = None
    truncation: str | None = field(
        default=None, validator=optional(in_(("auto", "disabled")))
    )
    body: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def kept(self) -> bool:
        """Whether the response is to be stored, as it is unless the client says no."""
        return self.store is not False

    @property
    def summarized(self) -> bool:
        """Whether reasoning is shown as a summary: by default, as it is."""
        return (self.reasoning or NO_REASONING).summary is not None

    @property
    def shows_opaque(self) -> bool:
        """Whether the client wants what it can only send back with its reasoning."""
        return OPAQUE in (self.include or ())

    def items(self) -> list[Any]:
        """Return the input as items, as they came."""
        if isinstance(self.input, str):
            text = {"type": "input_text", "text": self.input}
            return [{"type": "message", "role": "user", "content": [text]}]
        return list(self.input or ())

    def references(self) -> list[str]:
        """Return the ids of the stored items that the input names."""
        found = (reference_in(item) for item in self.items())
        return [name for name in found if name is not None]

    def thoughts(self) -> list[str]:
        """Return the ids of reasoning items that may be stored with more in them."""
        found = (thought_in(item) for item in self.items())
        return [name for name in found if name is not None]

    def chat(self, earlier: Sequence[Item], items: Sequence[Any]) -> ChatRequest:
        """
        Return the chat that this is.

        *earlier* are the items of the responses that it goes on from, *items* its own,
        with what they refer to in the references' places. Raises InvalidRequest.
        """
        body = {
            name: value
            for name, value in self.body.items()
            if name not in NO_CHAT_FIELDS and value is not None
        }
        body["messages"] = messages_of(self.instructions, earlier, items)
        body |= self._tools() | self._text() | self._sampling()
        if "tools" not in body:
            body = {n: value for n, value in body.items() if n not in WITH_TOOLS}
        if self.stream is not None:
            body["stream"] = self.stream
        return make({**body, "body": body}, ChatRequest)

    def _tools(self) -> dict[str, Any]:
        if not self.tools:
            return {}
        tools = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(self.tools)]
        choice = self.tool_choice
        if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
            # What a chat may call is what it has; the mode is said as ever.
            allowed = _names(choice.get("tools"))
            tools = [t for t in tools if t["function"]["name"] in allowed]
            choice = choice.get("mode") or "auto"
        if isinstance(choice, Mapping):
            choice = _chosen(choice)
        if not tools:
            return {}
        return {"tools": tools} | ({} if choice is None else {"tool_choice": choice})

    def _text(self) -> dict[str, Any]:
        text = self.text or NO_TEXT
        body: dict[str, Any] = {}
        if text.verbosity is not None:
            body["verbosity"] = text.verbosity
        wanted = text.format
        if wanted is not None and wanted.type == "json_schema":
            if not wanted.name or wanted.schema is None:
                raise InvalidRequest(
                    "'text.format': the type 'json_schema' needs 'name' and 'schema'.",
                    param="text.format",
                )
            schema = _given(wanted, "name", "description", "schema", "strict")
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif wanted is not None and wanted.type == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def _sampling(self) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if self.max_output_tokens is not None:
            body["max_completion_tokens"] = self.max_output_tokens
        effort = (self.reasoning or NO_REASONING).effort
        if effort is not None:
            body["reasoning_effort"] = effort
        if LOGPROBS in (self.include or ()) or self.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs or 0}
        return body


def parse(
    body: bytes, path_providers: tuple[str, ...] | None = None
) -> tuple[ResponseRequest, Selection]:
    """Return the response that *body* asks for, and of whom; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    for name, why in NOT_HERE.items():
        if payload.get(name):
            raise InvalidRequest(f"{name!r} can't be done: {why}.", param=name)
    asked = make({**payload, "body": payload}, ResponseRequest)
    if asked.input is None and asked.previous_response_id is None:
        raise InvalidRequest("'input' is missing.", param="input")
    return asked, selection


def _tool(tool: Tool, path: str) -> dict[str, Any]:
    if tool.type != "function":
        raise InvalidRequest(
            f"'{path}.type': tools of the type {tool.type!r} are run by OpenAI's own"
            " servers, and by nobody here. Tools of the type 'function' can be called.",
            param=f"{path}.type",
        )
    if not tool.name:
        raise InvalidRequest(f"'{path}.name' is missing.", param=f"{path}.name")
    function = _given(tool, "name", "description", "parameters", "strict")
    return {"type": "function", "function": function}


def _chosen(choice: Mapping[str, Any]) -> dict[str, Any]:
    name = choice.get("name")
    if choice.get("type") != "function" or not isinstance(name, str):
        raise InvalidRequest(
            "'tool_choice' must be 'auto', 'none', 'required', or name a function.",
            param="tool_choice",
        )
    return {"type": "function", "function": {"name": name}}


def _names(tools: Any) -> set[str]:
    rows = tools if isinstance(tools, list) else []
    named = (row.get("name") for row in rows if isinstance(row, dict))
    return {name for name in named if isinstance(name, str)}


def _given(record: Any, *names: str) -> dict[str, Any]:
    """Return the fields of a record that say something, by their names."""
    values = {name: getattr(record, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
