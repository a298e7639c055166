"""The records of a chat's request, in the shape of OpenAI's chat completions API."""

from collections.abc import Mapping
from typing import ClassVar

import orjson
from attrs import define, field, fields, frozen
from attrs.setters import NO_OP
from attrs.validators import ge, in_, le, min_len, optional

from providers.json_types import JSONMapping

ROLES = ("developer", "system", "user", "assistant", "tool", "function")
# The formats that are passed through, besides the one that these records have:
# Anthropic's Messages API, OpenAI's Responses API, and OpenAI's older API, where a text
# goes in, and not messages.
MESSAGES = "messages"
RESPONSES = "responses"
COMPLETIONS = "completions"
# What the data of `redacted_thinking` begins with where the gateway has sealed in it
# what another vendor wants back: Anthropic can't read that.
SEALED_HERE = "interference."
# Of a field that no client sets: it is left out where JSON is read.
NOT_READ = {"read": False}


# What is made for every message, tool and request is changed by nobody; attrs' frozen
# records would take three times as long to make.


@define(kw_only=True, on_setattr=NO_OP)
class ContentPart:
    """One part of a message: text, an image, a sound, a file, a refusal."""

    type: str = field(validator=min_len(1))
    text: str | None = None
    image_url: JSONMapping | None = None
    input_audio: JSONMapping | None = None
    file: JSONMapping | None = None
    refusal: str | None = None
    # Anthropic's mark, which OpenAI-shaped clients send too.
    cache_control: JSONMapping | None = None


@define(kw_only=True, on_setattr=NO_OP)
class FunctionCall:
    """A function's name and its arguments, which are JSON text."""

    name: str
    arguments: str = ""


@define(kw_only=True, on_setattr=NO_OP)
class CustomCall:
    """A custom tool's name and its input, which is any text."""

    name: str
    input: str = ""


@define(kw_only=True, on_setattr=NO_OP)
class ToolCall:
    id: str
    function: FunctionCall | None = None
    custom: CustomCall | None = None
    type: str = "function"


@define(kw_only=True, on_setattr=NO_OP)
class Message:
    role: str = field(validator=in_(ROLES))
    content: str | tuple[ContentPart, ...] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None


@define(kw_only=True, on_setattr=NO_OP)
class Function:
    """A function that the model may call; *parameters* is a JSON schema."""

    name: str = field(validator=min_len(1))
    description: str | None = None
    parameters: JSONMapping | None = None
    strict: bool | None = None
    cache_control: JSONMapping | None = None


@define(kw_only=True, on_setattr=NO_OP)
class FreeTool:
    """A custom tool, called with any text; *format* says which texts there are."""

    name: str = field(validator=min_len(1))
    description: str | None = None
    format: JSONMapping | None = None


@define(kw_only=True, on_setattr=NO_OP)
class Tool:
    type: str
    function: Function | None = None
    custom: FreeTool | None = None
    cache_control: JSONMapping | None = None


@frozen(kw_only=True)
class StreamOptions:
    include_usage: bool = False


@frozen(kw_only=True)
class ResponseFormat:
    type: str
    json_schema: JSONMapping | None = None


@frozen(kw_only=True)
class NativeRequest:
    """
    A request as a client put it that speaks another format than OpenAI's.

    A dialect of the same *format* sends *body* and *headers* on, so that what the other
    fields of a ChatRequest have no place for survives; the others make do with those.
    *only* names what the request is not itself without and no other format can say: a
    dialect that has to translate refuses it then. It is "" if there is no such thing.
    """

    format: str
    body: JSONMapping = field(repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    only: str = ""


@frozen(kw_only=True)
class HostedTools:
    """
    Declared tools that the servers of the client's own API would run, and nobody else.

    A dialect of another API leaves them out, and says so by their *names*, such as
    "tools.web_search". *needed* says without what an answer would be made up, such as
    "tools of the type 'web_search'": a dialect refuses the request then. It is "" if
    there is no such thing.
    """

    names: tuple[str, ...] = ()
    needed: str = ""


NONE_HOSTED = HostedTools()
# Messages of a chat: to translate more of them takes as long as a hundred requests.
MANY = 1000


@define(kw_only=True, on_setattr=NO_OP)
class ChatRequest:
    """
    A chat as the client asked for it.

    The typed fields are what the gateway and its dialects act on; *body* is the whole
    JSON object, OpenAI's shape, less what speaks to the gateway alone. A dialect of the
    same shape sends *body* on, so that fields unknown to us survive. Where the client
    spoke another format, all these are a translation, and *native* is what it said.

    The bounds are those that OpenAI's API reference gives for each field.
    """

    model: str = field(validator=min_len(1))
    messages: tuple[Message, ...] = field(validator=min_len(1))
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = field(default=None, validator=optional([ge(1), le(128)]))
    temperature: float | None = field(default=None, validator=optional([ge(0), le(2)]))
    top_p: float | None = field(default=None, validator=optional([ge(0), le(1)]))
    max_tokens: int | None = field(default=None, validator=optional(ge(1)))
    max_completion_tokens: int | None = field(default=None, validator=optional(ge(1)))
    stop: str | tuple[str, ...] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = field(default=None, validator=optional([ge(0), le(20)]))
    frequency_penalty: float | None = field(
        default=None, validator=optional([ge(-2), le(2)])
    )
    presence_penalty: float | None = field(
        default=None, validator=optional([ge(-2), le(2)])
    )
    logit_bias: JSONMapping | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | JSONMapping | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    metadata: JSONMapping | None = None
    body: JSONMapping = field(factory=dict, repr=False)
    native: NativeRequest | None = field(default=None, metadata=NOT_READ)
    hosted: HostedTools = field(default=NONE_HOSTED, metadata=NOT_READ)
    _encoded: list[orjson.Fragment] = field(
        factory=list, init=False, eq=False, repr=False, metadata=NOT_READ
    )
    task: ClassVar[str] = "chat"

    def messages_json(self) -> orjson.Fragment:
        """Return the messages as the client put them, encoded once for all racers."""
        if not self._encoded:
            self._encoded.append(orjson.Fragment(orjson.dumps(self.body["messages"])))
        return self._encoded[0]

    def forget_json(self) -> None:
        """Keep it no longer: all racers have been asked, and a stream may be long."""
        self._encoded.clear()

    @property
    def is_large(self) -> bool:
        """Whether to encode it holds up the event loop."""
        return len(self.messages) > MANY

    @property
    def include_usage(self) -> bool:
        """Whether the client of a stream asked for its usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def needs(self) -> frozenset[str]:
        """Return the capabilities without which a provider can't serve this."""
        found = {"chat"}
        if self.tools and self.tool_choice != "none":
            found.add("tools")
        if self.response_format and self.response_format.type != "text":
            found.add("json")
        for message in self.messages:
            parts = message.content
            if type(parts) is tuple and any(p.type == "image_url" for p in parts):
                found.add("vision")
        return frozenset(found)


# The fields of a request, and the capabilities that some of them are for.
CHAT_FIELDS = tuple(
    each.name
    for each in fields(ChatRequest)
    if each.name not in ("body", "native", "hosted", "_encoded")
)
NEEDED_BY = {
    "tools": "tools",
    "tool_choice": "tools",
    "parallel_tool_calls": "tools",
    "response_format": "json",
}
