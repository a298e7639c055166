"""Responses of an upstream that speaks the Responses API itself, passed on as they are.

In response objects, a few fields are ours: the id, since the response is stored here,
the provider, `previous_response_id` and `store`.
"""

import re
import time
from collections.abc import Iterable, Sequence
from typing import Literal, TypedDict

import orjson
from attrs import define, field

from providers import (
    RESPONSES,
    ChatPiece,
    Chunk,
    NativeEvent,
    ProviderProtocolError,
    TextRun,
)
from server.errors import ErrorPayload
from server.json_types import Count, JSONMapping, JSONObject
from server.wire.frames import event_frame

from .events import EventWriter
from .items import new_id
from .request import ResponseRequest
from .response import ResponseError
from .stored import StoredResponse, input_to_store

BEGINNINGS = ("response.created", "response.queued", "response.in_progress")
ENDINGS = ("response.completed", "response.incomplete")
# In a text that is quoted in JSON, a quotation mark never stands before a colon.
NUMBER = re.compile(rb'"sequence_number": ?(\d+)')
TEXT = "response.output_text.delta"
BETWEEN_TEXTS = b"\n\n" + event_frame(TEXT, b"").removesuffix(b"\n\n")
BEFORE_TEXT = BETWEEN_TEXTS.removeprefix(b"\n\n")


class PassedPayload(TypedDict):
    """A response of an upstream that speaks this API itself, with its own fields."""

    id: str
    object: Literal["response"]
    output: list[JSONMapping]
    provider: str


class PassedEvent(TypedDict):
    """An event of such an upstream, as it came."""

    type: str
    sequence_number: Count


def passes(pieces: Sequence[ChatPiece]) -> bool:
    """Say whether an answer that begins with *pieces* is one to pass on."""
    first = pieces[0] if pieces else None
    return isinstance(first, Chunk) and any(
        event.format == RESPONSES for event in first.native
    )


@define(eq=False)
class PassedResponse:
    """One response as its upstream sends it, with our own id, provider and the like."""

    request: ResponseRequest
    items: list[JSONMapping]
    provider: str
    model: str
    id: str = field(factory=lambda: new_id("resp"), init=False)
    _current: JSONObject = field(factory=dict, init=False)

    def take(self, response: JSONMapping) -> JSONObject:
        """Return the upstream's response object as our client sees it."""
        ours: JSONObject = {"id": self.id, "provider": self.provider}
        if response.get("store") is not None:
            ours["store"] = self.request.kept
        if previous := self.request.previous_response_id:
            ours["previous_response_id"] = previous
        self._current = {**response, **ours}
        return self._current

    def price(self, cost: float | None) -> JSONObject:
        """Return the response object, whose usage says its *cost*, if it is known."""
        usage = self._current.get("usage")
        if cost is not None and isinstance(usage, dict):
            self._current = {**self._current, "usage": {**usage, "cost": cost}}
        return self._current

    def failed(self, error: ResponseError) -> JSONObject:
        """Return the response object of an answer that breaks off with *error*."""
        fields: JSONObject = {
            "id": self.id,
            "object": "response",
            "created_at": int(time.time()),
            "model": self.model,
            "output": [],
            "provider": self.provider,
        }
        return {**fields, **self._current, "status": "failed", "error": error}

    def whole(self) -> JSONObject:
        return self._current

    def stored(self) -> StoredResponse:
        """Return what is to be stored of an answer that is whole."""
        body = {
            name: value for name, value in self._current.items() if name != "output"
        }
        return StoredResponse(
            id=self.id,
            previous=self.request.previous_response_id,
            body=body,
            input=input_to_store(self.items),
            output=self._current.get("output") or [],
        )


@define(eq=False)
class PassingStream:
    """
    Passes an upstream's events on.

    Their numbers go up by one, as clients check, though not all of the upstream's
    events are passed on, and copies of the API number none. The last event waits for
    the stream's end, before which the response is stored.
    """

    response: PassedResponse
    _number: int = field(default=0, init=False)
    # The last event, and its name.
    _last: tuple[str, JSONObject] | None = field(default=None, init=False)

    def render(self, pieces: Iterable[ChatPiece]) -> bytes:
        """Return the events for what arrived together."""
        frames: list[bytes] = []
        for piece in pieces:
            if isinstance(piece, TextRun):
                frames.append(self._run(piece.native))
            elif isinstance(piece, Chunk):
                frames += map(self._event, piece.native)
        return b"".join(frames)

    def end(self, cost: float | None = None) -> bytes:
        """Return the last event of a stream that is whole."""
        if self._last is None:
            return b""
        name, payload = self._last
        return self._own_event(name, {**payload, "response": self.response.price(cost)})

    def fail(self, code: str, error: ErrorPayload) -> bytes:
        """Return the last events of a stream that breaks off; see ResponseStream."""
        reason: ResponseError = {"code": code, "message": error["message"]}
        failed = {"response": self.response.failed(reason)}
        frame = self._own_event("response.failed", failed)
        return frame + EventWriter(self._number).error(error)

    def _run(self, events: Sequence[bytes]) -> bytes:
        """Pass on events that differ in their texts and numbers alone."""
        first, last = self._number, self._number + len(events) - 1
        if _number(events[0]) != first or _number(events[-1]) != last:
            events = [self._numbered(data) for data in events]
        else:
            self._number += len(events)
        if b"\n" in events[0]:
            return b"".join([_frame(TEXT, data) for data in events])
        return b"%b%b\n\n" % (BEFORE_TEXT, BETWEEN_TEXTS.join(events))

    def _event(self, event: NativeEvent) -> bytes:
        if event.name in BEGINNINGS or event.name in ENDINGS:
            payload = orjson.loads(event.data)
            response = self.response.take(payload.get("response") or {})
            if event.name in BEGINNINGS:
                return self._own_event(event.name, {**payload, "response": response})
            self._last = event.name, payload
            return b""
        return _frame(event.name, self._numbered(event.data))

    def _own_event(self, name: str, payload: JSONMapping) -> bytes:
        """Return the frame of an event of our own making."""
        numbered = {"type": name, **payload, "sequence_number": self._number}
        self._number += 1
        return event_frame(name, orjson.dumps(numbered))

    def _numbered(self, data: bytes) -> bytes:
        """Return an event with the number that it has here."""
        number = self._number
        self._number += 1
        match = NUMBER.search(data)
        if match is None:
            rest = data.lstrip()[1:]
            return b'{"sequence_number":%d,%b' % (number, rest)
        if int(match[1]) == number:
            return data
        return b"%b%d%b" % (data[: match.start(1)], number, data[match.end(1) :])


@define(eq=False)
class PassingAnswer:
    """A whole response, taken from the last event of its stream."""

    response: PassedResponse
    _ended: bool = field(default=False, init=False)

    def add(self, pieces: Iterable[ChatPiece]) -> None:
        for piece in pieces:
            for event in piece.native if isinstance(piece, Chunk) else ():
                if event.name in ENDINGS:
                    payload = orjson.loads(event.data)
                    self.response.take(payload.get("response") or {})
                    self._ended = True

    def body(self, cost: float | None = None) -> bytes:
        """Return the response; raises ProviderProtocolError if its end is missing."""
        if not self._ended:
            raise ProviderProtocolError("the response came without its last event")
        return orjson.dumps(self.response.price(cost))


def _number(data: bytes) -> int | None:
    match = NUMBER.search(data)
    return None if match is None else int(match[1])


def _frame(name: str, data: bytes) -> bytes:
    # A line feed between JSON's tokens would end the field.
    return event_frame(name, data.replace(b"\n", b"\ndata: "))
