"""Google's Gemini API: streamGenerateContent, each event a response of its own.

Facts: the types of Google's own package (google-genai 3.4) and its documentation at
ai.google.dev, on thought signatures and on errors.

The gateway keeps nothing between two calls, so the signatures that a model wants back
with its calls travel with the client: in a tool call's `extra_content`, where Google's
own OpenAI-shaped API has them too.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson
from attrs import define, field

from providers.chat import (
    NOTHING,
    ChatRequest,
    Choice,
    Chunk,
    Delta,
    ToolCallDelta,
    Usage,
)
from providers.dialects.base import Call, error_in, written
from providers.dialects.endings import Endings
from providers.dialects.finish import EndReason, is_filter, read_ending
from providers.dialects.framing import AnswerDecoder
from providers.dialects.history import sendable
from providers.dialects.tolerant import TolerantJSON
from providers.dialects.tool_calls import CallIds
from providers.errors import (
    ProviderError,
    ProviderFailed,
    ProviderProtocolError,
    ProviderRefusedRequest,
)
from providers.settings import ProviderSettings

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
    _json: TolerantJSON = field(init=False)
    _ends: Endings = field(init=False)
    _ids: CallIds = field(init=False)
    _calls: dict[int, int] = field(factory=dict, init=False)
    _spoke: bool = field(default=False, init=False)
    _mute: ProviderError | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._json = TolerantJSON(self.notes)
        self._ends = Endings(self.notes)
        self._ids = CallIds(self.notes)

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
        headers = {"Accept": "application/json"} | key_of(self.settings)
        return Call("models?pageSize=1000", headers=headers)

    def read_models(self, body: bytes) -> tuple[str, ...]:
        rows = orjson.loads(body).get("models") or ()
        return tuple(
            str(row["name"]).removeprefix("models/")
            for row in rows
            if "generateContent" in (row.get("supportedGenerationMethods") or ())
        )

    def _events(self, events: list[bytes]) -> Iterator[Chunk]:
        for data in events:
            if data.startswith(b"[DONE]"):
                continue  # the API has no such thing, proxies before it may
            payload = self._json.parse(data)
            # Errors may come in a list of one, and a stream without `alt` as one list.
            listed = payload if isinstance(payload, list) else [payload]
            for each in listed:
                yield from self._event(each)

    def _event(self, payload: Mapping[str, Any]) -> Iterator[Chunk]:
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

    def _chunk(self, payload: Mapping[str, Any]) -> Chunk:
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
            usage=self._ends.count(_usage(counts)) if counts else None,
        )

    def _block(self, feedback: Mapping[str, Any]) -> None:
        """End an answer whose prompt is blocked, however late that is seen."""
        reason = feedback.get("blockReason")
        if not reason:
            return
        if not self._spoke:
            why = feedback.get("blockReasonMessage") or reason
            raise _filtered(f"the prompt was blocked: {why}", reason)
        for index in sorted(self._ends.open):
            self._ends.end(index, EndReason("content_filter"))

    def _choice(self, candidate: Mapping[str, Any]) -> Choice:
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
            logprobs=_logprobs(logprobs) if logprobs else None,
        )

    def _ending(self, candidate: Mapping[str, Any], index: int) -> EndReason | None:
        """Read a finishReason; the API has none for calls."""
        reason, why = candidate.get("finishReason"), candidate.get("finishMessage")
        try:
            ending = read_ending(reason)
        except ProviderFailed as exc:
            self._ends.broken = True
            raise (exc if self._spoke else _muted(reason, why)) from None
        if ending is None:
            return None
        if is_filter(reason):
            self._mute = self._mute or _muted(reason, why)
        if ending.reason in ("stop", "function_call", "tool_calls"):
            called = index in self._calls
            return (
                EndReason("tool_calls") if called else EndReason("stop", ending.native)
            )
        return ending

    def _delta(self, parts: Sequence[Mapping[str, Any]], choice: int) -> Delta:
        said: list[str] = []
        thought: list[str] = []
        calls, images = [], []
        for part in parts:
            if called := part.get("functionCall"):
                calls.append(self._call(called, part.get("thoughtSignature"), choice))
            elif text := part.get("text"):
                (thought if part.get("thought") else said).append(text)
            elif (data := part.get("inlineData")) and not part.get("thought"):
                images += _image(data)
        return Delta(
            content="".join(said) or None,
            reasoning_content="".join(thought) or None,
            tool_calls=tuple(calls),
            extra={"images": images} if images else NOTHING,
        )

    def _call(
        self, called: Mapping[str, Any], signature: str | None, choice: int
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


def path_of(model: str) -> str:
    """Return the resource that a model is, whether or not its name says `models/`."""
    return f"models/{quote(model.removeprefix('models/'), safe='')}"


def key_of(settings: ProviderSettings) -> dict[str, str]:
    """Return the header that the key comes in."""
    return {"x-goog-api-key": settings.api_key} if settings.api_key else {}


def _filtered(message: str, reason: str) -> ProviderError:
    """Make the error for content that the API does not let pass."""
    return ProviderRefusedRequest(message, status=400, upstream_code=reason)


def _muted(reason: Any, message: str | None) -> ProviderError:
    """Make the error for an answer that ends for *reason* with nothing said."""
    said = f": {message}" if message else ""
    text = f"it said nothing and gave the finishReason {reason}{said}"
    if is_filter(reason):
        return _filtered(text, reason)
    return ProviderFailed(text, upstream_code=reason)


def _image(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an image as the part of a message; there is none for other media."""
    if not data["mimeType"].startswith("image/"):
        return []
    url = f"data:{data['mimeType']};base64,{data['data']}"
    return [{"type": "image_url", "image_url": {"url": url}}]


def _usage(counts: Mapping[str, Any]) -> Usage:
    """Add up what the API counts apart: thoughts are no part of the candidates."""
    prompt = counts.get("promptTokenCount") or 0
    prompt += counts.get("toolUsePromptTokenCount") or 0
    thoughts = counts.get("thoughtsTokenCount")
    completion = (counts.get("candidatesTokenCount") or 0) + (thoughts or 0)
    cached = counts.get("cachedContentTokenCount")
    extra: dict[str, Any] = {}
    if cached is not None:
        extra["prompt_tokens_details"] = {"cached_tokens": cached}
    if thoughts is not None:
        extra["completion_tokens_details"] = {"reasoning_tokens": thoughts}
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=counts.get("totalTokenCount") or prompt + completion,
        extra=extra or NOTHING,
    )


def _logprobs(result: Mapping[str, Any]) -> dict[str, Any]:
    chosen = [_logprob(each) for each in result.get("chosenCandidates") or ()]
    tops = result.get("topCandidates") or ()
    for row, top in zip(chosen, tops, strict=False):
        row["top_logprobs"] = [_logprob(each) for each in top.get("candidates") or ()]
    rows = [{"top_logprobs": [], **row} for row in chosen]
    return {"content": rows, "refusal": None}


def _logprob(candidate: Mapping[str, Any]) -> dict[str, Any]:
    token = candidate.get("token") or ""
    return {
        "token": token,
        "logprob": candidate.get("logProbability") or 0.0,
        "bytes": list(token.encode()),
    }
