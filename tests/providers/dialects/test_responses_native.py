"""Responses that pass as they are: what goes up, and which events come down, whole."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from providers import (
    ChatRequest,
    Chunk,
    Message,
    NativeEvent,
    NativeRequest,
    ProviderSettings,
    chunks_of,
)
from providers.chat import RESPONSES
from providers.dialects import UNREADABLE
from providers.dialects.framing import MAX_EVENT_BYTES
from providers.dialects.responses import Responses
from server.wire.chat import RENDERING
from tests.rig.response_events import read as strictly
from tests.rig.samples import WIRE

SAMPLES = WIRE / "responses"
COPY = ProviderSettings(
    id="Test", kind="responses", base_url="https://x.test/v1", api_key="sk-test-1234"
)
OPENAI = evolve(COPY, base_url="https://api.openai.com/v1")
HELLO = {"role": "user", "content": "hello"}
BODY: dict[str, Any] = {"model": "m", "input": [HELLO]}
EMPTY = Chunk()


def asked(
    body: dict[str, Any], headers: dict[str, str] | None = None, name: str = RESPONSES
) -> ChatRequest:
    native = NativeRequest(format=name, body=body, headers=headers or {})
    messages = (Message(role="user", content="translated"),)
    return ChatRequest(model="m", messages=messages, max_tokens=50, native=native)


def read(body: bytes, request: ChatRequest, size: int = 1 << 20) -> Iterator[Chunk]:
    """Read the answer to *request* in pieces of *size* bytes."""
    dialect = Responses(COPY)
    dialect.encode(request, "gpt")
    for start in range(0, len(body), size):
        yield from chunks_of(dialect.receive(body[start : start + size]))
        if dialect.done:
            return
    yield from chunks_of(dialect.end())


def events(body: bytes) -> list[NativeEvent]:
    """Return a stream's events up to its last one, less signs of life."""
    found = []
    for line in body.split(b"\n"):
        data = line.removeprefix(b"data: ")
        name = json.loads(data).get("type", "") if data.startswith(b"{") else ""
        if name and name != "keepalive":
            found.append(NativeEvent(RESPONSES, name, data))
        if name in ("response.completed", "response.incomplete"):
            break
    return found


def untold(chunks: list[Chunk]) -> list[Chunk]:
    """Return chunks as they would be without events."""
    bare = [evolve(chunk, native=()) for chunk in chunks]
    return [chunk for chunk in bare if chunk != EMPTY]


def framed(event: NativeEvent) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event.name.encode(), event.data)


def summed(chunks: list[Chunk]) -> bytes:
    """Return the answer that chunks add up to."""
    answer = RENDERING.answer(asked(BODY), "Test", "m")
    answer.add(chunks)
    return answer.body()


BROKEN = ("error", "failed", "cancelled", "truncated", "invalid", "done_without")
WHOLE = sorted(
    path.name
    for path in SAMPLES.glob("*.sse")
    if not path.name.startswith(BROKEN)
    and "_not_text" not in path.name
    and path.name != "call_unnamed.sse"
)


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("name", WHOLE)
def test_every_event_passes(name: str, size: int) -> None:
    """
    From the first token on, the chunks have all events of the stream, those before it
    too, each once and in order, and say what they say without.
    """
    body = (SAMPLES / name).read_bytes()

    chunks = list(read(body, asked(BODY), size))

    first = next((i for i, c in enumerate(chunks) if c.has_token), len(chunks) - 1)
    assert [e for chunk in chunks[first:] for e in chunk.native] == events(body)
    plain = list(read(body, asked(BODY, name="other")))
    assert untold(chunks) == plain
    assert all(chunk.native == () for chunk in [*chunks[:first], *plain])


def test_response_instead_of_a_stream() -> None:
    """
    A response that came whole is unrolled into the events that make it, which say the
    same; those that OpenAI's package knows the order of are in it.
    """
    response = json.loads((SAMPLES / "response.json").read_bytes())
    del response["output"][0]["content"]
    response["output"][0]["status"] = "completed"
    known = {**response, "output": response["output"][:3]}

    chunks = list(read(json.dumps(response).encode(), asked(BODY)))
    passed = [e for chunk in chunks for e in chunk.native]
    fewer = list(read(json.dumps(known).encode(), asked(BODY)))

    strictly(b"".join(framed(e) for chunk in fewer for e in chunk.native))
    last = json.loads(passed[-1].data)
    assert passed[-1].name == last["type"] == "response.completed"
    assert last["response"] == response
    items = [json.loads(e.data) for e in passed if "output_item.done" in e.name]
    assert [event["item"] for event in items] == response["output"]
    assert b"gAAAA1" not in b"".join(e.data for e in passed if "added" in e.name)
    said = list(read(json.dumps(known).encode(), asked(BODY, name="other")))
    assert summed(fewer) == summed(said)


def test_parts_that_are_empty_or_unknown() -> None:
    """A response that came whole may have parts that say nothing to a chat."""
    texts = [{"type": "output_text", "text": ""}, {"type": "made_up", "x": 1}]
    message = {"type": "message", "id": "msg_1", "content": texts}
    response = {"id": "resp_1", "object": "response", "output": [message]}

    chunks = list(read(json.dumps(response).encode(), asked(BODY)))

    names = [event.name for event in chunks[-1].native]
    assert names[2:-1] == [
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ]


def test_answer_in_one_piece() -> None:
    """What was asked for in one piece is there as its last event, whole."""
    body = (SAMPLES / "response_cut.json").read_bytes()
    dialect = Responses(COPY)
    call = dialect.encode_whole(asked(BODY | {"stream_options": {}}), "gpt")

    chunks = list(chunks_of(dialect.read_whole(body)))

    assert json.loads(call.body) == {
        **BODY,
        "model": "gpt",
        "store": False,
        "stream": False,
    }
    last = chunks[-1].native[-1]
    assert last.name == "response.incomplete"
    assert json.loads(last.data)["response"] == json.loads(body)


def test_client_of_another_format() -> None:
    """Who does not speak the API gets no events of it, and the body is translated."""
    request = asked(BODY, name="other")
    call = Responses(COPY).encode(request, "gpt")
    chunks = list(read((SAMPLES / "text.sse").read_bytes(), request))

    assert json.loads(call.body)["input"] == [{"role": "user", "content": "translated"}]
    assert all(chunk.native == () for chunk in chunks)


def test_names_that_are_none() -> None:
    """What can't stand behind `event:` is not passed on."""
    frames = (
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"},
        {"type": "a\ndata: {}"},
        {"type": 7},
        {"type": ""},
        {"type": "response.made_up"},
    )
    dialect = Responses(COPY)
    dialect.encode(asked(BODY), "gpt")
    body = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in frames)

    chunks = list(chunks_of(dialect.receive(body)))

    names = [event.name for chunk in chunks for event in chunk.native]
    assert names == ["response.output_text.delta", "response.made_up"]


def test_what_comes_before_the_first_token_is_bounded() -> None:
    """Any number of signs of life may come, but no endless search that nobody sees."""
    dialect = Responses(COPY)
    dialect.encode(asked(BODY), "gpt")
    pad = b'","pad":"' + b"x" * 2**20 + b'"}\n\n'
    for _ in range(MAX_EVENT_BYTES // 2**20 + 2):
        assert list(dialect.receive(b'data: {"type":"keepalive' + pad)) == []

    half = b'data: {"type":"made_up","x":"' + b"x" * (MAX_EVENT_BYTES // 2) + b'"}\n\n'
    assert list(dialect.receive(half)) == []
    with pytest.raises(UNREADABLE, match="before the first token"):
        list(dialect.receive(half))


# Requests


def body_for(body: dict[str, Any], settings: ProviderSettings = COPY) -> dict[str, Any]:
    before = json.dumps(body)
    sent: dict[str, Any] = json.loads(
        Responses(settings).encode(asked(body), "gpt").body
    )
    assert json.dumps(body) == before
    return sent


def test_body_passes() -> None:
    """All that the client said goes up, but for the model, as a stream of its own."""
    body = BODY | {
        "stream": False,
        "store": True,
        "temperature": 0.2,
        "max_output_tokens": 1,
        "made_up": {"a": [None, 1.5, "é"]},
        "include": ["reasoning.encrypted_content"],
        "client_metadata": {"a": "b"},
        "tools": [
            {"type": "web_search", "external_web_access": False},
            {"type": "namespace", "name": "team", "tools": [{"type": "function"}]},
            {"type": "custom", "name": "patch", "format": {"type": "grammar"}},
        ],
        "input": [
            {"type": "message", "id": "msg_1", "role": "developer", "content": "Hm"},
            {"role": "user", "content": [{"type": "made_up"}]},
            {"type": "made_up", "id": "x_1"},
            {
                "type": "reasoning",
                "id": "rs_1",
                "encrypted_content": "gA",
                "summary": [],
            },
            {"type": "local_shell_call_output", "id": "sh_1", "output": "x"},
        ],
    }

    assert body_for(body) == body | {"model": "gpt", "stream": True, "store": False}
    assert body_for(BODY | {"input": "hello"})["input"] == "hello"


def test_nothing_is_kept_at_the_upstream() -> None:
    """What only one upstream would know, or would keep, is not asked of any."""
    kept = {
        "previous_response_id": "resp_1",
        "conversation": "conv_1",
        "background": True,
        "store": True,
    }

    assert body_for(BODY | kept) == {
        **BODY,
        "model": "gpt",
        "stream": True,
        "store": False,
    }


def test_headers_pass() -> None:
    """The client's headers that matter to the API go along, the key stays ours."""
    call = Responses(COPY).encode(asked(BODY, {"openai-beta": "a"}), "gpt")

    assert call.headers["openai-beta"] == "a"
    assert call.headers["Authorization"] == "Bearer sk-test-1234"


CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
SHELL = {"type": "local_shell_call_output", "id": "sh_1", "output": "x"}
BARE: dict[str, Any] = {"type": "reasoning", "summary": []}
THOUGHT = {**BARE, "content": [{"type": "reasoning_text", "text": "Hm."}]}
SEALED = {**BARE, "encrypted_content": "gAAAA1"}


@pytest.mark.parametrize(
    ("settings", "item", "kept"),
    [
        (COPY, {"type": "item_reference", "id": "msg_0"}, []),
        (COPY, {**BARE, "id": "rs_1"}, []),
        (COPY, {**BARE, "id": "rs_1", "encrypted_content": ""}, []),
        (OPENAI, {**THOUGHT, "id": "rs_1"}, []),
        (
            COPY,
            {
                **BARE,
                "id": "rs_1",
                "thinking_blocks": [
                    {
                        "type": "openai_reasoning",
                        "provider": name,
                        "encrypted_content": "gAAAA1",
                        "summary": [],
                    }
                    for name in ("Other", "Test")
                ],
            },
            [SEALED],
        ),
        (COPY, {**BARE, "id": "rs_1", "thinking_blocks": []}, []),
    ],
)
def test_what_the_upstream_can_not_read(
    settings: ProviderSettings, item: Any, kept: list[Any]
) -> None:
    """
    References and reasoning of others are left out; and with them the ids, by which
    an upstream would miss them.
    """
    message = {"type": "message", "role": "assistant", "content": "Hi"}
    items = [
        HELLO,
        item,
        {**message, "id": "msg_1"},
        {**CALL, "id": "fc_1"},
        SHELL,
        "x",
    ]
    sent = body_for(BODY | {"input": items}, settings)

    assert sent["input"] == [HELLO, *kept, message, CALL, SHELL, "x"]


def test_thoughts_that_are_not_sealed() -> None:
    """Copies that seal nothing read their own thoughts again."""
    items = [HELLO, {**THOUGHT, "id": "rs_1"}, {**CALL, "id": "fc_1"}]

    assert body_for(BODY | {"input": items})["input"] == items


def test_ids_that_are_too_long() -> None:
    """An id that the API would refuse for its length is left out."""
    items = [{**CALL, "id": "x" * 65}, {**CALL, "id": "x" * 64}]

    assert CALL in body_for(BODY | {"input": items})["input"]


def test_prompts_stay_out_of_reprs() -> None:
    """What was said is not printed with its record."""
    assert "psst" not in repr(asked({"input": "psst"}).native)
