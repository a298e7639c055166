"""The JSON objects of chat completions, whole and in chunks."""

import time
import uuid
from typing import Annotated, Literal, NotRequired, TypedDict

from attrs import define

from providers import Chunk, FinishReason, ToolCallDelta, Usage
from server.json_types import (
    Cost,
    Count,
    JSONMapping,
    JSONObject,
    JSONText,
    Keywords,
    UpstreamModel,
    Winner,
)
from server.wire.usage import as_count, without_nulls


class UsagePayload(TypedDict):
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    cost: NotRequired[Cost]


class CompletionHead(TypedDict):
    """What every answer of OpenAI's older APIs, and every chunk of one, has."""

    id: Annotated[str, Keywords(minLength=1)]
    created: Count
    model: UpstreamModel
    provider: Winner


class FunctionPayload(TypedDict):
    name: str
    arguments: JSONText


class ToolCallPayload(TypedDict):
    id: str
    type: str
    function: FunctionPayload


class CustomPayload(TypedDict):
    name: str
    input: str


class CustomCallPayload(TypedDict):
    id: str
    type: Literal["custom"]
    custom: CustomPayload


class ChatMessage(TypedDict):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[ToolCallPayload | CustomCallPayload]]
    audio: NotRequired[JSONObject]
    function_call: NotRequired[JSONObject]


class ChatChoice(TypedDict):
    index: Count
    message: ChatMessage
    logprobs: JSONMapping | None
    finish_reason: FinishReason


class ChatCompletion(CompletionHead):
    object: Literal["chat.completion"]
    choices: list[ChatChoice]
    usage: NotRequired[UsagePayload]


class FunctionDelta(TypedDict):
    name: NotRequired[str]
    arguments: str


class CustomDelta(TypedDict):
    name: NotRequired[str]
    input: str


class ToolCallDeltaPayload(TypedDict):
    index: Count
    id: NotRequired[str]
    type: NotRequired[str]
    function: NotRequired[FunctionDelta]
    custom: NotRequired[CustomDelta]


class DeltaPayload(TypedDict):
    """What is added. `role` comes once, and first."""

    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str]
    refusal: NotRequired[str]
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[ToolCallDeltaPayload]]
    audio: NotRequired[JSONObject]
    function_call: NotRequired[JSONObject]


class ChunkChoice(TypedDict):
    index: Count
    delta: DeltaPayload
    logprobs: NotRequired[JSONMapping | None]
    finish_reason: FinishReason | None


class ChatCompletionChunk(CompletionHead):
    object: Literal["chat.completion.chunk"]
    choices: Annotated[
        list[ChunkChoice],
        Keywords(description="Empty in the last chunk, if that has the usage."),
    ]
    usage: NotRequired[UsagePayload]


@define(eq=False)
class Identity:
    """The fields that all chunks of an answer repeat, learned from the first."""

    provider: str
    model: str
    id: str = ""
    created: int = 0

    def learn(self, chunk: Chunk) -> None:
        if not self.id:
            self.id = chunk.id or f"chatcmpl-{uuid.uuid4().hex}"
            self.created = chunk.created or int(time.time())
            self.model = chunk.model or self.model

    def payload(self, kind: str) -> JSONObject:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
        }


def call_payload(call: ToolCallDelta, arguments: str) -> JSONObject:
    """Return a whole tool call, with the fields that its upstream has added."""
    if call.type == "custom":
        custom: CustomCallPayload = {
            "id": call.id or new_call_id(),
            "type": "custom",
            "custom": {"name": call.name or "", "input": arguments},
        }
        return {**call.extra, **custom}
    payload: ToolCallPayload = {
        "id": call.id or new_call_id(),
        "type": call.type or "function",
        "function": {"name": call.name or "", "arguments": arguments},
    }
    return {**call.extra, **payload}


def new_call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def usage_payload(usage: Usage, cost: float | None) -> JSONObject:
    """Return the counts of tokens, with the upstream's details."""
    payload: UsagePayload = {
        "prompt_tokens": as_count(usage.prompt_tokens),
        "completion_tokens": as_count(usage.completion_tokens),
        "total_tokens": as_count(usage.total_tokens),
    }
    extra: JSONObject = without_nulls(usage.extra)
    shown = {**payload, **extra}
    if cost is not None:
        shown["cost"] = cost
    return shown
