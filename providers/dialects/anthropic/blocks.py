"""The events of Messages that copies of the API leave out, put in again."""

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from providers.dialects.tolerant import note

# The block that a delta belongs to, by the delta's type.
STARTS: dict[str, dict[str, Any]] = {
    "text_delta": {"type": "text", "text": ""},
    "thinking_delta": {"type": "thinking", "thinking": "", "signature": ""},
    "signature_delta": {"type": "thinking", "thinking": "", "signature": ""},
}
Event = Mapping[str, Any]


@define(eq=False)
class BlockOrder:
    """
    Gives each block its start, its stop and its index.

    Events that lack nothing come through as the same objects.
    """

    notes: list[str]
    _open: dict[int, str] = field(factory=dict, init=False)
    _next: int = field(default=0, init=False)

    def ordered(self, event: Event) -> list[Event]:
        """Return the events that *event* should have been."""
        match event.get("type"):
            case "content_block_start":
                return self._start(event)
            case "content_block_delta":
                return self._delta(event)
            case "content_block_stop":
                return self._stop(event)
            case "message_delta" if (event.get("delta") or {}).get("stop_reason"):
                return [*self.stops(), event]
            case "message_stop":
                return [*self.stops(), event]
        return [event]

    def stops(self) -> list[Event]:
        """Return the stops that the open blocks lack."""
        lacking = [{"type": "content_block_stop", "index": i} for i in self._open]
        self._open.clear()
        return [*lacking]

    def _start(self, event: Event) -> list[Event]:
        index, before = event.get("index"), []
        if type(index) is not int:
            note(self.notes, "content blocks without an index")
            before, index = self.stops(), self._next
            event = {**event, "index": index}
        self._begin(index, event["content_block"].get("type"))
        return [*before, event]

    def _begin(self, index: int, kind: str) -> None:
        self._open[index] = kind
        self._next = max(self._next, index + 1)

    def _delta(self, event: Event) -> list[Event]:
        index, delta = event.get("index"), event["delta"]
        start = STARTS.get(delta.get("type"))
        if type(index) is not int:
            note(self.notes, "content blocks without an index")
            index = next(reversed(self._open), self._next)
            if start is not None and self._open.get(index) != start["type"]:
                index = self._next
            event = {**event, "index": index}
        if index in self._open:
            return [event]
        if start is None:
            return []  # of a block that nobody knows
        note(self.notes, "content block without a start")
        before = self.stops()
        if index < self._next:  # it was stopped: what goes on is another block
            event = {**event, "index": self._next}
            index = self._next
        self._begin(index, start["type"])
        begun = {"type": "content_block_start", "index": index, "content_block": start}
        return [*before, begun, event]

    def _stop(self, event: Event) -> list[Event]:
        index = event.get("index")
        if type(index) is not int:
            if not self._open:
                return []
            index = next(reversed(self._open))
            event = {**event, "index": index}
        return [event] if self._open.pop(index, None) is not None else []
