"""Messages that pass as they are: what goes up, and which events come down, whole."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from providers import (
    MESSAGES,
    ChatRequest,
    Chunk,
    Message,
    NativeEvent,
    NativeRequest,
    ProviderSettings,
)
from providers.dialects import UNREADABLE
from providers.dialects.anthropic.dialect import Anthropic
from providers.dialects.framing import MAX_EVENT_BYTES
from tests.rig.anthropic_events import blocks
from tests.rig.samples import ALL_AT_ONCE, WIRE, delivered

SAMPLES = WIRE / "anthropic"
SETTINGS = ProviderSettings(
    id="Test", kind="anthropic", base_url="https://x.test/v1", api_key="sk-test-1234"
)

HELLO = {"role": "user", "content": "hello"}
BODY: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [HELLO]}
EMPTY = Chunk()


def asked(
    body: dict[str, Any], headers: dict[str, str] | None = None, name: str = MESSAGES
) -> ChatRequest:
    native = NativeRequest(format=name, body=body, headers=headers or {})
    messages = (Message(role="user", content="translated"),)
    return ChatRequest(model="m", messages=messages, max_tokens=5, native=native)


def read(body: bytes, request: ChatRequest, size: int = ALL_AT_ONCE) -> Iterator[Chunk]:
    """Read the answer to *request* in pieces of *size* bytes."""
    dialect = Anthropic(SETTINGS)
    dialect.encode(request, "claude")
    yield from delivered(dialect, body, size)


def events(body: bytes) -> list[NativeEvent]:
    """Return the events of a stream that have a name, less pings at its head."""
    found = []
    token = False
    for frame in body.split(b"\n\n"):
        lines = [line for line in frame.split(b"\n") if line.startswith(b"data: {")]
        for line in lines:
            data = line.removeprefix(b"data: ")
            name = json.loads(data).get("type", "")
            token = token or b"_delta" in data
            if name and (token or name != "ping"):
                found.append(NativeEvent(MESSAGES, name, data))
    return found


def untold(chunks: list[Chunk]) -> list[Chunk]:
    """Return chunks as they would be without events."""
    bare = [evolve(chunk, native=()) for chunk in chunks]
    return [chunk for chunk in bare if chunk != EMPTY]


WHOLE = [
    "text.sse",
    "text_in_start.sse",
    "llamacpp.sse",
    "tool.sse",
    "thinking.sse",
    "thinking_between.sse",
    "thinking_hidden.sse",
    "refusal.sse",
    "refusal_unexplained.sse",
    "unknown.sse",
    "names_missing.sse",
    "message_stop_missing.sse",
    "stop_reason_missing.sse",
]


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("name", WHOLE)
def test_every_event_passes(name: str, size: int) -> None:
    """
    The chunks have all events of the stream, each once and in order, none before the
    first token does, and say what they say without.
    """
    body = (SAMPLES / name).read_bytes()

    chunks = list(read(body, asked(BODY), size))

    assert chunks[0].native
    assert [e for chunk in chunks for e in chunk.native] == events(body)
    plain = list(read(body, asked(BODY, name="other")))
    assert untold(chunks) == plain
    assert all(chunk.native == () for chunk in plain)


def test_message_instead_of_a_stream() -> None:
    """A message that came whole is unrolled into the events that make it."""
    body = (SAMPLES / "message.json").read_bytes()
    message = json.loads(body)

    chunks = list(read(body, asked(BODY)))

    found = [json.loads(e.data) for chunk in chunks for e in chunk.native]
    assert [e.name for chunk in chunks for e in chunk.native] == [
        event["type"] for event in found
    ]
    assert chunks[0].native
    assert blocks([e for e in found if e["type"] != "ping"]) == message["content"]
    assert found[0]["message"] == message | {"content": [], "stop_reason": None}
    assert found[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": message["usage"],
    }
    assert found[-1] == {"type": "message_stop"}


def test_client_of_another_format() -> None:
    """Who does not speak the API gets no events of it, and the body is translated."""
    request = asked(BODY, name="other")
    call = Anthropic(SETTINGS).encode(request, "claude")
    chunks = list(read((SAMPLES / "text.sse").read_bytes(), request))

    assert json.loads(call.body)["messages"][0]["content"][0]["text"] == "translated"
    assert all(chunk.native == () for chunk in chunks)


def test_names_that_are_none() -> None:
    """What can't stand behind `event:` is not passed on."""
    frames = (
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Hi"},
        },
        {"type": "a\ndata: {}"},
        {"type": 7},
        {"type": ""},
    )
    dialect = Anthropic(SETTINGS)
    dialect.encode(asked(BODY), "claude")
    body = b"".join(
        b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames
    )

    chunks = list(dialect.receive(body))

    names = [event.name for chunk in chunks for event in chunk.native]
    assert names == ["content_block_start", "content_block_delta"]


def test_what_comes_before_the_first_token_is_bounded() -> None:
    """Any number of pings may come, but no endless thought that nobody is shown."""
    dialect = Anthropic(SETTINGS)
    dialect.encode(asked(BODY), "claude")
    ping = b'data: {"type":"ping","pad":"' + b"x" * 2**20 + b'"}\n\n'
    for _ in range(MAX_EVENT_BYTES // 2**20 + 2):
        assert list(dialect.receive(ping)) == []
    news = b'data: {"type":"news","pad":"' + b"x" * (MAX_EVENT_BYTES // 2) + b'"}\n\n'
    assert list(dialect.receive(news)) == []

    with pytest.raises(UNREADABLE, match="before the first token"):
        list(dialect.receive(news))


# Requests


def test_body_passes() -> None:
    """All that the client said goes up, but for the model, as a stream."""
    body = BODY | {
        "stream": False,
        "temperature": 0.2,
        "top_k": 5,
        "made_up": {"a": [None, 1.5, "é"]},
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "system": [
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
        ],
    }
    before = json.dumps(body)

    call = Anthropic(SETTINGS).encode(asked(body), "claude-opus-5")

    assert json.loads(call.body) == body | {"model": "claude-opus-5", "stream": True}
    assert json.dumps(body) == before


def test_headers_pass() -> None:
    """The client's version goes before ours, its betas along, the key stays ours."""
    beta = {"anthropic-version": "2026-10-21", "anthropic-beta": "a,b"}

    call = Anthropic(SETTINGS).encode(asked(BODY, beta), "claude")
    plain = Anthropic(SETTINGS).encode(asked(BODY), "claude")

    assert call.headers.items() >= beta.items()
    assert call.headers["x-api-key"] == "sk-test-1234"
    assert plain.headers["anthropic-version"] == "2023-06-01"


def test_thoughts_of_others_stay_here() -> None:
    """
    Thoughts without a signature were another upstream's, and Anthropic refuses them;
    copies of its API want them back. Signed ones go back as they came.
    """
    signed = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
    unsigned = {"type": "thinking", "thinking": "Hm", "signature": ""}
    bare = {"type": "thinking", "thinking": "Hm"}
    text = {"type": "text", "text": "Fine."}
    turns = [
        HELLO,
        {"role": "assistant", "content": [signed, text]},
        HELLO,
        {"role": "assistant", "content": [unsigned, text, bare]},
        HELLO,
        {"role": "assistant", "content": [unsigned]},
    ]

    own = evolve(SETTINGS, base_url="https://api.anthropic.com/v1")
    request = asked(BODY | {"messages": turns})
    sent = Anthropic(own).encode(request, "claude")
    to_a_copy = Anthropic(SETTINGS).encode(request, "claude")

    assert json.loads(sent.body)["messages"] == [
        *turns[:3],
        {"role": "assistant", "content": [text]},
        HELLO,
    ]
    assert json.loads(to_a_copy.body)["messages"] == turns


def test_prompts_stay_out_of_reprs() -> None:
    """What was said is not printed with its record."""
    native = asked({"messages": "psst"}).native
    event = NativeEvent(MESSAGES, "message_start", b"psst")

    assert "psst" not in repr((native, event))
