"""Ollama's own chat API: one JSON object a line, of which the last says `done`.

Facts: Ollama's server of August 2026 (api/types.go, server/routes.go, openai/openai.go)
and its documentation's page on errors.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import orjson
from attrs import define, field

from providers.chat import (
    NOTHING,
    ChatRequest,
    Choice,
    Chunk,
    Delta,
    FinishReason,
    ToolCallDelta,
    Usage,
)
from providers.dialects.base import Call, error_in, written
from providers.dialects.framing import LineDecoder
from providers.dialects.openai.dialect import authorization
from providers.errors import ProviderProtocolError
from providers.settings import ProviderSettings

from .request import chat_body

HEADERS = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}


@define
class Ollama:
    """One chat: asked for as a stream of lines, and read as one."""

    settings: ProviderSettings
    done: bool = field(default=False, init=False)
    notes: list[str] = field(factory=list, init=False)
    _lines: LineDecoder = field(factory=LineDecoder, init=False)
    _calls: int = field(default=0, init=False)

    @property
    def finished(self) -> bool:
        return self.done

    def encode(self, request: ChatRequest, model: str) -> Call:
        body = chat_body(request, model)
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
            yield self._chunk(orjson.loads(line))

    def _chunk(self, payload: Mapping[str, Any]) -> Chunk:
        # Not error_in alone: a good line has a `message` too.
        if payload.get("error") and (error := error_in(payload)):
            raise error
        message = payload.get("message") or NOTHING
        delta = Delta(
            content=_text(message, "content"),
            reasoning_content=_text(message, "thinking"),
            tool_calls=tuple(self._call(c) for c in message.get("tool_calls") or ()),
        )
        self.done = payload.get("done") is True
        choice = Choice(
            delta=delta,
            finish_reason=self._finish_reason(payload) if self.done else None,
            logprobs=_logprobs(payload.get("logprobs")),
        )
        return Chunk(
            model=payload.get("model") or None,
            choices=(choice,),
            usage=_usage(payload) if self.done else None,
        )

    def _call(self, call: Mapping[str, Any]) -> ToolCallDelta:
        """Read a call, which comes whole; its own index may be 0 for every call."""
        function = call["function"]
        arguments = function.get("arguments") or {}
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        self._calls += 1
        return ToolCallDelta(
            index=self._calls - 1,
            id=call.get("id") or f"call_{uuid4().hex[:24]}",
            type="function",
            name=str(function["name"]),
            arguments=arguments,
        )

    def _finish_reason(self, payload: Mapping[str, Any]) -> FinishReason:
        """Return OpenAI's word for the end, where Ollama has `stop` for most."""
        if payload.get("done_reason") == "length":
            return "length"
        return "tool_calls" if self._calls else "stop"


def _text(message: Mapping[str, Any], name: str) -> str | None:
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"'{name}' is not text")
    return value or None


def _logprobs(tokens: Any) -> Mapping[str, Any] | None:
    """Return OpenAI's object: it has every field, where Ollama leaves out the empty."""
    if not tokens:
        return None
    nothing: dict[str, Any] = {"bytes": None, "top_logprobs": []}
    return {"content": [nothing | token for token in tokens], "refusal": None}


def _usage(payload: Mapping[str, Any]) -> Usage | None:
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
