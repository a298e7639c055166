"""Events that differ in their text alone: read faster, and as the same."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from providers import (
    ChatPiece,
    ChatRequest,
    Chunk,
    Message,
    NativeEvent,
    NativeRequest,
    ProviderSettings,
    TextRun,
    chunks_of,
)
from providers.chat import RESPONSES
from providers.dialects.responses import Responses

SETTINGS = ProviderSettings(id="Test", kind="responses", base_url="https://x.test/v1")
NATIVE = ChatRequest(
    model="m",
    messages=(Message(role="user", content="hello"),),
    native=NativeRequest(format=RESPONSES, body={"input": "hello"}),
)
NAME = "response.output_text.delta"
PLACE: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def delta(text: Any, number: int = 1, **more: Any) -> dict[str, Any]:
    """Return an event as OpenAI puts it, with padding."""
    head = {"type": NAME, "sequence_number": number}
    tail = {"logprobs": [], "obfuscation": "aB3"[: number % 4]}
    return {**head, **PLACE, "delta": text, **tail, **more}


def framed(*events: dict[str, Any] | bytes) -> bytes:
    frames = [each if isinstance(each, bytes) else encoded(each) for each in events]
    return b"".join(b"data: %b\n\n" % each for each in frames)


def encoded(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def receive(body: bytes, request: ChatRequest = NATIVE) -> Iterator[ChatPiece]:
    dialect = Responses(SETTINGS)
    dialect.encode(request, "m")
    yield from dialect.receive(body)


def one_by_one(*events: dict[str, Any] | bytes) -> list[Chunk]:
    """Read events so that none comes right after one that it is like."""
    dialect = Responses(SETTINGS)
    dialect.encode(NATIVE, "m")
    return [
        chunk
        for event in events
        for chunk in chunks_of(dialect.receive(framed({"type": "keepalive"}, event)))
    ]


def test_most_of_an_answer_is_one_run() -> None:
    """Events that add a text, and differ in number and padding, come together."""
    texts = ["Hi", " you", "\n", 'say "é"', "👋", "\\", " \u2028"]
    events = [delta(text, i) for i, text in enumerate(texts, 9)]
    body = framed(*events)

    first, run = receive(body)

    assert isinstance(first, Chunk)
    assert isinstance(run, TextRun)
    assert run.texts() == texts[1:]
    assert [json.loads(data) for data in run.native] == events[1:]
    assert run.like.native == (NativeEvent(RESPONSES, NAME, b""),)
    assert list(chunks_of([first, run])) == one_by_one(*events)


def test_clients_of_other_formats() -> None:
    """Who is not shown the events is not handed them."""
    request = ChatRequest(model="m", messages=NATIVE.messages)

    _, run = receive(framed(delta("Hi"), delta(" you", 2)), request)

    assert isinstance(run, TextRun)
    assert list(run.native) == []
    assert run.like.native == ()
    assert [chunk.native for chunk in run.chunks()] == [()]


def test_runs_are_the_answer() -> None:
    """What came in runs is not told again by the end of its item."""
    part = {"type": "output_text", "text": "One two three."}
    item = {"type": "message", "id": "msg_1", "content": [part]}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    pieces = receive(framed(delta("One"), delta(" two"), delta(" three"), done))

    chunks = [each for each in chunks_of(pieces) if each.choices]
    assert [each.choices[0].delta.content for each in chunks] == [
        "One",
        " two",
        " three",
        ".",
    ]


ODD: dict[str, dict[str, Any] | bytes] = {
    "empty": delta(""),
    "null": delta(None),
    "another item": delta("x", item_id="msg_2"),
    "another index": delta("x", output_index=1),
    "another part": delta("x", content_index=1),
    "likely": delta("x", logprobs=[{"token": "x", "logprob": -1, "top_logprobs": []}]),
    "no number": delta("x", sequence_number=None),
    "no such number": delta("x", sequence_number=-1),
    "other padding": delta("x", obfuscation="é"),
    "no padding": delta("x", obfuscation=None),
    "another field": delta("x", made_up=1),
    "refusal": delta("x", type="response.refusal.delta"),
    "bare": {"type": NAME, "delta": "x"},
    "unknown": {"type": "response.made_up", "delta": "x"},
    "spaces": json.dumps(delta("x")).encode(),
    "field in a text": delta('x","delta":"y'),
    "field in an id": {"type": NAME, "item_id": 'a","delta":"b', "delta": "x"},
    "field twice": encoded(delta("x"))[:-1] + b',"delta":"y"}',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_events_that_are_not_alike(odd: dict[str, Any] | bytes) -> None:
    """What differs in more than its text is read for itself, first and later."""
    around = [delta("One"), delta("two"), odd, delta("three"), odd, odd, delta("four")]
    assert list(chunks_of(receive(framed(*around)))) == one_by_one(*around)

    around = [odd, odd, delta("One"), odd]
    assert list(chunks_of(receive(framed(*around)))) == one_by_one(*around)


@pytest.mark.parametrize(
    "word", [b'"\\x"', b'"\xff"', b'"a\tb"', b'"open', b'{"a":1}', b"1"]
)
def test_words_that_are_none(word: bytes) -> None:
    """What is no text is none in a run either; what came before it stands."""
    bad = encoded(delta("x")).replace(b'"x"', word)
    found: list[Chunk] = []

    def take() -> None:
        for piece in receive(framed(delta("One"), delta("two"), bad)):
            found.extend(chunks_of([piece]))

    with pytest.raises((ValueError, TypeError)):
        take()
    assert [chunk.choices[0].delta.content for chunk in found] == ["One", "two"]


def test_layouts_that_vary() -> None:
    """An upstream whose events are never alike is learned from a number of times."""
    events = [delta("x", **{f"f{i}": 1}) for i in range(3)]
    events += [
        dict(list(delta("x").items())[i:] + list(delta("x").items())[:i])
        for i in range(8)
    ] * 20

    assert list(chunks_of(receive(framed(*events)))) == one_by_one(*events)
