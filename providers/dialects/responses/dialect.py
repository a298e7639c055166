"""OpenAI's Responses API, and what xAI, Azure, Ollama and others make of it.

Facts: OpenAI's specification, the types of its package (3.57), and what has been
reported of its copies.

No upstream is to keep anything, since those that lose a race would, too: what a model
wants back of its reasoning travels with the client. A client that speaks this API
itself gets every event as it came.
"""

from collections.abc import Iterator

import orjson
from attrs import define, field

from providers.chat import RESPONSES, ChatRequest, Chunk, TextRun
from providers.dialects.base import Call, noted, written
from providers.dialects.framing import AnswerDecoder
from providers.dialects.tolerant import HALVES, TolerantJSON
from providers.dialects.tools import without_hosted
from providers.errors import ProviderProtocolError
from providers.json_types import JSONMapping, JSONObject
from providers.settings import ProviderSettings

from .alike import TEXT, AlikeEvents, learn
from .answer import AnswerReader
from .conversation import API
from .native import EventPassage, passed_body
from .repair import ArgumentEvents
from .request import response_body
from .whole import is_response, last_event, unrolled

# So many may be learned in vain: an upstream that varies another field is not alike.
LESSONS = 64
STREAM, AS_JSON = "text/event-stream", "application/json"


@define
class Responses:
    """One response: asked for as a stream, read as what comes."""

    settings: ProviderSettings
    done: bool = field(default=False, init=False)
    notes: list[str] = field(factory=list, init=False)
    dropped: list[str] = field(factory=list, init=False)
    _body: AnswerDecoder = field(factory=AnswerDecoder, init=False)
    _json: TolerantJSON = noted(TolerantJSON)
    _arguments: ArgumentEvents = noted(ArgumentEvents)
    _answer: AnswerReader = field(init=False)
    _passage: EventPassage | None = field(default=None, init=False)
    _alike: AlikeEvents | None = field(default=None, init=False)
    _lessons: int = field(default=LESSONS, init=False)

    @_answer.default
    def _new_answer(self) -> AnswerReader:
        return AnswerReader(self.settings.id)

    @property
    def finished(self) -> bool:
        return self._answer.ended

    @property
    def sound_end(self) -> bool:
        """Whether the answer's last event has come, which says why it ended."""
        return self._answer.ended

    def encode(self, request: ChatRequest, model: str) -> Call:
        body = self._encoded(request, model)
        headers = self._headers(request, STREAM)
        return Call("responses", written(body), headers)

    def encode_whole(self, request: ChatRequest, model: str) -> Call:
        body = {**self._encoded(request, model), "stream": False}
        body.pop("stream_options", None)
        return Call("responses", written(body), self._headers(request, AS_JSON))

    def receive(self, received: bytes) -> Iterator[Chunk | TextRun]:
        return self._events(self._body.feed(received))

    def end(self) -> Iterator[Chunk | TextRun]:
        try:
            yield from self._events(self._body.flush())
        except orjson.JSONDecodeError as exc:
            raise ProviderProtocolError("the answer ends inside an event") from exc
        if not self.finished:
            raise ProviderProtocolError("the answer ended before its last event")
        self.done = True

    def read_whole(self, body: bytes) -> list[Chunk | TextRun]:
        return [*self.receive(body), *self.end()]  # whichever of both it is

    def list_models(self) -> Call:
        return Call("models", headers=headers_of(self.settings, AS_JSON))

    def read_models(self, body: bytes) -> tuple[str, ...]:
        payload = orjson.loads(body)
        rows = payload if isinstance(payload, list) else payload["data"]
        return tuple(str(row["id"]) for row in rows)

    def _encoded(self, request: ChatRequest, model: str) -> JSONObject:
        if _passes(request):
            self._passage = EventPassage()
        else:
            request = without_hosted(request, API, self.dropped)
        return body_of(request, model, self.settings)

    def _headers(self, request: ChatRequest, accepted: str) -> dict[str, str]:
        headers = headers_of(self.settings, accepted)
        if request.native is not None and _passes(request):
            headers |= request.native.headers
        return headers

    def _events(self, events: list[bytes]) -> Iterator[Chunk | TextRun]:
        at = 0
        while at < len(events) and not self.done:
            alike = self._alike
            if alike is not None and (run := alike.run(events, at)):
                at += run.count
                yield run
                continue
            data = events[at]
            at += 1
            if not data or data.startswith(b"[DONE]"):
                continue  # the API has no such thing, its copies may
            event = self._json.parse(data, whole=self._body.is_json)
            if self._body.is_json and is_response(event):
                yield from self._whole(event, data)
                continue
            chunks = self._repaired(event, data)
            yield from chunks
            self._learn(event, data, chunks)  # the first token has gone by now

    def _repaired(self, event: JSONMapping, data: bytes) -> list[Chunk]:
        """Read an event, its arguments mended, and what was held back of them."""
        events = self._arguments.repaired(event, data)
        if events == [event] and HALVES not in self.notes:
            return self._event(event, data)
        return [c for each in events for c in self._event(each, orjson.dumps(each))]

    def _event(self, event: JSONMapping, data: bytes) -> list[Chunk]:
        chunks = self._answer.take(event)
        self.done = self._answer.ended
        if self._passage is not None:
            return self._passage.carry(chunks, event.get("type"), data)
        return chunks

    def _learn(self, event: JSONMapping, data: bytes, chunks: list[Chunk]) -> None:
        """Know events like a text's by their bytes, until there is another one."""
        item, self._alike = self._answer.spoken, None
        if HALVES in self.notes or item is None or not self._lessons:
            return
        if event.get("type") == TEXT and chunks:
            passes = self._passage is not None
            self._alike = learn(data, event, chunks[0], item, passes=passes)
            self._lessons -= 1

    def _whole(self, response: JSONMapping, data: bytes) -> Iterator[Chunk]:
        """Read a response that came whole; who gets its events, gets all of them."""
        (last,) = self._arguments.repaired(last_event(response), data)
        if self._passage is None:
            yield from self._answer.take(last)
            self.done = self._answer.ended
            return
        for event in unrolled(last["response"]):
            yield from self._event(event, orjson.dumps(event))


def body_of(request: ChatRequest, model: str, settings: ProviderSettings) -> JSONObject:
    """Return the body of a request: the client's own, if it speaks this API."""
    if request.native is not None and _passes(request):
        return passed_body(request.native, model, settings)
    return response_body(request, model, settings)


def headers_of(settings: ProviderSettings, accepted: str) -> dict[str, str]:
    """Return the headers that every call has; *accepted* is the type of its answer."""
    headers = {"Content-Type": "application/json", "Accept": accepted}
    if settings.api_key:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    return headers


def _passes(request: ChatRequest) -> bool:
    return request.native is not None and request.native.format == RESPONSES
