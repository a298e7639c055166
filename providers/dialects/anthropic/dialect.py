"""Anthropic's Messages API, and what llama.cpp, Ollama and others make of it.

Facts: the types of Anthropic's own package (2.12) and its documentation at
platform.claude.com/docs, on streaming, errors and authentication.

The gateway keeps nothing between two calls, so what a model wants back unchanged, its
signed thoughts, travels with the client: as `thinking_blocks` of an assistant's
message, in answers and in requests. A client that speaks this API itself gets every
event as it came.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from attrs import define, evolve, field

from providers.chat import (
    MESSAGES,
    NO_DELTA,
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
from providers.dialects.endings import Endings
from providers.dialects.finish import EndReason, read_ending
from providers.dialects.framing import AnswerDecoder
from providers.dialects.tolerant import HALVES, TolerantJSON, mended
from providers.dialects.tool_calls import CallIds
from providers.dialects.tools import functions_only
from providers.errors import (
    ProviderError,
    ProviderFailed,
    ProviderProtocolError,
    error_class,
)
from providers.settings import ProviderSettings

from .blocks import BlockOrder
from .cleaning import is_own_host
from .native import Passage, passed_body
from .request import message_body
from .turns import API

# The last version that lets models have a temperature which know one.
HEADERS = {"Content-Type": "application/json", "anthropic-version": "2023-06-01"}
FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
CACHE = {
    "cache_read_input_tokens": "cached_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
}
# The HTTP statuses that the errors have when they come before the stream.
STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


@define
class _Block:
    """A content block that is open: what must be known of it at its end."""

    start: Mapping[str, Any]
    call: int = 0
    pieces: list[str] = field(factory=list)
    signature: str = ""


@define
class Anthropic:
    """One message: asked for as a stream, read as what comes."""

    settings: ProviderSettings
    done: bool = field(default=False, init=False)
    notes: list[str] = field(factory=list, init=False)
    dropped: list[str] = field(factory=list, init=False)
    _body: AnswerDecoder = field(factory=AnswerDecoder, init=False)
    _json: TolerantJSON = field(init=False)
    _order: BlockOrder = field(init=False)
    _ends: Endings = field(init=False)
    _ids: CallIds = field(init=False)
    _id: str | None = field(default=None, init=False)
    _model: str | None = field(default=None, init=False)
    _blocks: dict[int, _Block] = field(factory=dict, init=False)
    _calls: int = field(default=0, init=False)
    _thoughts: int = field(default=0, init=False)
    _counted: dict[str, Any] = field(factory=dict, init=False)
    _passage: Passage | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._json = TolerantJSON(self.notes)
        self._order = BlockOrder(self.notes)
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
        headers = {**headers_of(self.settings), "Accept": "text/event-stream"}
        if (native := request.native) is not None and native.format == MESSAGES:
            self._passage = Passage()
            headers |= native.headers
            body = passed_body(self.settings, native, model, self.notes)
        else:
            request = functions_only(request, API, self.dropped)
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
            for chunk in self._closing():
                left = () if self._passage is None else self._passage.left()
                yield evolve(chunk, native=left)
        self.done = True

    def list_models(self) -> Call:
        headers = {**headers_of(self.settings), "Accept": "application/json"}
        return Call("models?limit=1000", headers=headers)

    def read_models(self, body: bytes) -> tuple[str, ...]:
        rows = orjson.loads(body)["data"]
        usable = (row for row in rows if row.get("lifecycle") != "retired")
        return tuple(str(row["id"]) for row in usable)

    def _events(self, events: list[bytes]) -> Iterator[Chunk]:
        for data in events:
            if self.done:
                break
            event = self._json.parse(data)
            if isinstance(event, Mapping) and event.get("type") == "message_delta":
                for left in self._json.rest():
                    yield from self._ordered(left, b"")
            yield from self._ordered(event, data)

    def _ordered(self, event: Mapping[str, Any], data: bytes) -> Iterator[Chunk]:
        """Read an event, after those that should have come before it."""
        for each in self._order.ordered(event):
            made = self._event(each)
            if self._passage is not None:
                same = each is event and data and not self._mended
                raw = data if same else orjson.dumps(each)
                made = self._passage.carry(made, each, raw)
            yield from made

    @property
    def _mended(self) -> bool:
        """Whether an event's bytes may hold what its value does not."""
        return HALVES in self.notes

    def _event(self, event: Mapping[str, Any]) -> list[Chunk]:
        """Read one event; pings, and types that the API may yet add, say nothing."""
        if _failed(event):
            raise _error(event)
        chunks: list[Chunk] = []
        match event.get("type"):
            case "message_start" | "message":
                chunks = self._message(event.get("message", event))
            case "content_block_start":
                chunks = self._open(event["index"], event["content_block"])
            case "content_block_delta":
                chunks = self._grow(self._blocks[event["index"]], event["delta"])
            case "content_block_stop":
                chunks = self._close(self._blocks.pop(event["index"]))
            case "message_delta":
                chunks = self._finish(event["delta"], event.get("usage"))
            case "message_stop":
                self.done = True
                ended = {"stop_reason": "end_turn"}
                chunks = [] if self.finished else self._finish(ended, None)
                chunks = [*chunks, *self._closing()]
        return chunks

    def _message(self, message: Mapping[str, Any]) -> list[Chunk]:
        """Read a message: empty where a stream starts, whole where there is none."""
        self._id, self._model = message.get("id"), message.get("model")
        chunks: list[Chunk] = []
        for index, block in enumerate(message.get("content") or ()):
            chunks += self._open(index, block)
            chunks += self._close(self._blocks.pop(index))
        return chunks + self._finish(message, message.get("usage"))

    def _open(self, index: int, start: Mapping[str, Any]) -> list[Chunk]:
        block = self._blocks[index] = _Block(start)
        match start["type"]:
            case "text":
                return self._say(Delta(content=_text(start.get("text"))))
            case "thinking":
                block.signature = start.get("signature") or ""
                return self._think(block, start.get("thinking"))
            case "tool_use":
                block.call = self._calls
                self._calls += 1
                name = _text(start["name"])
                call = ToolCallDelta(
                    index=block.call,
                    id=self._ids.unique(start.get("id")),
                    type="function",
                    name=name,
                )
                return self._say(Delta(tool_calls=(call,)))
        return []

    def _grow(self, block: _Block, delta: Mapping[str, Any]) -> list[Chunk]:
        match delta["type"], block.start["type"]:
            case "text_delta", _:
                return self._say(Delta(content=_text(delta["text"])))
            case "thinking_delta", _:
                return self._think(block, delta["thinking"])
            case "signature_delta", _:
                block.signature += delta["signature"]
            # The calls of tools that the server runs itself are none of the client's.
            case "input_json_delta", "tool_use":
                said = _text(delta["partial_json"]) or ""
                block.pieces.append(said)
                return self._argue(block, said)
        return []

    def _close(self, block: _Block) -> list[Chunk]:
        start, said = block.start, "".join(block.pieces)
        match start["type"]:
            case "tool_use" if not said:
                # OpenAI's clients parse the arguments, so even none are an object.
                arguments = orjson.dumps(mended(start.get("input") or {}))
                return self._argue(block, arguments.decode())
            case "thinking" if block.signature:
                signed = {"type": "thinking", "thinking": said}
                return self._keep({**signed, "signature": block.signature})
            case "redacted_thinking":
                return self._keep({"type": "redacted_thinking", "data": start["data"]})
        return []

    def _finish(self, delta: Mapping[str, Any], usage: Any) -> list[Chunk]:
        # Every count is a total that takes the place of the one before.
        for name, count in (usage or NOTHING).items():
            if count is not None and (count or name not in self._counted):
                self._counted[name] = count
        reason = delta.get("stop_reason")
        known = FINISH_REASONS.get(reason) if type(reason) is str else None
        try:
            ending = EndReason(known) if known else read_ending(reason)
        except ProviderFailed:
            self._ends.broken = True
            raise
        if ending is None:
            return []
        self._ends.end(0, ending)
        if reason != "refusal":
            return []
        details = delta.get("stop_details") or NOTHING
        refusal = _text(details.get("explanation")) or "The model refused."
        return self._say(Delta(refusal=refusal))

    def _closing(self) -> list[Chunk]:
        """Return the chunk that ends the answer."""
        if self._counted:
            self._ends.usage = _usage(self._counted)
        last = self._ends.closing({})
        return [] if last is None else [evolve(last, id=self._id, model=self._model)]

    def _think(self, block: _Block, thought: str | None) -> list[Chunk]:
        block.pieces.append(thought or "")
        return self._say(Delta(reasoning_content=_text(thought)))

    def _argue(self, block: _Block, arguments: str) -> list[Chunk]:
        if not arguments:
            return []
        piece = ToolCallDelta(index=block.call, arguments=arguments)
        return self._say(Delta(tool_calls=(piece,)))

    def _keep(self, thought: Mapping[str, Any]) -> list[Chunk]:
        # OpenAI's package puts lists of objects together by their index, or fails.
        block = {"index": self._thoughts, **thought}
        self._thoughts += 1
        return self._say(Delta(extra={"thinking_blocks": [block]}))

    def _say(self, delta: Delta) -> list[Chunk]:
        """Return the chunk that says this; none for nothing."""
        if delta == NO_DELTA:
            return []
        if self._ends.reasons:
            self._ends.go_on(0, delta)
        return [Chunk(id=self._id, model=self._model, choices=(Choice(delta=delta),))]


def headers_of(settings: ProviderSettings) -> dict[str, str]:
    """Return the headers that every call has: the version, and the key."""
    key = settings.api_key
    if not key:
        return HEADERS
    headers = {**HEADERS, "x-api-key": key}
    if not is_own_host(settings):
        # Of the servers that copy the API, some look into this header only.
        headers["Authorization"] = f"Bearer {key}"
    return headers


def _usage(counted: Mapping[str, Any]) -> Usage:
    """Count as OpenAI does: what was read from a cache is a part of the prompt."""
    cache = {
        ours: counted[theirs] for theirs, ours in CACHE.items() if theirs in counted
    }
    prompt = counted.get("input_tokens", 0) + sum(cache.values())
    completion = counted.get("output_tokens", 0)
    extra = {"prompt_tokens_details": cache} if cache else {}
    thinking = counted.get("output_tokens_details", NOTHING).get("thinking_tokens")
    if thinking is not None:
        extra["completion_tokens_details"] = {"reasoning_tokens": thinking}
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        extra=extra,
    )


def _failed(event: Mapping[str, Any]) -> bool:
    """Whether an event is an error's, be it in a shape that is not the API's."""
    kind = event.get("type")
    return bool(
        kind == "error" or event.get("error") or (kind is None and error_in(event))
    )


def _error(event: Mapping[str, Any]) -> ProviderError:
    error = error_in(event) or ProviderFailed("the upstream names no reason")
    status = error.status or STATUS.get(error.upstream_code or "")
    return error_class(status)(
        error.message, status=status, upstream_code=error.upstream_code
    )


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise TypeError(f"text expected, not {type(value).__name__}")
