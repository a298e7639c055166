"""OpenAI's chat completions, and what the vendors that copy it make of them.

Differences taken in here, so that nobody further in knows of them: reasoning called
`reasoning`, content as a list of parts, finish reasons of their own, tool calls without
an index, errors with status 200, usage where it was not asked for or in another place,
a whole completion where a stream was asked for, no `[DONE]`, no final blank line.
"""

from collections.abc import Iterable, Iterator

from attrs import define, field

from providers.chat import (
    ChatPiece,
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    TextRun,
)
from providers.dialects.base import UNREADABLE, Call, noted, written
from providers.dialects.endings import Endings
from providers.dialects.finish import EndReason, read_ending
from providers.dialects.framing import AnswerDecoder
from providers.dialects.history import sound_history
from providers.dialects.tolerant import TolerantJSON
from providers.dialects.tools import leave_out
from providers.errors import ProviderError, ProviderProtocolError
from providers.json_types import JSON, JSONMapping, JSONObject
from providers.settings import ProviderSettings

from .access import headers_for, models_call, models_in
from .completion import as_completion
from .deltas import DeltaReader
from .reading import (
    chunk_of,
    error_of,
    index_of,
    object_of,
    readable_usage,
    usage_of,
    with_calls,
)
from .request import API, asked_of
from .template import LESSONS, Template, learn


@define
class OpenAI:
    """One chat completion: asked for as a stream, read as what comes."""

    settings: ProviderSettings
    done: bool = field(default=False, init=False)
    notes: list[str] = field(factory=list, init=False)
    dropped: list[str] = field(factory=list, init=False)
    _decoder: AnswerDecoder = field(factory=AnswerDecoder, init=False)
    _json: TolerantJSON = noted(TolerantJSON)
    _ends: Endings = noted(Endings)
    _deltas: DeltaReader = noted(DeltaReader)
    _template: Template | None = field(default=None, init=False)
    _lessons: int = field(default=LESSONS, init=False)

    @property
    def finished(self) -> bool:
        ends = self._ends  # asked after every read, and most find no reason yet
        return bool(ends.reasons) and ends.finished

    @property
    def sound_end(self) -> bool:
        """Whether the answer is over, and its upstream has said why."""
        return self._ends.sound and self.done

    def encode(self, request: ChatRequest, model: str) -> Call:
        how: JSONObject = {"stream": True}
        if self.settings.rules.stream_usage:
            how["stream_options"] = {"include_usage": True}
        return self._call_for(request, model, how, "text/event-stream")

    def encode_whole(self, request: ChatRequest, model: str) -> Call:
        return self._call_for(request, model, {"stream": False}, "application/json")

    def _call_for(
        self, request: ChatRequest, model: str, how: JSONMapping, accepted: str
    ) -> Call:
        leave_out(request.hosted, API, self.dropped)
        request = sound_history(request, self.notes)
        path, body = asked_of(self.settings, request, model, self.notes)
        body.update(how)
        headers = headers_for(self.settings.api_key, accepted)
        return Call(path, written(body), headers)

    def receive(self, received: bytes) -> Iterator[Chunk | TextRun]:
        return self._events(self._decoder.feed(received))

    def end(self) -> Iterator[Chunk | TextRun]:
        try:
            yield from self._events(self._decoder.flush())
        except (ProviderError, *UNREADABLE):
            if not self.finished:
                raise
        if not self.done:
            ends = self._ends
            if ends.open or (self._decoder.is_json and not ends.reasons):
                raise ProviderProtocolError("the answer ended before its finish_reason")
            if not self._decoder.is_json:
                yield from self._closing()
        self.done = True

    def read_whole(self, body: bytes) -> Iterable[ChatPiece]:
        if not body.startswith(b"{"):  # it may be a stream all the same
            return [*self.receive(body), *self.end()]
        payload = self._payload(body, whole=True)
        if (passed := as_completion(payload)) is not None:
            self.done = True
            return [Completion(passed, self._whole, readable_usage(passed))]
        chunk = self._whole(payload)
        if not self.finished:
            raise ProviderProtocolError("the answer ended before its finish_reason")
        self.done = True
        return [chunk]

    def list_models(self) -> Call:
        return models_call(self.settings)

    def read_models(self, body: bytes) -> tuple[str, ...]:
        return models_in(body)

    def _events(self, events: list[bytes]) -> Iterator[Chunk | TextRun]:
        at = 0
        while at < len(events) and not self.done:  # nothing after [DONE] is its part
            alike = self._template
            if alike is not None and (words := alike.words(events, at)):
                at += len(words)
                yield TextRun(alike.like, words)
                continue
            data = events[at]
            at += 1
            if data.startswith(b"[DONE]"):
                self._template = None
                yield from self._closing()
                self.done = True
            elif data:
                yield from self._event(data)

    def _event(self, data: bytes) -> Iterator[Chunk]:
        whole = self._decoder.is_json
        payload = self._payload(data, whole=whole)
        if whole:
            yield self._whole(payload)
            return
        chunk: Chunk | None = self._chunk(payload)
        if chunk is not None and self._ends.reasons:
            chunk = self._ends.without_end(chunk)
        if chunk is not None:
            yield chunk
            self._learn(data, payload, chunk)  # the first token has gone by now

    def _payload(self, data: bytes, *, whole: bool = False) -> JSON:
        payload = self._json.parse(data, whole=whole)
        if error := error_of(payload):
            # Beside choices it is about them; alone, it takes no finish_reason back.
            self._ends.broken = "choices" in payload
            raise error
        return payload

    def _closing(self) -> Iterator[Chunk]:
        """Yield what was kept back for the answer's end."""
        self._ends.over = True
        for event in self._json.rest():
            if (chunk := self._ends.without_end(self._chunk(event))) is not None:
                yield chunk
        calls = {index: pieces.close() for index, pieces in self._deltas.calls.items()}
        if (last := self._ends.closing(calls)) is not None:
            yield last

    def _whole(self, payload: JSONMapping) -> Chunk:
        """Read an answer that came in one piece, with its end."""
        chunk = self._chunk(payload, whole=True)
        for choice in chunk.choices:
            calls = self._deltas.calls.get(choice.index)
            if calls and (lacking := calls.close()):
                choice.delta = with_calls(choice.delta, lacking)
        return chunk

    def _chunk(self, payload: JSONMapping, *, whole: bool = False) -> Chunk:
        counted, choices = bool(payload.get("usage") or "x_groq" in payload), []
        for each in payload.get("choices") or ():
            choices.append(self._choice(each, whole=whole))
            counted = counted or "usage" in each
        chunk = chunk_of(payload, tuple(choices))
        if counted:
            chunk.usage = self._ends.count(usage_of(payload))
        return chunk

    def _learn(self, data: bytes, payload: JSON, chunk: Chunk) -> None:
        if self._ends.reasons or self._json.pending:
            self._template = None
        elif self._lessons and (template := learn(data, payload, chunk)):
            self._template, self._lessons = template, self._lessons - 1

    def _choice(self, choice: JSONMapping, *, whole: bool = False) -> Choice:
        index = choice.get("index")
        if type(index) is not int:
            index = index_of(index)
        delta = self._deltas.read(choice, index, whole=whole)
        ends, reason, ending = self._ends, choice.get("finish_reason"), None
        if not whole and index in ends.reasons:
            ends.go_on(index, delta)
        if reason and (ending := self._ending(reason, choice)):
            ends.end(index, ending)
            ending = ends.reasons[index]
            if (calls := self._deltas.calls.get(index)) and (starts := calls.release()):
                delta = with_calls(delta, starts)
        elif index not in ends.reasons:
            ends.open.add(index)
        logprobs = choice.get("logprobs")
        return Choice(
            index=index,
            delta=delta,
            finish_reason=ending.reason if ending else None,
            native_finish_reason=ending.native if ending else None,
            logprobs=object_of(logprobs) if logprobs else None,
        )

    def _ending(self, reason: JSON, choice: JSONMapping) -> EndReason | None:
        """Read a finish reason; raises ProviderError for one that tells of an error."""
        try:
            if choice.get("error") and (error := error_of({"error": choice["error"]})):
                raise error
            return read_ending(reason)
        except ProviderError:
            self._ends.broken = True
            raise
