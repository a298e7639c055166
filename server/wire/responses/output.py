"""An upstream's chunks, put together as the items of a response's output."""

from collections.abc import Iterator, Sequence

from attrs import define, field

from providers import Choice, Chunk, FinishReason, ToolCallDelta, Usage
from server.json_types import JSON, JSONMapping
from server.wire.bound import AnswerSize
from server.wire.opaque import BESIDE_CALL, BLOCKS
from server.wire.reasoning import DETAILS

from .items import OutputItem, OutputPart, OutputPiece, new_id
from .logprobs import TokenLogprob, token_logprobs
from .payloads import (
    CALL_TYPES,
    ItemPayload,
    ItemStatus,
    ItemType,
    PartKind,
    ReasoningKind,
)
from .tools import NO_TOOLS, Toolbox

# The bytes that a piece takes in memory at least, even without a text.
PIECE_SIZE = 100


@define(eq=False)
class Output:
    """
    The items of one answer, as its chunks come. *reasoning* is the kind of the parts
    that its reasoning has, *toolbox* has the tools that it may call.

    Where the kind of what comes changes, a new item begins; a refusal belongs to its
    message. Of several choices, the first is shown, up to its finish.
    """

    reasoning: ReasoningKind
    toolbox: Toolbox = NO_TOOLS
    items: list[OutputItem] = field(factory=list, init=False)
    usage: Usage | None = field(default=None, init=False)
    finish_reason: FinishReason | None = field(default=None, init=False)
    _calls: dict[int, OutputItem] = field(factory=dict, init=False)
    _size: AnswerSize = field(factory=AnswerSize, init=False)

    def take(self, chunk: Chunk) -> Iterator[OutputPiece]:
        """
        Take in *chunk*; yield what it adds, each piece once it is part of its item.

        Raises ProviderProtocolError beyond the bound of an answer.
        """
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices:
            if choice.index == 0 and self.finish_reason is None:
                yield from self._choice(choice)

    def extend(self, part: OutputPart, texts: list[str]) -> None:
        """Add texts to the part that grew last; raises as `take` does."""
        part.pieces += texts
        self._size.grow(PIECE_SIZE * len(texts) + sum(map(len, texts)))

    def payload(
        self, *, opaque: bool, last: ItemStatus = "completed"
    ) -> list[ItemPayload]:
        """Return the items; the last one's status is *last*."""
        for item in self.items:
            item.settle()
        return [
            item.payload(last if item is self.items[-1] else "completed", opaque=opaque)
            for item in self.items
        ]

    def _choice(self, choice: Choice) -> Iterator[OutputPiece]:
        self.finish_reason = choice.finish_reason
        delta = choice.delta
        if delta.reasoning_content:
            yield self._add("reasoning", self.reasoning, delta.reasoning_content)
        if blocks := delta.extra.get(BLOCKS):
            yield self._keep(blocks, {})
        if details := delta.extra.get(DETAILS):
            piece = self._keep([], {})
            piece.item.details += details
            self._size.grow(len(str(details)))
            yield piece
        logprobs = (choice.logprobs or {}).get("content") or []
        if delta.content or logprobs:
            text = delta.content or ""
            yield self._add("message", "output_text", text, token_logprobs(logprobs))
        if delta.refusal:
            yield self._add("message", "refusal", delta.refusal)
        for call in delta.tool_calls:
            yield from self._call(call)

    def _add(
        self,
        item_type: ItemType,
        kind: PartKind,
        text: str,
        logprobs: Sequence[TokenLogprob] = (),
    ) -> OutputPiece:
        item = self._last_or_new(item_type)
        if not item.parts or item.parts[-1].kind != kind:
            item.parts.append(OutputPart(kind))
        return self._grow(item, item.parts[-1], text, logprobs)

    def _keep(self, blocks: list[JSON], beside: JSONMapping) -> OutputPiece:
        """Keep what the upstream wants back, in the item of the reasoning."""
        item = self._last_or_new("reasoning")
        item.blocks += blocks
        item.beside |= beside
        self._size.grow(len(str(blocks)) + len(str(beside)))
        part = item.parts[-1] if item.parts else OutputPart(self.reasoning)
        return OutputPiece(item, part, "")

    def _call(self, call: ToolCallDelta) -> Iterator[OutputPiece]:
        item = self._calls.get(call.index)
        if item is None:
            call_id = call.id or new_id("call")
            if beside := call.extra.get(BESIDE_CALL):
                yield self._keep([], {call_id: beside})
            item = self._calls[call.index] = self._new("function_call")
            item.call_id = call_id
            item.parts.append(OutputPart("arguments"))
        custom = call.custom or {}
        # Some upstreams repeat the name with every piece.
        if not item.name and (name := call.name or custom.get("name")):
            self._name(item, name, wrapped=call.custom is None)
        yield self._grow(
            item, item.parts[0], call.arguments or custom.get("input") or ""
        )

    def _name(self, item: OutputItem, name: str, *, wrapped: bool) -> None:
        """Give *item* its name, and the type with which that tool was declared."""
        item.name, item.tool = name, self.toolbox.called(name)
        kind = item.tool.kind if item.tool is not None else "function"
        item.type = CALL_TYPES[kind if wrapped else "custom"]
        if item.type == "custom_tool_call":
            item.parts[0].kind, item.parts[0].wrapped = "input", wrapped

    def _last_or_new(self, item_type: ItemType) -> OutputItem:
        if self.items and self.items[-1].type == item_type:
            return self.items[-1]
        return self._new(item_type)

    def _new(self, item_type: ItemType) -> OutputItem:
        item = OutputItem(item_type, len(self.items))
        self.items.append(item)
        return item

    def _grow(
        self,
        item: OutputItem,
        part: OutputPart,
        text: str,
        logprobs: Sequence[TokenLogprob] = (),
    ) -> OutputPiece:
        part.pieces.append(text)
        part.logprobs += logprobs
        self._size.grow(PIECE_SIZE + len(text))
        return OutputPiece(item, part, text, list(logprobs))
