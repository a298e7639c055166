"""An upstream's chunks, put together as the items of a response's output."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import orjson
from attrs import Factory, define, evolve, field, frozen

from providers import (
    Choice,
    Chunk,
    FinishReason,
    ProviderProtocolError,
    ToolCallDelta,
    Usage,
)
from server.wire.reasoning import DETAILS, joined_details

from .opaque import BESIDE_CALL, BLOCKS, sealed

MAX_ANSWER = 64 * 1024 * 1024
# What a piece takes at least, even if it says nothing.
PIECE_SIZE = 100
ItemType = Literal["message", "reasoning", "function_call"]
Kind = Literal["output_text", "refusal", "reasoning_text", "summary_text", "arguments"]
Status: TypeAlias = str
PREFIXES: Mapping[ItemType, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
}


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"


@define(eq=False)
class Part:
    """A part of an item, as it grows; a call's arguments are one, too."""

    kind: Kind
    pieces: list[str] = field(factory=list)
    logprobs: list[Any] = field(factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def payload(self) -> dict[str, Any]:
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": self.text}
        shown: dict[str, Any] = {"type": self.kind, "text": self.text}
        if self.kind == "output_text":
            shown |= {"annotations": [], "logprobs": self.logprobs}
        return shown


@define(eq=False)
class Item:
    """
    One item of the output; *name* and *call_id* are a function call's.

    *blocks*, *beside* and *details* are what the upstream wants back with its
    reasoning.
    """

    type: ItemType
    index: int
    parts: list[Part] = field(factory=list)
    name: str = ""
    call_id: str = ""
    blocks: list[Any] = field(factory=list)
    beside: dict[str, Any] = field(factory=dict)
    details: list[Any] = field(factory=list)
    id: str = field(
        default=Factory(lambda it: new_id(PREFIXES[it.type]), takes_self=True)
    )

    @property
    def named(self) -> bool:
        """Whether it can be shown: a call's name may come after its first piece."""
        return self.type != "function_call" or bool(self.name)

    @property
    def whole(self) -> bool:
        """Whether nothing more can come: a call's arguments are a JSON object."""
        if self.type != "function_call":
            return True
        try:
            return isinstance(orjson.loads(self.parts[0].text), dict)
        except orjson.JSONDecodeError:
            return False

    def begun(self) -> dict[str, Any]:
        """Return it as it stands in a response before any of its parts has come."""
        empty = evolve(self, parts=[Part("arguments")] if self.name else [])
        return empty.payload("in_progress", opaque=False)

    def payload(self, status: Status, *, opaque: bool) -> dict[str, Any]:
        """Return it as a response has it; *opaque*: with what is to be sent back."""
        shown: dict[str, Any] = {"id": self.id, "type": self.type, "status": status}
        if self.type == "function_call":
            shown |= {"call_id": self.call_id, "name": self.name}
            return {**shown, "arguments": self.parts[0].text}
        parts = [part.payload() for part in self.parts]
        if self.type == "message":
            return {**shown, "role": "assistant", "content": parts}
        shown["summary"] = [part for part in parts if part["type"] == "summary_text"]
        if thoughts := [part for part in parts if part["type"] == "reasoning_text"]:
            shown["content"] = thoughts
        kept = self.blocks + joined_details(self.details)
        if opaque and (text := sealed(kept, self.beside)):
            shown["encrypted_content"] = text
        return shown


@frozen
class Piece:
    """What one chunk adds to one part of one item."""

    item: Item
    part: Part
    text: str
    logprobs: list[Any] = field(factory=list)


@define(eq=False)
class Output:
    """
    The items of one answer, as its chunks come; *thoughts* is how reasoning is shown.

    A change of kind begins a new item, but a refusal, which is part of a message. Of
    several choices, it knows the first; nothing follows its finish.
    """

    thoughts: Kind
    items: list[Item] = field(factory=list, init=False)
    usage: Usage | None = field(default=None, init=False)
    finish_reason: FinishReason | None = field(default=None, init=False)
    _calls: dict[int, Item] = field(factory=dict, init=False)
    _size: int = field(default=0, init=False)

    def take(self, chunk: Chunk) -> Iterator[Piece]:
        """
        Take in *chunk*; yield what it adds, each piece when it is in its place.

        Raises ProviderProtocolError if there is no end to it.
        """
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices:
            if choice.index == 0 and self.finish_reason is None:
                yield from self._choice(choice)
        self._check_size()

    def extend(self, part: Part, texts: list[str]) -> None:
        """Add texts to the part that grew last; raises likewise."""
        part.pieces += texts
        self._size += PIECE_SIZE * len(texts) + sum(map(len, texts))
        self._check_size()

    def payload(self, *, opaque: bool, last: Status = "completed") -> list[Any]:
        """Return the items; the last one's status is *last*."""
        statuses = ["completed"] * (len(self.items) - 1) + [last]
        return [
            item.payload(status, opaque=opaque)
            for item, status in zip(self.items, statuses, strict=False)
        ]

    def _check_size(self) -> None:
        if self._size > MAX_ANSWER:
            raise ProviderProtocolError(f"the answer is larger than {MAX_ANSWER} bytes")

    def _choice(self, choice: Choice) -> Iterator[Piece]:
        self.finish_reason = choice.finish_reason
        delta = choice.delta
        if delta.reasoning_content:
            yield self._add("reasoning", self.thoughts, delta.reasoning_content)
        if blocks := delta.extra.get(BLOCKS):
            yield self._keep(blocks, {})
        if details := delta.extra.get(DETAILS):
            piece = self._keep([], {})
            piece.item.details += details
            self._size += len(str(details))
            yield piece
        logprobs = (choice.logprobs or {}).get("content") or []
        if delta.content or logprobs:
            text = delta.content or ""
            yield self._add("message", "output_text", text, _logprobs(logprobs))
        if delta.refusal:
            yield self._add("message", "refusal", delta.refusal)
        for call in delta.tool_calls:
            yield from self._call(call)

    def _add(
        self, kind: ItemType, part: Kind, text: str, logprobs: Iterable[Any] = ()
    ) -> Piece:
        last = self.items[-1] if self.items else None
        item = last if last and last.type == kind else self._new(kind)
        if not item.parts or item.parts[-1].kind != part:
            item.parts.append(Part(part))
        return self._grow(item, item.parts[-1], text, logprobs)

    def _keep(self, blocks: list[Any], beside: Mapping[str, Any]) -> Piece:
        """Keep what goes back to the upstream, in the thoughts that it belongs to."""
        last = self.items[-1] if self.items else None
        item = last if last and last.type == "reasoning" else self._new("reasoning")
        item.blocks += blocks
        item.beside |= beside
        self._size += len(str(blocks)) + len(str(beside))
        part = item.parts[-1] if item.parts else Part(self.thoughts)
        return Piece(item, part, "")

    def _call(self, call: ToolCallDelta) -> Iterator[Piece]:
        item = self._calls.get(call.index)
        if item is None:
            call_id = call.id or new_id("call")
            if beside := call.extra.get(BESIDE_CALL):
                yield self._keep([], {call_id: beside})
            item = self._calls[call.index] = self._new("function_call")
            item.call_id = call_id
            item.parts.append(Part("arguments"))
        # Some upstreams repeat the name with every piece.
        item.name = item.name or call.name or ""
        yield self._grow(item, item.parts[0], call.arguments or "")

    def _new(self, kind: ItemType) -> Item:
        item = Item(kind, len(self.items))
        self.items.append(item)
        return item

    def _grow(
        self, item: Item, part: Part, text: str, logprobs: Iterable[Any] = ()
    ) -> Piece:
        part.pieces.append(text)
        part.logprobs += logprobs
        self._size += PIECE_SIZE + len(text)
        return Piece(item, part, text, list(logprobs))


def _logprobs(rows: Iterable[Any]) -> list[Any]:
    """Return a chat's log probabilities as this API has them: bytes are never null."""
    return [
        _likely(row) | {"top_logprobs": _logprobs_of(row.get("top_logprobs"))}
        for row in rows
        if _is_likely(row)
    ]


def _logprobs_of(rows: Any) -> list[Any]:
    return [_likely(row) for row in rows or () if _is_likely(row)]


def _is_likely(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("token"), str)


def _likely(row: Mapping[str, Any]) -> dict[str, Any]:
    spelled = row.get("bytes") or list(row["token"].encode())
    return {"token": row["token"], "logprob": row.get("logprob"), "bytes": spelled}
