"""What a stream of Anthropic's Messages API must be, by Anthropic's own package."""

import json
from collections.abc import Iterable
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from .upstream import END, HEAD, Step, chunked

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
# Ours, and told to whoever looks for it.
OURS = {".message.provider", ".provider"}


def block(index: int, start: Any, *deltas: Any) -> list[dict[str, Any]]:
    """Return the events of one content block."""
    of = {"index": index}
    return [
        {"type": "content_block_start", **of, "content_block": start},
        *({"type": "content_block_delta", **of, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", **of},
    ]


BEGUN: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_theirs",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 5,
            "output_tokens": 1,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 0,
                "ephemeral_1h_input_tokens": 0,
            },
            "service_tier": "standard",
        },
    },
}
CITED = {
    "type": "char_location",
    "cited_text": "x",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
    "file_id": None,
}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [
        {
            "type": "web_search_result",
            "title": "T",
            "url": "https://x.test",
            "encrypted_content": "eA==",
            "page_age": None,
        }
    ],
}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}
ENDED: dict[str, Any] = {
    "type": "message_delta",
    "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
    "usage": {
        "output_tokens": 12,
        "cache_read_input_tokens": None,
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
    },
}
# A stream with all that the API has and no other: each event must reach the client.
THEIRS: list[dict[str, Any]] = [
    BEGUN,
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Let me"},
        {"type": "thinking_delta", "thinking": " see."},
        {"type": "signature_delta", "signature": "c2ln"},
    ),
    *block(
        1,
        {**SEARCH, "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query":'},
        {"type": "input_json_delta", "partial_json": ' "x"}'},
    ),
    {"type": "ping"},
    *block(2, FOUND),
    *block(
        3,
        {"type": "text", "text": "", "citations": []},
        {"type": "citations_delta", "citation": CITED},
        {"type": "text_delta", "text": "Found."},
        {"type": "citations_delta", "citation": CITED},
    ),
    *block(4, {"type": "redacted_thinking", "data": "eA=="}),
    ENDED,
    {"type": "message_stop"},
]


def script(events: Iterable[dict[str, Any]]) -> list[Step]:
    """Return the script of an upstream that sends these events."""
    frames = (f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
    return [HEAD, *(chunked(frame.encode()) for frame in frames), END]


def events(body: bytes) -> list[dict[str, Any]]:
    """
    Return the events of a stream that is as it must be: each with its name, of a type
    that the package has, with all of its fields and no others, in the right order.
    """
    found = named(body)
    for event in found:
        if event["type"] != "ping":
            made = EVENT.validate_json(json.dumps(event), strict=True)
            assert set(unknown(made)) <= OURS, event
    check_order(found)
    return found


def named(body: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream, each with the name that its type says."""
    found = []
    frames = body.decode().split("\n\n")
    assert frames.pop() == ""
    for frame in frames:
        name, *data = frame.split("\n")
        assert all(line.startswith("data: ") for line in data)
        event = json.loads("\n".join(line.removeprefix("data: ") for line in data))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def message(body: bytes) -> dict[str, Any]:
    """Return a whole message that is as it must be."""
    made = Message.model_validate_json(body, strict=True)
    assert set(unknown(made)) <= OURS, body
    assert made.stop_reason is not None
    parsed: dict[str, Any] = json.loads(body)
    return parsed


def unknown(value: Any, path: str = "") -> Iterable[str]:
    """Yield the paths of the fields that the package does not know."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or ():
            yield f"{path}.{name}"
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from unknown(each, f"{path}[{i}]")


def check_order(found: Iterable[dict[str, Any]]) -> None:
    """One start, blocks one after another from 0, one delta of the message, one end."""
    kinds = [event for event in found if event["type"] != "ping"]
    assert kinds.pop(0)["type"] == "message_start"
    assert [event["type"] for event in kinds[-2:]] == ["message_delta", "message_stop"]
    index, opened = -1, False
    for event in kinds[:-2]:
        if event["type"] == "content_block_start":
            assert not opened
            index, opened = index + 1, True
        assert opened
        assert event["index"] == index
        assert event["type"].startswith("content_block_")
        opened = event["type"] != "content_block_stop"
    assert not opened


def blocks(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the blocks of a stream come to, as a client puts them together."""
    made: list[dict[str, Any]] = []
    for event in found:
        if event["type"] == "content_block_start":
            made.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            (value,) = (v for name, v in event["delta"].items() if name != "type")
            grown = event["delta"]["type"].removesuffix("_delta")
            name = {"input_json": "input"}.get(grown, grown)
            before = made[-1].get(name) or ""
            made[-1][name] = before + value
        elif event["type"] == "content_block_stop" and made[-1].get("input"):
            made[-1]["input"] = json.loads(made[-1]["input"])
    return made
