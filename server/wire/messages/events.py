"""The events of Anthropic's Messages API, and the objects in them."""

import uuid
from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

from providers import Usage
from server.errors import ErrorPayload
from server.json_types import Cost, Count, JSONMapping, JSONObject, Winner


class OutputDetails(TypedDict):
    thinking_tokens: Count


class MessageUsage(TypedDict):
    input_tokens: NotRequired[Count]
    output_tokens: Count
    cache_read_input_tokens: NotRequired[Count | None]
    cache_creation_input_tokens: NotRequired[Count | None]
    output_tokens_details: NotRequired[OutputDetails | None]
    cost: NotRequired[Cost]


class TypedObject(TypedDict):
    """An object of the API that says which one it is; its other fields follow."""

    type: str


class MessagePayload(TypedDict):
    """A message, as it stands in an answer and in the event that begins a stream."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[TypedObject]
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessageUsage
    provider: Winner


class MessageEvent(TypedDict):
    """
    An event, whose name is its `type`: `message_start`, `content_block_start`,
    `content_block_delta`, `content_block_stop`, `message_delta`, `message_stop`,
    `ping`, `error`, and what else a provider of this API sends.
    """

    type: str
    message: NotRequired[MessagePayload]
    index: NotRequired[Count]
    content_block: NotRequired[JSONObject]
    delta: NotRequired[JSONObject]
    usage: NotRequired[MessageUsage]
    error: NotRequired[ErrorPayload]


def message_start(provider: str, model: str) -> MessagePayload:
    """Return the message with which a stream begins."""
    return {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        # Known at the end only.
        "usage": {"input_tokens": 0, "output_tokens": 0},
        "provider": provider,
    }


def usage_payload(usage: Usage) -> MessageUsage:
    """Count as Anthropic does: what was read from a cache is no input token."""
    prompt = usage.extra.get("prompt_tokens_details")
    completion = usage.extra.get("completion_tokens_details")
    read = _count(prompt, "cached_tokens")
    written = _count(prompt, "cache_write_tokens")
    payload: MessageUsage = {
        "input_tokens": max(usage.prompt_tokens - (read or 0) - (written or 0), 0),
        "output_tokens": usage.completion_tokens,
    }
    if read is not None:
        payload["cache_read_input_tokens"] = read
    if written is not None:
        payload["cache_creation_input_tokens"] = written
    thinking = _count(completion, "reasoning_tokens")
    if thinking is not None:
        payload["output_tokens_details"] = {"thinking_tokens": thinking}
    return payload


def _count(details: JSONMapping | None, name: str) -> int | None:
    value = details.get(name) if isinstance(details, Mapping) else None
    return value if isinstance(value, int) else None
