"""The chunks of a chat's answer, in the shape of OpenAI's chat completions API."""

from typing import ClassVar, Literal

from attrs import Factory, define, field, frozen

from providers.json_types import JSONMapping

FinishReason = Literal[
    "stop", "length", "tool_calls", "content_filter", "function_call"
]
NOTHING: JSONMapping = {}


@frozen
class NativeEvent:
    """An event of an upstream's stream as it came: its format, its name, its JSON."""

    format: str
    name: str
    data: bytes = field(repr=False)


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


def _says(value: JSONMapping | None, names: tuple[str, ...]) -> bool:
    return value is not None and any(value.get(name) for name in names)


# What follows is made for every event, and nobody changes it; attrs' frozen records
# take three times as long to make.


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


@define(kw_only=True)
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
