"""Chunks as the events of Anthropic's Messages API, block after block."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from math import ceil
from typing import Literal

import orjson
from attrs import define, field

from providers import Chunk, Delta, ToolCallDelta, Usage, word_id
from server.json_types import JSONObject
from server.wire.bound import AnswerSize
from server.wire.opaque import BESIDE_CALL, BLOCKS, redacted
from server.wire.ordering import Ordering, is_whole_object

from .count import BYTES_PER_TOKEN
from .events import MessageEvent, MessageUsage, message_start, usage_payload

BlockKind = Literal["thinking", "redacted_thinking", "text", "tool_use"]
STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal"}
# The type of a block's deltas, and the field of them that grows.
DELTAS: dict[BlockKind, tuple[str, str]] = {
    "thinking": ("thinking_delta", "thinking"),
    "text": ("text_delta", "text"),
    "tool_use": ("input_json_delta", "partial_json"),
}


@define(eq=False)
class ContentBlock:
    """
    A block as it grows; *id*, *name* and *arguments* are a tool call's, *data* is
    reasoning that only the model can read. The call is of a *custom* tool where its
    arguments are a text, shown as the `input` of an object.
    """

    kind: BlockKind
    index: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(factory=list)
    data: str = ""
    custom: bool = False
    started: bool = False

    @property
    def has_name(self) -> bool:
        return self.kind != "tool_use" or bool(self.name)

    @property
    def whole(self) -> bool:
        return self.kind != "tool_use" or is_whole_object(self.arguments)

    def quoted(self, text: str) -> str:
        """Return a piece of a custom tool's input as one of an object's JSON."""
        opening = "" if self.custom else '{"input":"'
        self.custom = True
        return opening + orjson.dumps(text).decode()[1:-1]

    def start(self) -> JSONObject:
        """Return the block as it stands in the event that begins it."""
        match self.kind:
            case "thinking":
                return {"type": "thinking", "thinking": "", "signature": ""}
            case "redacted_thinking":
                return {"type": "redacted_thinking", "data": self.data}
            case "text":
                return {"type": "text", "text": ""}
        call_id = self.id or f"toolu_{uuid.uuid4().hex[:24]}"
        return {"type": "tool_use", "id": call_id, "name": self.name, "input": {}}


@define(eq=False)
class Translating:
    """
    Translates chunks to events.

    Of several choices, it shows the first, up to its finish. *estimate* guesses the
    tokens of the request.
    """

    provider: str
    model: str
    estimate: Callable[[], int]
    _order: Ordering[ContentBlock, str] = field(factory=Ordering, init=False)
    _last: ContentBlock | None = field(default=None, init=False)
    _calls: dict[int, ContentBlock] = field(factory=dict, init=False)
    _size: AnswerSize = field(factory=AnswerSize, init=False)
    _length: int = field(default=0, init=False)
    _started: bool = field(default=False, init=False)
    _has_refusal: bool = field(default=False, init=False)
    _finish_reason: str | None = field(default=None, init=False)
    _usage: Usage | None = field(default=None, init=False)

    def events(self, chunk: Chunk) -> Iterator[MessageEvent]:
        """Yield *chunk*'s events; raises ProviderProtocolError beyond the bound."""
        self._usage = chunk.usage or self._usage
        if not self._started:
            self._started = True
            message = message_start(self.provider, chunk.model or self.model)
            yield {"type": "message_start", "message": message}
        for choice in chunk.choices:
            if choice.index == 0 and self._finish_reason is None:
                self._finish_reason = choice.finish_reason
                self._take(choice.delta)
        yield from self._advance()

    def end(self, cost: float | None = None) -> Iterator[MessageEvent]:
        for block in self._calls.values():
            if block.custom:
                self._order.add(block, '"}')
        yield from self._advance(ended=True)
        usage = self._usage_payload()
        if cost is not None:
            usage["cost"] = cost
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": self._stop_reason(), "stop_sequence": None},
            "usage": usage,
        }
        yield {"type": "message_stop"}

    def _usage_payload(self) -> MessageUsage:
        """Return the count, or else a guess: clients compact conversations by it."""
        usage = self._usage
        if usage is not None and usage.prompt_tokens + usage.completion_tokens:
            return usage_payload(usage)
        tokens = ceil(self._length / BYTES_PER_TOKEN)
        return {"input_tokens": self.estimate(), "output_tokens": tokens}

    def _take(self, delta: Delta) -> None:
        if delta.reasoning_content:
            self._add_text("thinking", delta.reasoning_content)
        if blocks := delta.extra.get(BLOCKS):
            self._add_seal(redacted(blocks, {}))
        for text in (delta.content, delta.refusal, *_pictures(delta)):
            if text:
                self._add_text("text", text)
        self._has_refusal = self._has_refusal or bool(delta.refusal)
        for call in delta.tool_calls:
            self._add_call(call)

    def _add_text(self, kind: BlockKind, text: str) -> None:
        block = self._last
        if block is None or block.kind != kind:
            block = self._new(kind)
        self._length += len(text)
        self._order.add(block, text)
        if block is not self._order.first:
            self._size.grow(len(text))  # it waits for the blocks before it

    def _add_seal(self, data: str) -> None:
        block = self._new("redacted_thinking")
        block.data = data
        self._size.grow(len(data))
        self._order.add(block)

    def _add_call(self, call: ToolCallDelta) -> None:
        block = self._calls.get(call.index)
        name = word_id(call.id) if call.id else ""  # it is sent back, to Anthropic too
        beside = call.extra.get(BESIDE_CALL)
        known = name or (block.id if block is not None else "")
        if beside and known:
            self._add_seal(redacted([], {known: beside}))
        if block is None:
            block = self._calls[call.index] = self._new("tool_use")
            self._order.add(block)
            self._size.grow(1)
        block.id = block.id or name
        block.name = block.name or call.name or ""
        arguments = call.arguments
        if call.custom is not None:
            arguments = block.quoted(call.custom.get("input") or "")
        if arguments:
            block.arguments.append(arguments)
            self._length += len(arguments)
            self._order.add(block, arguments)
            self._size.grow(len(arguments))

    def _new(self, kind: BlockKind) -> ContentBlock:
        index = 0 if self._last is None else self._last.index + 1
        self._last = ContentBlock(kind, index)
        return self._last

    def _advance(self, *, ended: bool = False) -> Iterator[MessageEvent]:
        for block, pieces, over in self._order.advance(ended=ended):
            if not block.started:
                block.started = True
                yield from self._start(block)
            if pieces:
                yield self._delta(block, "".join(pieces))
            if over:
                yield {"type": "content_block_stop", "index": block.index}

    def _start(self, block: ContentBlock) -> Iterator[MessageEvent]:
        yield {
            "type": "content_block_start",
            "index": block.index,
            "content_block": block.start(),
        }
        if block.index == 0:
            yield {"type": "ping"}  # where the API itself has one

    def _delta(self, block: ContentBlock, text: str) -> MessageEvent:
        kind, name = DELTAS[block.kind]
        return {
            "type": "content_block_delta",
            "index": block.index,
            "delta": {"type": kind, name: text},
        }

    def _stop_reason(self) -> str:
        if self._has_refusal:
            return "refusal"
        if self._finish_reason in STOP_REASONS:
            return STOP_REASONS[self._finish_reason]
        # Not all models that call a tool say so at the end.
        return "tool_use" if self._calls else "end_turn"


def _pictures(delta: Delta) -> list[str]:
    """Return pictures as Markdown: an answer has no blocks for them."""
    images = delta.extra.get("images")
    urls = [
        image["image_url"].get("url")
        for image in (images if isinstance(images, list) else ())
        if isinstance(image, Mapping) and isinstance(image.get("image_url"), Mapping)
    ]
    return [f"![]({url})" for url in urls if isinstance(url, str)]
