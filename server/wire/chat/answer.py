"""A chat completion that is whole."""

from collections.abc import Iterable

import orjson
from attrs import define, evolve, field

from providers import (
    NO_DELTA,
    ChatPiece,
    Choice,
    Completion,
    Delta,
    ToolCallDelta,
    Usage,
)
from server.json_types import JSON, JSONMapping, JSONObject
from server.wire.bound import AnswerSize
from server.wire.pieces import as_chunk
from server.wire.reasoning import DETAILS, joined_details
from server.wire.usage import as_count, without_nulls

from .custom_calls import NO_CUSTOM_CALLS, CustomCalls
from .payloads import Identity, call_payload, usage_payload

TOTALS = ("prompt_tokens", "completion_tokens", "total_tokens")
# The bytes that a piece of a tool call takes in memory at least.
CALL_SIZE = 100


@define(eq=False)
class ChatCompletionAnswer:
    """Chunks to one chat completion."""

    identity: Identity
    _customs: CustomCalls = NO_CUSTOM_CALLS
    _choices: dict[int, "GrowingChoice"] = field(factory=dict, init=False)
    _usage: Usage | None = field(default=None, init=False)
    _extra: JSONObject = field(factory=dict, init=False)
    _size: AnswerSize = field(factory=AnswerSize, init=False)
    _completion: Completion | None = field(default=None, init=False)

    def add(self, pieces: Iterable[ChatPiece]) -> None:
        """Take in more; raises ProviderProtocolError if it grows without end."""
        size = 0
        for piece in pieces:
            if isinstance(piece, Completion):
                self._completion = piece
                return
            chunk = as_chunk(piece)
            if not self.identity.id:
                self.identity.learn(chunk)
            self._usage = chunk.usage or self._usage
            self._extra.update(chunk.extra)
            for choice in map(self._customs.shown, chunk.choices):
                growing = self._choices.get(choice.index)
                if growing is None:
                    growing = self._choices[choice.index] = GrowingChoice()
                size += growing.add(choice)
        self._size.grow(size)

    def body(self, cost: float | None = None) -> bytes:
        if self._completion is not None:
            return orjson.dumps(self._with_provider(self._completion.payload, cost))
        payload = self.identity.payload("chat.completion")
        payload["choices"] = [
            choice.payload(index) for index, choice in sorted(self._choices.items())
        ]
        if self._usage is not None:
            payload["usage"] = usage_payload(self._usage, cost)
        return orjson.dumps({**payload, **self._extra})

    def _with_provider(self, payload: JSONMapping, cost: float | None) -> JSONObject:
        usage = without_nulls(payload["usage"])
        for name in TOTALS:
            if type(usage.get(name)) is not int:  # hardly ever
                usage[name] = as_count(usage.get(name))
        if not usage["total_tokens"]:
            usage["total_tokens"] = sum([usage[name] for name in TOTALS])
        if cost is not None:
            usage["cost"] = cost
        return {**payload, "provider": self.identity.provider, "usage": usage}


@define(eq=False)
class GrowingChoice:
    """One choice, put together from its deltas."""

    text: dict[str, list[str]] = field(factory=dict)
    calls: dict[int, ToolCallDelta] = field(factory=dict)
    arguments: dict[int, list[str]] = field(factory=dict)
    other: JSONObject = field(factory=dict)
    logprobs: JSONObject | None = None
    finish_reason: str | None = None

    def add(self, choice: Choice) -> int:
        """Take in a choice's delta; return how many bytes more that are, about."""
        if self.finish_reason is not None:
            return 0
        self.finish_reason = choice.finish_reason
        delta = choice.delta
        if choice.logprobs is not None:
            return self._add_all(choice, delta)
        if delta is NO_DELTA:
            return 0
        if not delta.is_plain:
            return self._add_all(choice, delta)
        self.text.setdefault("content", []).append(delta.content or "")
        return len(delta.content or "")

    def _add_all(self, choice: Choice, delta: Delta) -> int:
        size = sum(self._add_call(call) for call in delta.tool_calls)
        for name in ("content", "reasoning_content", "refusal"):
            if piece := getattr(delta, name):
                self.text.setdefault(name, []).append(piece)
                size += len(piece)
        if choice.logprobs is not None:
            self.logprobs = merged(self.logprobs or {}, choice.logprobs)
        for name in ("audio", "function_call"):
            if value := getattr(delta, name):
                self.other[name] = merged(self.other.get(name, {}), value)
        self.other = merged(self.other, delta.extra)
        rest = (choice.logprobs, delta.audio, delta.function_call, delta.extra)
        return size + sum(len(str(value)) for value in rest if value)

    def _add_call(self, call: ToolCallDelta) -> int:
        before, text = self.calls.get(call.index, call), call.arguments or ""
        kind, name, extra = call.type or before.type, call.name, {**call.extra}
        if custom := extra.pop("custom", None):
            kind, name = "custom", custom.get("name")
            text = custom.get("input") or ""
        self.calls[call.index] = evolve(
            before,
            id=before.id or call.id,
            type=kind,
            name=before.name or name,
            extra={**before.extra, **extra},
        )
        self.arguments.setdefault(call.index, []).append(text)
        return CALL_SIZE + len(text)

    def payload(self, index: int) -> JSONObject:
        message: JSONObject = {
            "role": "assistant",
            "content": None,
            "refusal": None,
        }
        message |= {name: "".join(pieces) for name, pieces in self.text.items()}
        message |= self.other
        if DETAILS in message:
            message[DETAILS] = joined_details(message[DETAILS])
        if self.calls:
            message["tool_calls"] = [
                call_payload(call, "".join(self.arguments[at]))
                for at, call in sorted(self.calls.items())
            ]
        return {
            "index": index,
            "message": message,
            "logprobs": self.logprobs,
            "finish_reason": self.finish_reason or "stop",
        }


def merged(old: JSONMapping, new: JSONMapping) -> JSONObject:
    """Add a delta's object to what came before: texts and lists grow."""
    result = dict(old)
    for name, value in new.items():
        before: JSON = result.get(name)
        if name != "id" and type(before) is type(value) and type(before) in (str, list):
            result[name] = before + value
        elif value is not None:
            result[name] = value
    return result
