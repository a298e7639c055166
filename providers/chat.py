"""The words of a chat: what is asked of a provider, and the chunks it answers with.

Both have the shape of OpenAI's chat completions API (shared by most vendors), so that
an upstream which speaks it costs nothing to translate; other dialects translate to and
from these records.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import orjson
from attrs import Factory, define, field, fields, frozen
from attrs.validators import ge, in_, le, min_len, optional

from .json_types import JSONMapping, JSONObject

FinishReason = Literal[
    "stop", "length", "tool_calls", "content_filter", "function_call"
]
ROLES = ("developer", "system", "user", "assistant", "tool", "function")
NOTHING: JSONMapping = {}
# The formats that are passed through, besides the one that these records have:
# Anthropic's Messages API, OpenAI's Responses API.
MESSAGES = "messages"
RESPONSES = "responses"
# What the data of `redacted_thinking` begins with where the gateway has sealed in it
# what another vendor wants back: Anthropic can't read that.
SEALED_HERE = "interference."
# Of a field that no client sets: it is left out where JSON is read.
NOT_READ = {"read": False}


@frozen(kw_only=True)
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


@frozen(kw_only=True)
class FunctionCall:
    """A function's name and its arguments, which are JSON text."""

    name: str
    arguments: str = ""


@frozen(kw_only=True)
class CustomCall:
    """A custom tool's name and its input, which is any text."""

    name: str
    input: str = ""


@frozen(kw_only=True)
class ToolCall:
    id: str
    function: FunctionCall | None = None
    custom: CustomCall | None = None
    type: str = "function"


@frozen(kw_only=True)
class Message:
    role: str = field(validator=in_(ROLES))
    content: str | tuple[ContentPart, ...] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None


@frozen(kw_only=True)
class Function:
    """A function that the model may call; *parameters* is a JSON schema."""

    name: str = field(validator=min_len(1))
    description: str | None = None
    parameters: JSONMapping | None = None
    strict: bool | None = None
    cache_control: JSONMapping | None = None


@frozen(kw_only=True)
class FreeTool:
    """A custom tool, called with any text; *format* says which texts there are."""

    name: str = field(validator=min_len(1))
    description: str | None = None
    format: JSONMapping | None = None


@frozen(kw_only=True)
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


# OpenAI's older API, a format of its own: a text goes in, and not messages.
COMPLETIONS = "completions"


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


@frozen
class NativeEvent:
    """An event of an upstream's stream as it came: its format, its name, its JSON."""

    format: str
    name: str
    data: bytes = field(repr=False)


@frozen(kw_only=True)
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
    hosted: HostedTools = field(factory=HostedTools, metadata=NOT_READ)
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


@frozen(kw_only=True)
class ToolCallDelta:
    """A piece of a tool call: *id* and *name* come once, *arguments* are appended."""

    index: int
    id: str | None = None
    type: str | None = None
    name: str | None = None
    arguments: str | None = None
    extra: JSONMapping = NOTHING

    @property
    def says(self) -> bool:
        """Whether it adds to a call, be it of a function or of a custom tool."""
        if self.name or self.arguments:
            return True
        return _says(self.custom, ("name", "input"))

    @property
    def custom(self) -> JSONMapping | None:
        """What it adds to a custom tool's call, the `name` or `input`; or None."""
        custom: JSONMapping | None = self.extra.get("custom")
        return custom


# What follows is made for every event, and nobody changes it; attrs' frozen records
# take three times as long to make.


def _says(value: JSONMapping | None, names: tuple[str, ...]) -> bool:
    return value is not None and any(value.get(name) for name in names)


@define(kw_only=True)
class Delta:
    """What one chunk adds to one choice's message."""

    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    audio: JSONMapping | None = None
    function_call: JSONMapping | None = None
    extra: JSONMapping = NOTHING

    @property
    def has_token(self) -> bool:
        return bool(
            self.content
            or self.reasoning_content
            or self.refusal
            or _says(self.audio, ("data", "transcript"))
            or _says(self.function_call, ("name", "arguments"))
            or self.extra.get("images")
            or any(call.says for call in self.tool_calls)
        )

    @property
    def is_empty(self) -> bool:
        """Whether it adds nothing: not even an id, or what a vendor has added."""
        return not (
            self.content
            or self.reasoning_content
            or self.refusal
            or self.tool_calls
            or self.audio
            or self.function_call
            or self.extra
        )

    @property
    def is_plain(self) -> bool:
        """Whether it says something, and that is text alone."""
        return bool(self.content) and not (
            self.reasoning_content
            or self.refusal
            or self.tool_calls
            or self.audio
            or self.function_call
            or self.extra
        )


NO_DELTA = Delta()


@define(kw_only=True)
class Choice:
    """
    What one chunk adds to one choice; *native_finish_reason* is the upstream's word for
    its end where nobody knows what that means, and *finish_reason* is `stop` then.
    """

    index: int = 0
    delta: Delta = NO_DELTA
    finish_reason: FinishReason | None = None
    native_finish_reason: str | None = None
    logprobs: JSONMapping | None = None

    @property
    def says_nothing(self) -> bool:
        if self.finish_reason is not None or self.logprobs is not None:
            return False
        return self.delta is NO_DELTA or self.delta.is_empty


@frozen(kw_only=True)
class Usage:
    """Tokens counted by the upstream; *extra* holds its details, OpenAI's names."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    extra: JSONMapping = NOTHING


@define(kw_only=True)
class Chunk:
    """
    One event of an answer's stream, whatever dialect it came in.

    *native* is there where client and upstream speak the same format, other than
    OpenAI's: the events that this chunk is made of. Taken together, an answer's chunks
    from the first token on then hold every event, also those that add nothing to the
    other fields and those before that token, which come with its chunk.
    """

    id: str | None = None
    created: int | None = None
    model: str | None = None
    choices: tuple[Choice, ...] = Factory(tuple)
    usage: Usage | None = None
    extra: JSONMapping = NOTHING
    native: tuple[NativeEvent, ...] = ()

    count: ClassVar[int] = 1

    @property
    def has_token(self) -> bool:
        """Whether this decides a race: a role, a finish or a usage is not speech."""
        for choice in self.choices:  # this is asked of every event, and any() is slow
            if choice.delta is not NO_DELTA and choice.delta.has_token:
                return True
        return False

    @property
    def says_nothing(self) -> bool:
        """Whether nothing of it is part of an answer: it has a role, and no more."""
        if self.usage is not None or self.native or self.extra:
            return False
        return all(choice.says_nothing for choice in self.choices)


@define(eq=False)
class TextRun:
    """
    Chunks that arrived together and are all like one, but for the text they add.

    Most of an answer is such, and need not be taken apart to be shown: *words* are the
    texts as JSON strings, none of them empty; *like* is the chunk without its text. It
    is the same object for as long as the chunks stay alike.

    *native* is the JSON of the events that the texts came in, where these pass as they
    are: their format and their name are those of the event in *like*.
    """

    like: Chunk
    words: list[bytes]
    native: Sequence[bytes] = ()
    has_token: ClassVar[bool] = True
    says_nothing: ClassVar[bool] = False

    @property
    def count(self) -> int:
        return len(self.words)

    def texts(self) -> list[str]:
        texts: list[str] = orjson.loads(b"[%b]" % b",".join(self.words))
        return texts

    def chunks(self) -> list[Chunk]:
        """Return the chunks that it stands for."""
        chunks = [with_text(self.like, text) for text in self.texts()]
        for chunk, data in zip(chunks, self.native, strict=False):
            (event,) = self.like.native
            chunk.native = (NativeEvent(event.format, event.name, data),)
        return chunks


@define(eq=False)
class Completion:
    """
    A whole answer that can be passed on: *payload* is JSON in the shape of a chat
    completion, as OpenAI puts it, and says nothing but texts.
    """

    payload: JSONObject
    _parse: Callable[[JSONMapping], Chunk]
    has_token: ClassVar[bool] = True
    says_nothing: ClassVar[bool] = False
    count: ClassVar[int] = 1

    def chunk(self) -> Chunk:
        """Return the one chunk that it stands for."""
        return self._parse(self.payload)


# What an answer comes in.
ChatPiece = Chunk | TextRun | Completion


def chunks_of(pieces: Iterable[ChatPiece]) -> Iterator[Chunk]:
    """Take pieces apart: for whoever needs each chunk."""
    for piece in pieces:
        if isinstance(piece, TextRun):
            yield from piece.chunks()
        elif isinstance(piece, Completion):
            yield piece.chunk()
        else:
            yield piece


def with_text(like: Chunk, text: str) -> Chunk:
    """Return a chunk of one choice that adds another text, and nothing besides."""
    choice = Choice(index=like.choices[0].index, delta=Delta(content=text))
    return Chunk(
        id=like.id,
        created=like.created,
        model=like.model,
        choices=(choice,),
        extra=like.extra,
    )
