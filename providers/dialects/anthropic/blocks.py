"""The events of Messages; what copies of the API leave out or get wrong in them."""

from collections.abc import Iterable

import orjson
from attrs import define, field

from providers.dialects.arguments import ArgumentText
from providers.dialects.call_ids import word_id
from providers.dialects.tolerant import mended, note
from providers.dialects.tool_calls import CallIds
from providers.json_types import JSON, JSONObject

from .whole import GROWN, Event, begun_with, unrolled

# The block that a delta belongs to, by the delta's type.
STARTS: dict[str, JSONObject] = {
    "text_delta": {"type": "text", "text": ""},
    "thinking_delta": {"type": "thinking", "thinking": "", "signature": ""},
    "signature_delta": {"type": "thinking", "thinking": "", "signature": ""},
}
KINDS = {name: block["type"] for name, block in STARTS.items()}
# What a block has when it begins, by its type.
BEGUN: dict[str, JSONObject] = {
    "text": {"text": ""},
    "thinking": {"thinking": ""},
    "tool_use": {"input": {}},
}
UNNUMBERED = "content blocks without an index"
MISNUMBERED = "content blocks numbered anew"


@define(eq=False)
class _OpenBlock:
    """
    A block that has not stopped: our *index* of it, and its *kind*.

    A call's *input* is what its start had of it; *text* is what comes after it.
    """

    index: int
    kind: str
    input: JSON = None
    text: ArgumentText | None = None
    said: bool = False


@define(eq=False)
class BlockOrder:
    """
    Gives each block its start, its stop, and its index: 0, 1, 2 … as clients count; and
    each call an id of its own, and its input.

    Events that lack nothing come through as the same objects. *words_only*: ids are to
    be such as Anthropic's own API would take back.
    """

    notes: list[str]
    ids: CallIds
    words_only: bool = False
    _open: dict[int, _OpenBlock] = field(factory=dict, init=False)
    _next: int = field(default=0, init=False)

    def ordered(self, event: Event) -> list[Event]:
        """Return the events that *event* should have been."""
        events: list[Event] = [event]
        match event.get("type"):
            case "content_block_delta":
                events = self._delta(event)
            case "content_block_start":
                events = self._start(event)
            case "content_block_stop":
                events = self._stop(event)
            case "message_stop":
                events = [*self.stops(), event]
            case "message":
                events = self._all(unrolled(event))
            case "message_start" if (event.get("message") or {}).get("content"):
                events = self._all(begun_with(event["message"]))
        return events

    def _all(self, events: Iterable[Event]) -> list[Event]:
        return [each for event in events for each in self.ordered(event)]

    def stops(self) -> list[Event]:
        """Return the stops that the open blocks lack."""
        open_, self._open = self._open, {}
        return [event for block in open_.values() for event in self._stopped(block)]

    def _start(self, event: Event) -> list[Event]:
        index, before = event.get("index"), []
        if not event.get("content_block"):
            return []  # the deltas tell which it is
        if type(index) is not int:
            note(self.notes, UNNUMBERED)
            before, index = self.stops(), self._next
        elif self._open:
            before = self._stops_before(index)
        block = self._begin(index, event["content_block"])
        content = self._content(event["content_block"], block)
        if content is event["content_block"] and block.index == event.get("index"):
            return [*before, event]
        return [*before, {**event, "index": block.index, "content_block": content}]

    def _stops_before(self, index: int) -> list[Event]:
        """
        Return the stops of what is over when a block begins, or goes on: texts, and who
        has its *index*. Calls may come in turns.
        """
        over = [i for i, b in self._open.items() if i == index or b.kind in GROWN]
        return [event for i in over for event in self._stopped(self._open.pop(i))]

    def _begin(self, index: int, content: Event) -> _OpenBlock:
        """Open a block; *index* is the upstream's."""
        if index != self._next:
            note(self.notes, MISNUMBERED)
        block = self._open[index] = _OpenBlock(self._next, content.get("type") or "")
        self._next += 1
        return block

    def _content(self, content: Event, block: _OpenBlock) -> Event:
        """Return the block of a start with all that it must have."""
        lacking = BEGUN.get(block.kind, {})
        if any(content.get(name) is None for name in lacking):
            content = {**content, **lacking}
        if block.kind != "tool_use":
            return content
        if content["input"]:  # clients take it from the deltas
            note(self.notes, "call input in its start")
            block.input = content["input"]
            content = {**content, "input": {}}
        theirs = content.get("id")
        ours = self.ids.unique(theirs if isinstance(theirs, str) else None)
        if self.words_only:
            ours = word_id(ours)
        if ours == theirs:
            return content
        note(self.notes, "call id rewritten")
        return {**content, "id": ours}

    def _delta(self, event: Event) -> list[Event]:
        index, delta = event.get("index"), event.get("delta")
        if not delta:
            return []
        kind = delta.get("type")
        block = self._open.get(index) if type(index) is int else None
        if block is not None and KINDS.get(kind, block.kind) == block.kind:
            if kind == "input_json_delta":
                return self._argued(block, event)
            if block.index == index:
                return [event]
            return [{**event, "index": block.index}]
        return self._misplaced(event)

    def _misplaced(self, event: Event) -> list[Event]:
        """Return a delta whose block is not open, with the start of one."""
        index, kind = event.get("index"), event["delta"].get("type")
        if type(index) is not int:
            note(self.notes, UNNUMBERED)
            index = next(reversed(self._open), self._next)
            block = self._open.get(index)
            if block is not None and KINDS.get(kind, block.kind) == block.kind:
                return self._delta({**event, "index": index})
            index = self._next
        start = STARTS.get(kind or "")
        if start is None:
            return []  # of a block that nobody knows
        note(self.notes, "content block without a start")
        before = self._stops_before(index)
        block = self._begin(index, start)
        begun = {"index": block.index, "content_block": start}
        return [
            *before,
            {"type": "content_block_start", **begun},
            {**event, "index": block.index},
        ]

    def _argued(self, block: _OpenBlock, event: Event) -> list[Event]:
        """Return a piece of a call's input, less what is not yet a character."""
        piece = event["delta"].get("partial_json")
        said = piece = "" if piece is None else piece
        if isinstance(piece, str) and piece:
            block.said = True
            if block.text is not None or "\\" in piece:
                block.text = block.text or ArgumentText(self.notes)
                said = block.text.add(piece)
        same = said == event["delta"].get("partial_json")
        if same and block.index == event["index"]:
            return [event]
        delta = {**event["delta"], "partial_json": said}
        return [{**event, "index": block.index, "delta": delta}]

    def _stop(self, event: Event) -> list[Event]:
        index = event.get("index")
        if type(index) is not int:
            index = next(reversed(self._open), None)
        block = self._open.pop(index, None) if index is not None else None
        if block is None:
            return []
        stopped = self._stopped(block)
        if block.index == event.get("index"):
            stopped[-1] = event
        return stopped

    def _stopped(self, block: _OpenBlock) -> list[Event]:
        """Return the end of a block: the rest of a call's input, and its stop."""
        rest = block.text.rest() if block.text is not None else ""
        if block.kind == "tool_use" and not block.said:
            rest = _written(block.input or {})  # clients parse it, so none is an object
        stop: list[Event] = [{"type": "content_block_stop", "index": block.index}]
        if not rest:
            return stop
        delta = {"type": "input_json_delta", "partial_json": rest}
        return [
            {"type": "content_block_delta", "index": block.index, "delta": delta},
            *stop,
        ]


def _written(value: JSON) -> str:
    """Return a call's input as text; some write it as one themselves."""
    return value if isinstance(value, str) else orjson.dumps(mended(value)).decode()
