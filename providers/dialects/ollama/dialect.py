"""Ollama's own chat API: one JSON object a line, of which the last says `done`.

Facts: Ollama's server of August 2026 (api/types.go, server/routes.go, openai/openai.go)
and its documentation's page on errors.
"""

from collections.abc import Iterator

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
from providers.dialects.base import Call, noted, written
from providers.dialects.finish import EndReason, read_ending
from providers.dialects.framing import LineDecoder
from providers.dialects.history import sendable
from providers.dialects.openai.access import authorization
from providers.dialects.tolerant import TolerantJSON, mended, note
from providers.dialects.tool_calls import CallIds
from providers.dialects.upstream_errors import error_in
from providers.errors import ProviderProtocolError
from providers.json_types import JSON, JSONMapping, JSONObject
from providers.settings import ProviderSettings

from .request import API, chat_body

HEADERS = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}

# The words for no answer: the model is there now, or gone.
LOADED = ("load", "unload")


@define
class Ollama:
    """One chat: asked for as a stream of lines, and read as one."""

    settings: ProviderSettings
    done: bool = field(default=False, init=False)
    sound_end: bool = field(default=False, init=False)
    notes: list[str] = field(factory=list, init=False)
    dropped: list[str] = field(factory=list, init=False)
    _lines: LineDecoder = field(factory=LineDecoder, init=False)
    _json: TolerantJSON = noted(TolerantJSON)
    _ids: CallIds = noted(CallIds)
    _calls: int = field(default=0, init=False)

    @property
    def finished(self) -> bool:
        return self.done

    def encode(self, request: ChatRequest, model: str) -> Call:
        body = chat_body(sendable(request, API, self.dropped, self.notes), model)
        return Call("chat", written(body), HEADERS | authorization(self.settings))

    def receive(self, received: bytes) -> Iterator[Chunk]:
        return self._chunks(self._lines.feed(received))

    def end(self) -> Iterator[Chunk]:
        try:
            yield from self._chunks(self._lines.flush())
        except orjson.JSONDecodeError as exc:
            raise ProviderProtocolError("the stream ended inside a line") from exc
        if not self.done:
            raise ProviderProtocolError("the stream ended before its last line")

    def list_models(self) -> Call:
        accept = {"Accept": "application/json"}
        return Call("tags", headers=accept | authorization(self.settings))

    def read_models(self, body: bytes) -> tuple[str, ...]:
        """Return the installed models; those tagged `latest` under both their names."""
        found = []
        for row in orjson.loads(body)["models"]:
            name = str(row["name"])
            found.append(name)
            if name.endswith(":latest"):
                found.append(name.removesuffix(":latest"))
        return tuple(found)

    def _chunks(self, lines: list[bytes]) -> Iterator[Chunk]:
        for line in lines:
            if self.done:
                break  # nothing that follows the last line is part of the answer
            payload = self._json.parse(line)
            if payload.get("done") is True:
                for event in self._json.rest():
                    yield self._chunk(event)
            yield self._chunk(payload)

    def _chunk(self, payload: JSONMapping) -> Chunk:
        # Not error_in alone: a good line has a `message` too.
        failed = payload.get("error") or payload.get("message") is None
        if failed and (error := error_in(payload)):
            raise error
        message = payload.get("message") or NOTHING
        delta = Delta(
            content=_text(message, "content"),
            reasoning_content=_text(message, "thinking"),
            tool_calls=tuple(self._call(c) for c in message.get("tool_calls") or ()),
        )
        ending = self._ending(payload) if payload.get("done") is True else None
        self.done = ending is not None
        choice = Choice(
            delta=delta,
            finish_reason=ending.reason if ending else None,
            native_finish_reason=ending.native if ending else None,
            logprobs=_logprobs(payload.get("logprobs")),
        )
        return Chunk(
            model=payload.get("model") or None,
            choices=(choice,),
            usage=_usage(payload) if self.done else None,
        )

    def _call(self, call: JSONMapping) -> ToolCallDelta:
        """Read a call, which comes whole; its own index may be 0 for every call."""
        function = call["function"]
        arguments = function.get("arguments") or {}
        if not isinstance(arguments, str):
            arguments = orjson.dumps(mended(arguments)).decode()
        self._calls += 1
        return ToolCallDelta(
            index=self._calls - 1,
            id=self._ids.unique(call.get("id")),
            type="function",
            name=str(function["name"]),
            arguments=arguments,
        )

    def _ending(self, payload: JSONMapping) -> EndReason:
        """Read the reason to end; Ollama has `stop` for calls as well."""
        word = payload.get("done_reason")
        self.sound_end = word not in LOADED
        ending = (self.sound_end and read_ending(word)) or EndReason("stop")
        if ending.native:
            note(self.notes, f"finish reason '{ending.native}' read as stop")
        return (
            EndReason("tool_calls")
            if self._calls and ending.reason == "stop"
            else ending
        )


def _text(message: JSONMapping, name: str) -> str | None:
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"'{name}' is not text")
    return value or None


def _logprobs(tokens: JSON) -> JSONMapping | None:
    """Return OpenAI's object: it has every field, where Ollama leaves out the empty."""
    if not tokens:
        return None
    nothing: JSONObject = {"bytes": None, "top_logprobs": []}
    return {"content": [nothing | token for token in tokens], "refusal": None}


def _usage(payload: JSONMapping) -> Usage | None:
    """Read the counts: tokens thought are among those of the answer, not told apart."""
    if "prompt_eval_count" not in payload and "eval_count" not in payload:
        return None
    prompt = payload.get("prompt_eval_count") or 0
    completion = payload.get("eval_count") or 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
    )
