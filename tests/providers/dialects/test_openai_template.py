"""Events known by their bytes: read as what parsing them would make of them."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest

from providers import ChatRequest, Chunk, Message, ProviderSettings, TextRun, chunks_of
from providers.dialects import UNREADABLE
from providers.dialects.openai.dialect import OpenAI
from providers.errors import ProviderError
from server.wire.chat import RENDERING

SETTINGS = ProviderSettings(id="Up", kind="openai", base_url="http://127.0.0.1/v1")
ASKED = ChatRequest(
    model="m", messages=(Message(role="user", content="hello"),), stream=True
)
Piece = Chunk | TextRun


def event(content: Any, **more: Any) -> bytes:
    """Return an event with a text, the rest as vendors send it."""
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    payload = {"id": "c-1", "created": 7, "model": "big", "choices": [choice]}
    return orjson.dumps({**payload, **more})


def raw(content: bytes) -> bytes:
    """Return an event whose text stands in it as these bytes."""
    return event("@@").replace(b'"@@"', content)


def body(events: Sequence[bytes]) -> bytes:
    return b"".join(b"data: %b\n\n" % data for data in [*events, b"[DONE]"])


def pieces(sent: bytes, *, plainly: bool, size: int = 1 << 20) -> Iterator[Piece]:
    """Read an answer in pieces of *size*; *plainly*: by parsing each of its events."""
    dialect = OpenAI(SETTINGS)
    if plainly:
        dialect._lessons = 0  # noqa: SLF001 - what it does without them is the promise
    for start in range(0, len(sent), size):
        yield from dialect.receive(sent[start : start + size])


def outcome(sent: bytes, *, plainly: bool, size: int = 1 << 20) -> list[Any]:
    """Return the chunks that an answer makes, and the error that ends them."""
    found: list[Any] = []
    try:
        for chunk in chunks_of(pieces(sent, plainly=plainly, size=size)):
            found.append(chunk)  # noqa: PERF402 - to have those before an error
    except (ProviderError, *UNREADABLE) as exc:
        found.append(type(exc))
    return found


def shown(sent: bytes, *, plainly: bool) -> list[Any]:
    """Return the frames that a client is sent for an answer, parsed."""
    stream = RENDERING.stream(ASKED, "Up", "m")
    rendered = stream.render(list(pieces(sent, plainly=plainly))) + stream.end()
    frames = rendered.decode().split("\n\n")
    assert frames.pop() == ""
    return [
        data if (data := frame.removeprefix("data: ")) == "[DONE]" else json.loads(data)
        for frame in frames
    ]


WORDS = ["a", " b", "\n\n", 'say "hi"', "\\", "data: {", '"content":', "ü", "\u2028"]
STREAMS = {
    "words": [event(word) for word in WORDS],
    "escapes": [event("a"), raw(rb'"\u00fc\ud83d\ude00\/"'), raw(rb'"\\"')],
    "another id": [event("a"), event("b"), event("c", id="c-2"), event("d")],
    "another time": [event(str(n), created=n) for n in range(20)],
    "a fingerprint": [event(w, system_fingerprint="fp") for w in "abc"],
    "usage of null": [event(w, usage=None) for w in "abc"],
    "usage in the middle": [event("a"), event("b", usage={"total_tokens": 3})],
    "padding": [event(w, obfuscation="x" * n) for n, w in enumerate("abcdefg")],
    "nothing said": [event("a"), event(""), event(None), event("b")],
    "no text": [event("a"), raw(b"5"), event("b")],
    "a list": [event("a"), raw(b'[{"type":"text","text":"b"}]'), event("c")],
    "two strings": [event("a"), raw(b'"b","c"'), event("d")],
    "another key": [event("a"), raw(b'"b","tool_calls":[]'), event("d")],
    "open string": [event("a"), raw(b'"b'), event("d")],
    "joint strings": [event("a"), raw(rb'"b\"'), raw(rb'","c"'), event("d")],
    "a line feed": [event("a"), raw(b'"b\tc"'), event("d")],
    "no UTF-8": [event("a"), raw(b'"\xff"'), event("d")],
    "half a surrogate": [event("a"), raw(rb'"\ud800"'), event("d")],
    "an error": [event("a"), event("b", error={"message": "no"}), event("c")],
    "an end": [
        event("a"),
        event("b"),
        event("@@").replace(b"null", b'"stop"'),
        event("c"),
    ],
    "two choices": [
        event(w).replace(b'"index":0', b'"index":%d' % (n % 2))
        for n, w in enumerate("abcdef")
    ],
    "blanks": [json.dumps(json.loads(event(w))).encode() for w in "abc"],
    "a role each": [
        event(w).replace(b'{"content"', b'{"role":"assistant","content"') for w in "abc"
    ],
    "another content": [
        event(w).replace(b'"index":0', b'"index":0,"logprobs":{"content":[]}')
        for w in "abc"
    ],
    "content twice": [
        event(w).replace(b'{"content"', b'{"content" :"x","content"') for w in "abc"
    ],
    "reasoning first": [
        *[event(w).replace(b'"content"', b'"reasoning_content"') for w in "ab"],
        *[event(w) for w in "cd"],
    ],
    "a call between": [
        event("a"),
        event("b"),
        event("@@").replace(
            b'"content":"@@"',
            b'"tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]',
        ),
        event("c"),
    ],
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_the_same_as_by_parsing(name: str, size: int) -> None:
    """Whatever comes, and however it is cut, makes the chunks that parsing makes."""
    sent = body(STREAMS[name])

    assert outcome(sent, plainly=False, size=size) == outcome(sent, plainly=True)


@pytest.mark.parametrize("name", STREAMS)
def test_the_same_frames(name: str) -> None:
    """What clients are sent of it is the same, too."""
    sent = body(STREAMS[name])
    if isinstance(outcome(sent, plainly=True)[-1], type):
        sent = body(STREAMS[name][:1])  # the rest is no answer

    assert shown(sent, plainly=False) == shown(sent, plainly=True)


def test_mixtures() -> None:
    """Any mixture of such events, too."""
    rng = random.Random(4)
    events = [data for stream in STREAMS.values() for data in stream]
    for _ in range(500):
        sent = body(rng.choices(events, k=rng.randint(2, 12)))

        assert outcome(sent, plainly=False) == outcome(sent, plainly=True)


@pytest.mark.parametrize(
    "name", ["words", "a fingerprint", "usage of null", "blanks", "a role each"]
)
def test_runs(name: str) -> None:
    """What differs by its text alone is not parsed: it comes as one run."""
    _, *rest = pieces(body(STREAMS[name]), plainly=False)

    run = rest[0]
    assert isinstance(run, TextRun)
    assert run.count == len(STREAMS[name]) - 1


def test_lessons_end() -> None:
    """An upstream that varies something else in each event is soon left alone."""
    varied = [event("x", obfuscation="x" * n) for n in range(50)]
    dialect = OpenAI(SETTINGS)

    list(dialect.receive(body(varied)))

    assert dialect._lessons == 0  # noqa: SLF001 - it can't be seen but by its cost
