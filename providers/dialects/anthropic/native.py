"""Messages that pass as they are, between a client and an upstream of the same API."""

import re

import orjson
from attrs import define, evolve, field

from providers.chat import MESSAGES, NOTHING, Chunk, NativeEvent, NativeRequest
from providers.dialects.endings import Endings
from providers.dialects.finish import EndReason
from providers.dialects.framing import MAX_EVENT_BYTES, EventTooLarge
from providers.json_types import JSONMapping, JSONObject
from providers.settings import ProviderSettings

from .cleaning import cleaned, is_own_host
from .reading import FINISH_REASONS, STOP_REASONS
from .whole import Event

OF_BLOCKS = "content_block_"
# What can stand behind `event:`.
NAME = re.compile(r"[\w.-]+")


def passed_body(
    settings: ProviderSettings, request: NativeRequest, model: str, notes: list[str]
) -> JSONObject:
    """
    Return what the client said, but for the model, and asking for a stream.

    What the API would refuse of other vendors' turns is put right, and noted.
    """
    body = {**request.body, "model": model, "stream": True}
    return cleaned(body, notes, signed_only=is_own_host(settings))


@define
class Passage:
    """
    Puts an answer's events into its chunks.

    What comes before the first token goes with it, or with the end if there is none.
    Why the answer ends, and its usage, are told once, at the end: *ends* and *counted*
    are what is known of both.
    """

    ends: Endings
    counted: JSONMapping
    _held: list[NativeEvent] = field(factory=list, init=False)
    _size: int = field(default=0, init=False)
    _spoke: bool = field(default=False, init=False)
    _waiting: list[Chunk] = field(factory=list, init=False)
    # The block whose turn it is, and the events of those after it: clients have one at
    # a time.
    _turn: int = field(default=0, init=False)
    _behind: list[tuple[Event, bytes]] = field(factory=list, init=False)
    # The events that are to tell the end, as they came.
    _endings: list[tuple[Event, bytes]] = field(factory=list, init=False)

    def carry(self, chunks: list[Chunk], event: Event, data: bytes) -> list[Chunk]:
        """Return *chunks*, what *event* has been read as, with the event in them."""
        kind = event.get("type")
        if kind == "message_delta":
            self._endings.append((event, data))
            if not chunks:
                return []
        else:
            if kind == "message_stop":
                self._held += self._ending()
            self._add(event, data)
        if not self._spoke:
            self._waiting += chunks
            if not any(map(_goes_out, chunks)):
                return []
            self._spoke = True
            chunks, self._waiting = self._waiting, []
        made = chunks or [Chunk()]
        made[0] = evolve(made[0], native=self._taken())
        return made

    def left(self) -> tuple[NativeEvent, ...]:
        """Return the events that have not gone out, where no last event has come."""
        self._held += self._ending()
        return self._taken()

    def _taken(self) -> tuple[NativeEvent, ...]:
        held, self._held = tuple(self._held), []
        return held

    def _add(self, event: Event, data: bytes) -> None:
        kind = event.get("type")
        if not isinstance(kind, str) or not NAME.fullmatch(kind):
            return
        index = event.get("index", 0) if kind.startswith(OF_BLOCKS) else 0
        if index > self._turn:
            self._grow(data)
            self._behind.append((event, data))
            return
        if not self._spoke:
            if kind == "ping":
                return  # there may be any number of them
            self._grow(data)
        self._held.append(NativeEvent(MESSAGES, kind, data))
        if kind == "content_block_stop":
            self._next_turn()

    def _next_turn(self) -> None:
        self._turn += 1
        behind, self._behind = self._behind, []
        for event, data in behind:
            self._size -= len(data)
            self._add(event, data)

    def _grow(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_EVENT_BYTES:
            limit = f"over {MAX_EVENT_BYTES} bytes"
            raise EventTooLarge(f"what comes before the first token is {limit}")

    def _ending(self) -> list[NativeEvent]:
        """Return the one event that tells the end: the upstream's, if it is sound."""
        if not self._endings:
            return []
        event, data = self._endings[-1]
        word = _delta(event).get("stop_reason")
        ending = self.ends.reasons.get(0)
        known = FINISH_REASONS.get(word) if isinstance(word, str) else None
        if ending is None or known != ending.reason:
            word = self._word(ending)
        elif len(self._endings) == 1:
            return [NativeEvent(MESSAGES, "message_delta", data)]
        delta: JSONObject = {"stop_sequence": None}
        for each, _ in self._endings:
            delta |= _delta(each)
        usage = self.counted or {"output_tokens": 0}
        made = {**event, "delta": {**delta, "stop_reason": word}, "usage": usage}
        return [NativeEvent(MESSAGES, "message_delta", orjson.dumps(made))]

    def _word(self, ending: EndReason | None) -> str:
        """Return the API's word for an *ending*, if possible one that has come."""
        reason = "stop" if ending is None else ending.reason
        for event, _ in reversed(self._endings):
            word = _delta(event).get("stop_reason")
            if isinstance(word, str) and FINISH_REASONS.get(word) == reason:
                return word
        return STOP_REASONS[reason]


def _delta(event: Event) -> Event:
    delta: Event = event.get("delta") or NOTHING
    return delta


def _goes_out(chunk: Chunk) -> bool:
    """Whether it is a token, or the end of an answer that has none."""
    return chunk.has_token or any(each.finish_reason for each in chunk.choices)
