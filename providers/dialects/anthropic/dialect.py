"""Anthropic's Messages API, and what llama.cpp, Ollama and others make of it.

Facts: the types of Anthropic's own package (2.12) and its documentation at
platform.claude.com/docs, on streaming, errors and authentication.

The gateway keeps nothing between two calls, so what a model wants back unchanged, its
signed thoughts, travels with the client: as `thinking_blocks` of an assistant's
message, in answers and in requests. A client that speaks this API itself gets every
event as it came, with what a copy of the API has got wrong in them put right.
"""

from collections.abc import Iterable, Iterator

import orjson
from attrs import define, evolve, field

from providers.chat import (
    MESSAGES,
    NOTHING,
    ChatRequest,
    Choice,
    Chunk,
    Delta,
)
from providers.dialects.base import Call, noted, written
from providers.dialects.endings import Endings
from providers.dialects.framing import AnswerDecoder
from providers.dialects.history import sound_history
from providers.dialects.tolerant import HALVES, TolerantJSON
from providers.dialects.tool_calls import CallIds
from providers.dialects.tools import functions_only
from providers.errors import ProviderFailed, ProviderProtocolError
from providers.json_types import JSONMapping, JSONObject
from providers.settings import ProviderSettings

from .access import headers_of, models_call, models_in
from .blocks import BlockOrder
from .native import Passage, passed_body
from .reader import BlockReader
from .reading import ending_of, error_of, failed, text_of, usage_of
from .request import message_body
from .turns import API
from .whole import Event

# Before these, what was kept of a text for its next piece goes out.
ENDS_TEXTS = ("content_block_stop", "message_delta", "message_stop")
NO_REASON = {"stop_reason": "end_turn"}


@define
class Anthropic:
    """One message: asked for as a stream, read as what comes."""

    settings: ProviderSettings
    done: bool = field(default=False, init=False)
    notes: list[str] = field(factory=list, init=False)
    dropped: list[str] = field(factory=list, init=False)
    _body: AnswerDecoder = field(factory=AnswerDecoder, init=False)
    _json: TolerantJSON = noted(TolerantJSON)
    _order: BlockOrder = noted(lambda notes: BlockOrder(notes, CallIds(notes)))
    _ends: Endings = noted(Endings)
    _reader: BlockReader = field(factory=BlockReader, init=False)
    _id: str | None = field(default=None, init=False)
    _model: str | None = field(default=None, init=False)
    _counted: JSONObject = field(factory=dict, init=False)
    _passage: Passage | None = field(default=None, init=False)

    @property
    def finished(self) -> bool:
        return self._ends.finished

    @property
    def sound_end(self) -> bool:
        """Whether the answer is over, and its upstream has said why."""
        return self._ends.sound and self.done

    def encode(self, request: ChatRequest, model: str) -> Call:
        headers = {**headers_of(self.settings), "Accept": "text/event-stream"}
        if (native := request.native) is not None and native.format == MESSAGES:
            self._passage = Passage(self._ends, self._counted)
            self._order.words_only = True  # the client sends them back
            headers |= native.headers
            body = passed_body(self.settings, native, model, self.notes)
        else:
            request = functions_only(request, API, self.dropped)
            request = sound_history(request, self.notes)
            body = message_body(self.settings, request, model, self.notes)
        return Call("messages", written(body), headers)

    def receive(self, received: bytes) -> Iterator[Chunk]:
        return self._events(self._body.feed(received))

    def end(self) -> Iterator[Chunk]:
        try:
            yield from self._events(self._body.flush())
        except orjson.JSONDecodeError as exc:
            if not self.finished:
                raise ProviderProtocolError("the answer ends inside an event") from exc
        if not self.finished:
            raise ProviderProtocolError("the answer ended before its stop_reason")
        if not self.done:
            for event in self._order.stops():
                yield from self._passed(event, b"")
            for chunk in self._closing():
                left = () if self._passage is None else self._passage.left()
                yield evolve(chunk, native=left)
        self.done = True

    def list_models(self) -> Call:
        return models_call(self.settings)

    def read_models(self, body: bytes) -> tuple[str, ...]:
        return models_in(body)

    def _events(self, events: list[bytes]) -> Iterator[Chunk]:
        for data in events:
            if self.done:
                break
            event = self._json.parse(data, whole=self._body.is_json)
            if self._json.pending and event.get("type") in ENDS_TEXTS:
                for left in self._json.rest():
                    yield from self._ordered(left, b"")
            yield from self._ordered(event, data)

    def _ordered(self, event: Event, data: bytes) -> Iterator[Chunk]:
        """Read an event, after those that should have come before it."""
        for each in self._order.ordered(event):
            yield from self._passed(each, data if each is event else b"")

    def _passed(self, event: Event, data: bytes) -> list[Chunk]:
        """Read an event, and put it into its chunks for who wants it as it came."""
        made = self._event(event)
        if self._passage is None:
            return made
        # Where halves of characters came, bytes may hold what their value does not.
        raw = data if data and HALVES not in self.notes else orjson.dumps(event)
        return self._passage.carry(made, event, raw)

    def _event(self, event: Event) -> list[Chunk]:
        """Read one event; pings, and types that the API may yet add, say nothing."""
        if failed(event):
            raise error_of(event)
        chunks: list[Chunk] = []
        match event.get("type"):
            case "content_block_delta":
                chunks = self._say(self._reader.grow(event["index"], event["delta"]))
            case "content_block_start":
                start = event["content_block"]
                chunks = self._say(self._reader.open(event["index"], start))
            case "content_block_stop":
                chunks = self._say(self._reader.close(event["index"]))
            case "message_start":
                message = event.get("message") or NOTHING
                self._id, self._model = message.get("id"), message.get("model")
                chunks = self._finish(message, message.get("usage"))
            case "message_delta":
                delta = event.get("delta") or NOTHING
                chunks = self._finish(delta, event.get("usage"))
            case "message_stop":
                self.done = True
                chunks = [] if self.finished else self._finish(NO_REASON, None)
                chunks = [*chunks, *self._closing()]
        return chunks

    def _finish(self, delta: Event, usage: JSONMapping | None) -> list[Chunk]:
        # Every count is a total that takes the place of the one before.
        for name, count in (usage or NOTHING).items():
            if count is not None and (count or name not in self._counted):
                self._counted[name] = count
        reason = delta.get("stop_reason")
        try:
            ending = ending_of(reason)
        except ProviderFailed:
            self._ends.broken = True
            raise
        if ending is None:
            return []
        self._ends.end(0, ending)
        if reason != "refusal":
            return []
        details = delta.get("stop_details") or NOTHING
        refusal = text_of(details.get("explanation")) or "The model refused."
        return self._say([Delta(refusal=refusal)])

    def _closing(self) -> list[Chunk]:
        """Return the chunk that ends the answer."""
        if self._counted:
            self._ends.usage = usage_of(self._counted)
        last = self._ends.closing({})
        return [] if last is None else [evolve(last, id=self._id, model=self._model)]

    def _say(self, deltas: Iterable[Delta]) -> list[Chunk]:
        """Return the chunks that say this."""
        chunks = []
        for delta in deltas:
            if self._ends.reasons:
                self._ends.go_on(0, delta)
            said = (Choice(delta=delta),)
            chunks.append(Chunk(id=self._id, model=self._model, choices=said))
        return chunks
