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
    FinishReason,
    TextRun,
    ToolCallDelta,
    Usage,
)
from providers.dialects.base import Call, error_in, written
from providers.dialects.framing import AnswerDecoder
from providers.errors import ProviderFailed, ProviderProtocolError
from providers.settings import ProviderSettings

from .completion import as_completion
from .request import asked_of
from .template import LESSONS, Template, learn

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "function_call",
    "max_tokens": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "safety": "content_filter",
}
KNOWN_IN_CHUNK = frozenset(
    ("id", "object", "created", "model", "choices", "usage", "obfuscation", "provider")
)
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
KNOWN_IN_USAGE = frozenset(("prompt_tokens", "completion_tokens", "total_tokens"))
KNOWN_IN_CALL = frozenset(("index", "id", "type", "function"))
# Seconds since 1970; more is no time of this century or the next.
MAX_TIME = 2**33


@define
class OpenAI:
    """One chat completion: asked for as a stream, read as what comes."""

    settings: ProviderSettings
    done: bool = field(default=False, init=False)
    notes: list[str] = field(factory=list, init=False)
    _decoder: AnswerDecoder = field(factory=AnswerDecoder, init=False)
    _open: set[int] = field(factory=set, init=False)
    _closed: set[int] = field(factory=set, init=False)
    _calls: dict[tuple[int, str], int] = field(factory=dict, init=False)
    _template: Template | None = field(default=None, init=False)
    _lessons: int = field(default=LESSONS, init=False)

    @property
    def finished(self) -> bool:
        return bool(self._closed) and not self._open

    def encode(self, request: ChatRequest, model: str) -> Call:
        how: dict[str, Any] = {"stream": True}
        if self.settings.stream_usage:
            how["stream_options"] = {"include_usage": True}
        return self._call_for(request, model, how, "text/event-stream")

    def encode_whole(self, request: ChatRequest, model: str) -> Call:
        return self._call_for(request, model, {"stream": False}, "application/json")

    def _call_for(
        self, request: ChatRequest, model: str, how: Mapping[str, Any], accepted: str
    ) -> Call:
        path, body = asked_of(self.settings, request, model, self.notes)
        headers = _headers(self.settings.api_key, accepted)
        return Call(path, written({**body, **how}), headers)

    def receive(self, received: bytes) -> Iterator[Chunk | TextRun]:
        return self._events(self._decoder.feed(received))

    def end(self) -> Iterator[Chunk | TextRun]:
        yield from self._events(self._decoder.flush())
        cut = self._open or (self._decoder.is_json and not self._closed)
        if cut and not self.done:
            raise ProviderProtocolError("the answer ended before its finish_reason")
        self.done = True

    def read_whole(self, body: bytes) -> Iterable[ChatPiece]:
        if not body.startswith(b"{"):  # it may be a stream all the same
            return [*self.receive(body), *self.end()]
        payload = _payload(body)
        if (passed := as_completion(payload)) is not None:
            return [Completion(passed, self._chunk)]
        chunk = self._chunk(payload)
        if not self.finished:
            raise ProviderProtocolError("the answer ended before its finish_reason")
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
                self.done, self._template = True, None
                if self._open:
                    yield self._close()
            elif data:
                payload = _payload(data)
                chunk = self._chunk(payload)
                yield chunk
                self._learn(data, payload, chunk)  # the first token has gone by now

    def _close(self) -> Chunk:
        """Finish what an upstream ended in good order, but without a finish_reason."""
        ended = tuple(Choice(index=i, finish_reason="stop") for i in sorted(self._open))
        self._closed |= self._open
        self._open.clear()
        return Chunk(choices=ended)

    def _chunk(self, payload: Mapping[str, Any]) -> Chunk:
        choices = tuple([self._choice(each) for each in payload.get("choices") or ()])
        return _chunk(payload, choices)

    def _learn(self, data: bytes, payload: Any, chunk: Chunk) -> None:
        if self._closed:
            self._template = None
        elif self._lessons and (template := learn(data, payload, chunk)):
            self._template, self._lessons = template, self._lessons - 1

    def _choice(self, choice: Mapping[str, Any]) -> Choice:
        index = choice.get("index")
        if type(index) is not int:
            index = _index(index)
        reason = choice.get("finish_reason")
        if reason == "error":
            raise ProviderFailed("the upstream ended with finish_reason 'error'")
        if reason:
            self._open.discard(index)
            self._closed.add(index)
        elif index not in self._closed:
            self._open.add(index)
        logprobs = choice.get("logprobs")
        return Choice(
            index=index,
            delta=self._delta(choice.get("delta") or _said(choice), index),
            finish_reason=FINISH_REASONS.get(reason, "stop") if reason else None,
            logprobs=_object(logprobs) if logprobs else None,
        )

    def _delta(self, delta: Mapping[str, Any], choice: int) -> Delta:
        if delta.keys() <= PLAIN:  # most are, and need no look at all else
            plain = delta.get("content")
            if plain is None or plain == "":
                return NO_DELTA
            if type(plain) is str:
                return Delta(content=plain)
        content, thinking = _content(delta.get("content"))
        reasoning = delta.get("reasoning_content") or delta.get("reasoning") or thinking
        calls = delta.get("tool_calls") or ()
        return Delta(
            content=content,
            reasoning_content=_text(reasoning),
            refusal=_text(delta.get("refusal")),
            tool_calls=tuple(self._call(call, choice) for call in calls),
            audio=_object(delta.get("audio")),
            function_call=_object(delta.get("function_call")),
            extra=_rest(delta, KNOWN_IN_DELTA),
        )

    def _call(self, call: Mapping[str, Any], choice: int) -> ToolCallDelta:
        function = call.get("function") or NOTHING
        return ToolCallDelta(
            index=self._call_index(call, choice),
            id=call.get("id") or None,
            type=call.get("type"),
            name=_text(function.get("name")),
            arguments=_arguments(function.get("arguments")),
            extra=_rest(call, KNOWN_IN_CALL),
        )

    def _call_index(self, call: Mapping[str, Any], choice: int) -> int:
        """Number the calls of an upstream that does not: each new id is a new call."""
        index = call.get("index")
        if isinstance(index, int):
            return index
        mine = [key for key in self._calls if key[0] == choice]
        if not call.get("id"):
            return max(len(mine) - 1, 0)
        return self._calls.setdefault((choice, call["id"]), len(mine))


def _payload(data: bytes) -> Any:
    payload = orjson.loads(data)
    if error := error_in(payload):
        raise error
    return payload


def _said(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message, or the text, that is in the place of a stream's delta."""
    said: Mapping[str, Any] = choice.get("message") or NOTHING
    return said or {"content": choice.get("text")}


def authorization(settings: ProviderSettings) -> dict[str, str]:
    """Return the header that OpenAI and its copies want the key in."""
    return _bearer(settings.api_key)


def _bearer(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


@lru_cache(maxsize=100)
def _headers(key: str | None, accepted: str) -> Mapping[str, str]:
    return {"Content-Type": "application/json", "Accept": accepted} | _bearer(key)


def _chunk(payload: Mapping[str, Any], choices: tuple[Choice, ...]) -> Chunk:
    name, model = payload.get("id"), payload.get("model")
    usage = payload.get("usage")
    if not usage and "x_groq" in payload:
        usage = (payload["x_groq"] or NOTHING).get("usage")
    return Chunk(
        # Nothing hangs on a name that is none.
        id=name if name and type(name) is str else None,
        created=_time(payload.get("created")),
        model=model if model and type(model) is str else None,
        choices=choices,
        usage=_usage(usage) if usage else None,
        extra=_rest(payload, KNOWN_IN_CHUNK),
    )


def _index(value: Any) -> int:
    """Return a choice's number; some vendors, with one choice only, leave it out."""
    if value is None or type(value) is int:
        return value or 0
    raise TypeError(f"an index expected, not {type(value).__name__}")


def _time(value: Any) -> int | None:
    """Return a time that JSON has room for, or None."""
    if type(value) is int or type(value) is float:
        return int(value) if 0 <= value < MAX_TIME else None
    return None


def _usage(usage: Mapping[str, Any]) -> Usage:
    prompt = usage.get("prompt_tokens") or 0
    completion = usage.get("completion_tokens") or 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=usage.get("total_tokens") or prompt + completion,
        extra=_rest(usage, KNOWN_IN_USAGE),
    )


def _rest(payload: Mapping[str, Any], known: frozenset[str]) -> Mapping[str, Any]:
    if payload.keys() <= known:
        return NOTHING
    return {
        name: value
        for name, value in payload.items()
        if name not in known and value is not None
    }


def _content(content: Any) -> tuple[str | None, str | None]:
    """Split Mistral's list of parts into what is said and what is thought."""
    if not isinstance(content, list):
        return _text(content), None
    said = "".join(part["text"] for part in content if part["type"] == "text")
    thought = "".join(
        piece["text"]
        for part in content
        if part["type"] == "thinking"
        for piece in part["thinking"]
    )
    return said or None, thought or None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise TypeError(f"text expected, not {type(value).__name__}")


def _object(value: Any) -> Mapping[str, Any] | None:
    if value is None or isinstance(value, Mapping):
        return value
    raise TypeError(f"an object expected, not {type(value).__name__}")


def _arguments(value: Any) -> str | None:
    """Return JSON text; some vendors send the object itself."""
    if isinstance(value, Mapping):
        return orjson.dumps(value).decode()
    return _text(value)
