"""Google's Gemini API: streamGenerateContent, each event a response of its own.

Facts: the types of Google's own package (google-genai 3.4) and its documentation at
ai.google.dev, on thought signatures and on errors.

The gateway keeps nothing between two calls, so the signatures that a model wants back
with its calls travel with the client: in a tool call's `extra_content`, where Google's
own OpenAI-shaped API has them too.
"""

from collections.abc import Iterator, Sequence

import orjson
from attrs import define, field

from providers.chat import (
    NOTHING,
    ChatRequest,
    Choice,
    Chunk,
    Delta,
    ToolCallDelta,
)
from providers.dialects.base import Call, noted, written
from providers.dialects.endings import Endings
from providers.dialects.finish import EndReason, is_filter, read_ending
from providers.dialects.framing import AnswerDecoder
from providers.dialects.history import sendable
from providers.dialects.tolerant import TolerantJSON
from providers.dialects.tool_calls import CallIds
from providers.dialects.upstream_errors import error_in
from providers.errors import (
    ProviderError,
    ProviderFailed,
    ProviderProtocolError,
)
from providers.json_types import JSONMapping
from providers.settings import ProviderSettings

from .access import key_of, models_call, models_in, path_of
from .reading import filtered, images_in, logprobs_of, muted, usage_of
from .request import API, content_body

HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}


@define
class Gemini:
    """One generation: asked for as a stream, read as what comes."""

    settings: ProviderSettings
    done: bool = field(default=False, init=False)
    notes: list[str] = field(factory=list, init=False)
    dropped: list[str] = field(factory=list, init=False)
    _body: AnswerDecoder = field(factory=AnswerDecoder, init=False)
    _json: TolerantJSON = noted(TolerantJSON)
    _ends: Endings = noted(Endings)
    _ids: CallIds = noted(CallIds)
    _calls: dict[int, int] = field(factory=dict, init=False)
    _spoke: bool = field(default=False, init=False)
    _mute: ProviderError | None = field(default=None, init=False)

    @property
    def finished(self) -> bool:
        return self._ends.finished

    @property
    def sound_end(self) -> bool:
        """Whether the answer is over, and its upstream has said why."""
        return self._ends.sound and self.done

    def encode(self, request: ChatRequest, model: str) -> Call:
        # Without `alt` the stream would be one array of JSON.
        path = f"{path_of(model)}:streamGenerateContent?alt=sse"
        request = sendable(request, API, self.dropped, self.notes)
        body = written(content_body(request, model))
        return Call(path, body, HEADERS | key_of(self.settings))

    def receive(self, received: bytes) -> Iterator[Chunk]:
        return self._events(self._body.feed(received))

    def end(self) -> Iterator[Chunk]:
        try:
            yield from self._events(self._body.flush())
        except orjson.JSONDecodeError as exc:
            if not self.finished:
                raise ProviderProtocolError("the answer ends inside an event") from exc
        if not self.finished:
            raise ProviderProtocolError("the answer ended before its finishReason")
        yield from self._closing()
        if self._mute is not None and not self._spoke:
            raise self._mute
        self.done = True

    def list_models(self) -> Call:
        return models_call(self.settings)

    def read_models(self, body: bytes) -> tuple[str, ...]:
        return models_in(body)

    def _events(self, events: list[bytes]) -> Iterator[Chunk]:
        for data in events:
            if data.startswith(b"[DONE]"):
                continue  # the API has no such thing, proxies before it may
            payload = self._json.parse(data)
            # Errors may come in a list of one, and a stream without `alt` as one list.
            listed = payload if isinstance(payload, list) else [payload]
            for each in listed:
                yield from self._event(each)

    def _event(self, payload: JSONMapping) -> Iterator[Chunk]:
        chunk: Chunk | None = self._chunk(payload)
        if chunk is not None and self._ends.reasons:
            chunk = self._ends.without_end(chunk)
        if chunk is not None:
            yield chunk

    def _closing(self) -> Iterator[Chunk]:
        """Yield what was kept back for the answer's end."""
        self._ends.over = True
        for event in self._json.rest():
            yield from self._event(event)
        if (last := self._ends.closing({})) is not None:
            yield last

    def _chunk(self, payload: JSONMapping) -> Chunk:
        if error := error_in(payload):
            # Beside candidates it is about them; alone, it takes no finish back.
            self._ends.broken = "candidates" in payload
            raise error
        choices = [self._choice(each) for each in payload.get("candidates") or ()]
        self._block(payload.get("promptFeedback") or NOTHING)
        counts = payload.get("usageMetadata")
        return Chunk(
            id=payload.get("responseId") or None,
            model=payload.get("modelVersion") or None,
            choices=tuple(choices),
            usage=self._ends.count(usage_of(counts)) if counts else None,
        )

    def _block(self, feedback: JSONMapping) -> None:
        """End an answer whose prompt is blocked, however late that is seen."""
        reason = feedback.get("blockReason")
        if not reason:
            return
        if not self._spoke:
            why = feedback.get("blockReasonMessage") or reason
            raise filtered(f"the prompt was blocked: {why}", reason)
        for index in sorted(self._ends.open):
            self._ends.end(index, EndReason("content_filter"))

    def _choice(self, candidate: JSONMapping) -> Choice:
        index = candidate.get("index") or 0
        content = candidate.get("content") or NOTHING
        delta = self._delta(content.get("parts") or (), index)
        self._spoke = self._spoke or delta.has_token or bool(delta.extra)
        ends = self._ends
        if index in ends.reasons:
            ends.go_on(index, delta)
        if ending := self._ending(candidate, index):
            ends.end(index, ending)
        elif index not in ends.reasons:
            ends.open.add(index)
        logprobs = candidate.get("logprobsResult")
        return Choice(
            index=index,
            delta=delta,
            finish_reason=ending.reason if ending else None,
            native_finish_reason=ending.native if ending else None,
            logprobs=logprobs_of(logprobs) if logprobs else None,
        )

    def _ending(self, candidate: JSONMapping, index: int) -> EndReason | None:
        """Read a finishReason; the API has none for calls."""
        reason, why = candidate.get("finishReason"), candidate.get("finishMessage")
        try:
            ending = read_ending(reason)
        except ProviderFailed as exc:
            self._ends.broken = True
            raise (exc if self._spoke else muted(reason, why)) from None
        if ending is None:
            return None
        if is_filter(reason):
            self._mute = self._mute or muted(reason, why)
        if ending.reason in ("stop", "function_call", "tool_calls"):
            called = index in self._calls
            return (
                EndReason("tool_calls") if called else EndReason("stop", ending.native)
            )
        return ending

    def _delta(self, parts: Sequence[JSONMapping], choice: int) -> Delta:
        said: list[str] = []
        thought: list[str] = []
        calls, images = [], []
        for part in parts:
            if called := part.get("functionCall"):
                calls.append(self._call(called, part.get("thoughtSignature"), choice))
            elif text := part.get("text"):
                (thought if part.get("thought") else said).append(text)
            elif (data := part.get("inlineData")) and not part.get("thought"):
                images += images_in(data)
        return Delta(
            content="".join(said) or None,
            reasoning_content="".join(thought) or None,
            tool_calls=tuple(calls),
            extra={"images": images} if images else NOTHING,
        )

    def _call(
        self, called: JSONMapping, signature: str | None, choice: int
    ) -> ToolCallDelta:
        """Read a call, which comes whole, and may come without an id."""
        arguments = called.get("args") or {}
        if not isinstance(called["name"], str) or not isinstance(arguments, dict):
            raise TypeError("a functionCall has a name and an object of args")
        index = self._calls.get(choice, 0)
        self._calls[choice] = index + 1
        signed = {"extra_content": {"google": {"thought_signature": signature}}}
        return ToolCallDelta(
            index=index,
            id=self._ids.unique(called.get("id")),
            type="function",
            name=called["name"],
            arguments=orjson.dumps(arguments).decode(),
            extra=signed if signature else NOTHING,
        )
