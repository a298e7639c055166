"""OpenAI's chat completions, and what the vendors that copy it make of them.

Differences taken in here, so that nobody further in knows of them: reasoning called
`reasoning`, content as a list of parts, finish reasons of their own, tool calls without
an index, errors with status 200, usage where it was not asked for or in another place,
a whole completion where a stream was asked for, no `[DONE]`, no final blank line.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson
from attrs import define, field

from providers.chat import (
    NO_DELTA,
    NOTHING,
    ChatPiece,
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    Delta,
    TextRun,
    ToolCallDelta,
)
from providers.dialects.base import UNREADABLE, Call, written
from providers.dialects.endings import Endings
from providers.dialects.finish import EndReason, read_ending
from providers.dialects.framing import AnswerDecoder
from providers.dialects.history import sound_history
from providers.dialects.tolerant import TolerantJSON, note
from providers.dialects.tool_calls import CallIds, CallPieces
from providers.dialects.tools import leave_out
from providers.errors import ProviderError, ProviderProtocolError
from providers.settings import ProviderSettings

from .completion import as_completion
from .reading import (
    arguments_of,
    call_index,
    chunk_of,
    content_of,
    error_of,
    index_of,
    object_of,
    readable_usage,
    rest_of,
    said_in,
    says,
    text_of,
    thought_of,
    usage_of,
    with_calls,
)
from .request import API, asked_of
from .template import LESSONS, Template, learn

KNOWN_IN_DELTA = frozenset(
    (
        "role",
        "content",
        "reasoning_content",
        "reasoning",
        "refusal",
        "tool_calls",
        "audio",
        "function_call",
    )
)
PLAIN = frozenset(("role", "content"))
KNOWN_IN_CALL = frozenset(("index", "id", "type", "function"))


@define
class OpenAI:
    """One chat completion: asked for as a stream, read as what comes."""

    settings: ProviderSettings
    done: bool = field(default=False, init=False)
    notes: list[str] = field(factory=list, init=False)
    dropped: list[str] = field(factory=list, init=False)
    _decoder: AnswerDecoder = field(factory=AnswerDecoder, init=False)
    _json: TolerantJSON = field(init=False)
    _ends: Endings = field(init=False)
    _ids: CallIds | None = field(default=None, init=False)  # once there is a call
    _calls: dict[int, CallPieces] = field(factory=dict, init=False)
    _spoke: bool = field(default=False, init=False)
    _template: Template | None = field(default=None, init=False)
    _lessons: int = field(default=LESSONS, init=False)

    def __attrs_post_init__(self) -> None:
        self._json = TolerantJSON(self.notes)
        self._ends = Endings(self.notes)

    @property
    def finished(self) -> bool:
        ends = self._ends  # asked after every read, and most find no reason yet
        return bool(ends.reasons) and ends.finished

    @property
    def sound_end(self) -> bool:
        """Whether the answer is over, and its upstream has said why."""
        return self._ends.sound and self.done

    def encode(self, request: ChatRequest, model: str) -> Call:
        how: dict[str, Any] = {"stream": True}
        if self.settings.rules.stream_usage:
            how["stream_options"] = {"include_usage": True}
        return self._call_for(request, model, how, "text/event-stream")

    def encode_whole(self, request: ChatRequest, model: str) -> Call:
        return self._call_for(request, model, {"stream": False}, "application/json")

    def _call_for(
        self, request: ChatRequest, model: str, how: Mapping[str, Any], accepted: str
    ) -> Call:
        leave_out(request.hosted, API, self.dropped)
        request = sound_history(request, self.notes)
        path, body = asked_of(self.settings, request, model, self.notes)
        body.update(how)
        headers = _headers(self.settings.api_key, accepted)
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
        return Call(
            "models",
            headers={"Accept": "application/json"} | authorization(self.settings),
        )

    def read_models(self, body: bytes) -> tuple[str, ...]:
        payload = orjson.loads(body)
        # Together answers with a bare list.
        rows = payload if isinstance(payload, list) else payload["data"]
        return tuple(str(row["id"]) for row in rows)

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

    def _payload(self, data: bytes, *, whole: bool = False) -> Any:
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
        calls = {index: pieces.close() for index, pieces in self._calls.items()}
        if (last := self._ends.closing(calls)) is not None:
            yield last

    def _whole(self, payload: Mapping[str, Any]) -> Chunk:
        """Read an answer that came in one piece, with its end."""
        chunk = self._chunk(payload, whole=True)
        for choice in chunk.choices:
            calls = self._calls.get(choice.index)
            if calls and (lacking := calls.close()):
                choice.delta = with_calls(choice.delta, lacking)
        return chunk

    def _chunk(self, payload: Mapping[str, Any], *, whole: bool = False) -> Chunk:
        counted, choices = bool(payload.get("usage") or "x_groq" in payload), []
        for each in payload.get("choices") or ():
            choices.append(self._choice(each, whole=whole))
            counted = counted or "usage" in each
        chunk = chunk_of(payload, tuple(choices))
        if counted:
            chunk.usage = self._ends.count(usage_of(payload))
        return chunk

    def _learn(self, data: bytes, payload: Any, chunk: Chunk) -> None:
        if self._ends.reasons or self._json.pending:
            self._template = None
        elif self._lessons and (template := learn(data, payload, chunk)):
            self._template, self._lessons = template, self._lessons - 1

    def _choice(self, choice: Mapping[str, Any], *, whole: bool = False) -> Choice:
        index = choice.get("index")
        if type(index) is not int:
            index = index_of(index)
        delta = self._delta(self._said(choice, whole=whole), index, whole=whole)
        ends, reason, ending = self._ends, choice.get("finish_reason"), None
        if not whole and index in ends.reasons:
            ends.go_on(index, delta)
        if reason and (ending := self._ending(reason, choice)):
            ends.end(index, ending)
            ending = ends.reasons[index]
            if (calls := self._calls.get(index)) and (starts := calls.release()):
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

    def _ending(self, reason: Any, choice: Mapping[str, Any]) -> EndReason | None:
        """Read a finish reason; raises ProviderError for one that tells of an error."""
        try:
            if choice.get("error") and (error := error_of({"error": choice["error"]})):
                raise error
            return read_ending(reason)
        except ProviderError:
            self._ends.broken = True
            raise

    def _said(self, choice: Mapping[str, Any], *, whole: bool) -> Mapping[str, Any]:
        """
        Return a choice's delta, or what stands for it: a message, where no delta is.

        A message beside a delta, or after deltas, repeats what they have said.
        """
        delta: Mapping[str, Any] | None = choice.get("delta")
        if delta:
            self._spoke = self._spoke or says(delta)
            return delta
        said = said_in(choice)
        if whole or not ("delta" in choice or self._spoke):
            return said
        if choice.get("message"):
            note(self.notes, "whole message beside its pieces")
        return NOTHING

    def _delta(
        self, delta: Mapping[str, Any], choice: int, *, whole: bool = False
    ) -> Delta:
        if delta.keys() <= PLAIN:  # most are, and need no look at all else
            plain = delta.get("content")
            if plain is None or plain == "":
                return NO_DELTA
            if type(plain) is str:
                return Delta(content=plain)
        content, thinking = content_of(delta.get("content"))
        reasoning = delta.get("reasoning_content") or delta.get("reasoning") or thinking
        return Delta(
            content=content,
            reasoning_content=thought_of(reasoning),
            refusal=text_of(delta.get("refusal")),
            tool_calls=self._tool_calls(delta.get("tool_calls"), choice, whole=whole),
            audio=object_of(delta.get("audio")),
            function_call=object_of(delta.get("function_call")),
            extra=rest_of(delta, KNOWN_IN_DELTA),
        )

    def _tool_calls(
        self, calls: Any, choice: int, *, whole: bool
    ) -> tuple[ToolCallDelta, ...]:
        if not calls:
            return ()
        pieces = self._calls.get(choice)
        if pieces is None:
            self._ids = self._ids or CallIds(self.notes)
            pieces = self._calls[choice] = CallPieces(self._ids, self.notes)
        out: list[ToolCallDelta] = []
        for call in calls:
            if call is None:
                continue
            index = call_index(call.get("index"))
            out += pieces.add(_piece(call), index, whole=whole)
        return tuple(out)


def _piece(call: Mapping[str, Any]) -> ToolCallDelta:
    function = call.get("function") or NOTHING
    return ToolCallDelta(
        index=0,
        id=text_of(call.get("id")),
        type=text_of(call.get("type")),
        name=text_of(function.get("name")),
        arguments=arguments_of(function.get("arguments")),
        extra=rest_of(call, KNOWN_IN_CALL),
    )


def authorization(settings: ProviderSettings) -> dict[str, str]:
    """Return the header that OpenAI and its copies want the key in."""
    return _bearer(settings.api_key)


def _bearer(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


@lru_cache(maxsize=100)
def _headers(key: str | None, accepted: str) -> Mapping[str, str]:
    return {"Content-Type": "application/json", "Accept": accepted} | _bearer(key)
