"""An answer as the events of Anthropic's Messages API: made from chunks, or passed."""

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import ceil
from typing import Any, Literal, TypeGuard

import orjson
from attrs import define, field

from providers import (
    MESSAGES,
    ChatPiece,
    Chunk,
    Delta,
    NativeEvent,
    ProviderProtocolError,
    ToolCallDelta,
    Usage,
    chunks_of,
)

from .count import BYTES_PER_TOKEN

Event = dict[str, Any]
Kind = Literal["thinking", "text", "tool_use"]
MAX_ANSWER = 64 * 1024 * 1024
STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal"}
DELTAS: dict[Kind, tuple[str, str]] = {
    "thinking": ("thinking_delta", "thinking"),
    "text": ("text_delta", "text"),
    "tool_use": ("input_json_delta", "partial_json"),
}


@define(eq=False)
class Passing:
    """
    The events of an upstream that speaks this API, as they came.

    Only the first is touched, to name the winner in it. What the API always sends and
    a copy of it has left out is made up.
    """

    provider: str
    model: str
    _begun: bool = field(default=False, init=False)
    _told: bool = field(default=False, init=False)
    _ended: bool = field(default=False, init=False)

    def events(self, chunk: Chunk) -> Iterator[Event | NativeEvent]:
        for event in chunk.native:
            if event.name == "message_start":
                yield from self._begin(orjson.loads(event.data).get("message"))
            elif event.name == "message_delta":
                yield from self._begin()
                yield self._tell(event)
            elif event.name == "message_stop":
                yield from self._before_end()
                yield event
            else:
                if event.name == "content_block_start":
                    yield from self._begin()
                yield event

    def end(self) -> Iterator[Event]:
        if not self._ended:
            yield from self._before_end()
            yield {"type": "message_stop"}

    def _begin(self, message: Mapping[str, Any] | None = None) -> Iterator[Event]:
        if self._begun:
            return
        self._begun = True
        event = message_start(self.provider, self.model)
        told = {**event["message"], **(message or {}), "provider": self.provider}
        # Anthropic's own package fails without a usage, here and at the end.
        told["usage"] = told["usage"] or event["message"]["usage"]
        yield {**event, "message": told}

    def _tell(self, event: NativeEvent) -> Event | NativeEvent:
        self._told = True
        told = orjson.loads(event.data)
        return event if told.get("usage") else {**told, "usage": {"output_tokens": 0}}

    def _before_end(self) -> Iterator[Event]:
        self._ended = True
        yield from self._begin()
        if not self._told:
            delta = {"stop_reason": "end_turn", "stop_sequence": None}
            usage = {"output_tokens": 0}
            yield {"type": "message_delta", "delta": delta, "usage": usage}


@define(eq=False)
class _Block:
    """A content block on its way; *pieces* are what of it has not been sent."""

    kind: Kind
    id: str = ""
    name: str = ""
    pieces: list[str] = field(factory=list)
    arguments: list[str] = field(factory=list)
    started: bool = False

    @property
    def complete(self) -> bool:
        """Whether nothing more can come: text may always end, a call's input not."""
        if self.kind != "tool_use":
            return True
        if not self.arguments or not self.arguments[-1].rstrip().endswith("}"):
            return False
        try:
            orjson.loads("".join(self.arguments))
        except orjson.JSONDecodeError:
            return False
        return True

    def start(self) -> Event:
        match self.kind:
            case "thinking":
                return {"type": "thinking", "thinking": "", "signature": ""}
            case "text":
                return {"type": "text", "text": ""}
        known = {"id": self.id or f"toolu_{uuid.uuid4().hex[:24]}", "name": self.name}
        return {"type": "tool_use", **known, "input": {}}


@define(eq=False)
class Translating:
    """
    The events that say what chunks say.

    Blocks come one after another here, and chunks as they like: what belongs to a later
    block waits until the calls before it are complete.
    """

    provider: str
    model: str
    estimate: Callable[[], int]
    _blocks: deque[_Block] = field(factory=deque, init=False)
    _calls: dict[int, _Block] = field(factory=dict, init=False)
    _index: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)
    _said: int = field(default=0, init=False)
    _begun: bool = field(default=False, init=False)
    _refused: bool = field(default=False, init=False)
    _finish: str | None = field(default=None, init=False)
    _usage: Usage | None = field(default=None, init=False)

    def events(self, chunk: Chunk) -> Iterator[Event]:
        """Yield what *chunk* adds; raises ProviderProtocolError if it is too much."""
        self._usage = chunk.usage or self._usage
        if not self._begun:
            self._begun = True
            yield message_start(self.provider, chunk.model or self.model)
        for choice in chunk.choices:
            # One answer was asked for, and nothing follows its end.
            if choice.index == 0 and self._finish is None:
                self._finish = choice.finish_reason
                self._take(choice.delta)
        yield from self._sendable()

    def end(self) -> Iterator[Event]:
        yield from self._sendable(ending=True)
        delta = {"stop_reason": self._stop_reason(), "stop_sequence": None}
        usage = counted(self._usage) if _tells(self._usage) else self._estimated()
        yield {"type": "message_delta", "delta": delta, "usage": usage}
        yield {"type": "message_stop"}

    def _estimated(self) -> dict[str, Any]:
        """Guess: clients compact a conversation by the tokens that it has."""
        said = ceil(self._said / BYTES_PER_TOKEN)
        return {"input_tokens": self.estimate(), "output_tokens": said}

    def _take(self, delta: Delta) -> None:
        if delta.reasoning_content:
            self._say("thinking", delta.reasoning_content)
        for text in (delta.content, delta.refusal, *_pictures(delta)):
            if text:
                self._say("text", text)
        self._refused = self._refused or bool(delta.refusal)
        for call in delta.tool_calls:
            self._call(call)

    def _say(self, kind: Kind, text: str) -> None:
        if not self._blocks or self._blocks[-1].kind != kind:
            self._blocks.append(_Block(kind))
        self._blocks[-1].pieces.append(text)
        self._said += len(text)
        if len(self._blocks) > 1:
            self._grow(len(text))

    def _call(self, call: ToolCallDelta) -> None:
        block = self._calls.get(call.index)
        if block is None:
            block = self._calls[call.index] = _Block("tool_use")
            self._blocks.append(block)
            self._grow(1)
        block.id = block.id or call.id or ""
        block.name = block.name or call.name or ""
        if call.arguments:
            block.pieces.append(call.arguments)
            block.arguments.append(call.arguments)
            self._said += len(call.arguments)
            self._grow(len(call.arguments))

    def _grow(self, size: int) -> None:
        """Count what has to be kept; nobody's answer may fill the memory."""
        self._size += size
        if self._size > MAX_ANSWER:
            raise ProviderProtocolError(f"the answer is larger than {MAX_ANSWER} bytes")

    def _sendable(self, *, ending: bool = False) -> Iterator[Event]:
        while self._blocks:
            block = self._blocks[0]
            if block.kind == "tool_use" and not block.name and not ending:
                return  # a block's start has its name
            yield from self._grown(block)
            if not ending and (len(self._blocks) == 1 or not block.complete):
                return
            yield {"type": "content_block_stop", "index": self._index}
            self._index += 1
            self._blocks.popleft()

    def _grown(self, block: _Block) -> Iterator[Event]:
        of = {"index": self._index}
        if not block.started:
            block.started = True
            yield {
                "type": "content_block_start",
                **of,
                "content_block": block.start(),
            }
            if self._index == 0:
                yield {"type": "ping"}  # where the API itself has one
        if block.pieces:
            kind, name = DELTAS[block.kind]
            delta = {"type": kind, name: "".join(block.pieces)}
            block.pieces.clear()
            yield {"type": "content_block_delta", **of, "delta": delta}

    def _stop_reason(self) -> str:
        if self._refused:
            return "refusal"
        if self._finish in STOP_REASONS:
            return STOP_REASONS[self._finish]
        # Not all who call a tool say so at the end.
        return "tool_use" if self._calls else "end_turn"


@define(eq=False)
class Events:
    """
    An answer's events, from whichever of both its first chunk shows. *estimate* guesses
    the tokens of the request, for where nobody tells them.
    """

    provider: str
    model: str
    estimate: Callable[[], int]
    _source: Passing | Translating | None = field(default=None, init=False)

    def of(self, pieces: Iterable[ChatPiece]) -> Iterator[Event | NativeEvent]:
        for chunk in chunks_of(pieces):
            if self._source is None:
                passes = any(event.format == MESSAGES for event in chunk.native)
                self._source = (
                    Passing(self.provider, self.model)
                    if passes
                    else Translating(self.provider, self.model, self.estimate)
                )
            yield from self._source.events(chunk)

    def end(self) -> Iterable[Event]:
        return self._source.end() if self._source is not None else ()


def message_start(provider: str, model: str) -> Event:
    message: Event = {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        # Known at the end only.
        "usage": {"input_tokens": 0, "output_tokens": 0},
        "provider": provider,
    }
    return {"type": "message_start", "message": message}


def _tells(usage: Usage | None) -> TypeGuard[Usage]:
    return usage is not None and usage.prompt_tokens + usage.completion_tokens > 0


def counted(usage: Usage) -> dict[str, Any]:
    """Count as Anthropic does: what was read from a cache is no input token."""
    prompt = usage.extra.get("prompt_tokens_details")
    completion = usage.extra.get("completion_tokens_details")
    read, written = (
        _count(prompt, "cached_tokens"),
        _count(prompt, "cache_write_tokens"),
    )
    shown: dict[str, Any] = {
        "input_tokens": max(usage.prompt_tokens - (read or 0) - (written or 0), 0),
        "output_tokens": usage.completion_tokens,
    }
    if read is not None:
        shown["cache_read_input_tokens"] = read
    if written is not None:
        shown["cache_creation_input_tokens"] = written
    if (thought := _count(completion, "reasoning_tokens")) is not None:
        shown["output_tokens_details"] = {"thinking_tokens": thought}
    return shown


def _count(details: Any, name: str) -> int | None:
    value = details.get(name) if isinstance(details, Mapping) else None
    return value if isinstance(value, int) else None


def _pictures(delta: Delta) -> list[str]:
    """Return pictures as Markdown: an answer has no blocks for them."""
    images = delta.extra.get("images")
    urls = [
        image["image_url"].get("url")
        for image in (images if isinstance(images, list) else ())
        if isinstance(image, Mapping) and isinstance(image.get("image_url"), Mapping)
    ]
    return [f"![]({url})" for url in urls if isinstance(url, str)]
