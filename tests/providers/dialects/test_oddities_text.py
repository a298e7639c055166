"""Texts that come twice, in halves of characters, or among parts of unknown types."""

import json
from typing import Any

import pytest

from providers.errors import ProviderProtocolError
from tests.rig.odd_answers import DONE, SIZES, answer, d, event, whole

END = d({}, "stop") + DONE


def message(content: str, finish: str | None = None, **more: Any) -> bytes:
    choice = {"message": {"content": content}, "finish_reason": finish, **more}
    return event({"choices": [choice]})


def block(kind: str, **more: Any) -> bytes:
    return event({"type": f"content_block_{kind}", **more})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "body",
    [
        d({"content": "Red "})
        + d({"content": "green"})
        + message("Red green", "stop", delta={}),
        d({"content": "Red "})
        + d({"content": "green"})
        + message("Red green", "stop", delta=None),
        d({"content": "Red "}) + d({"content": "green"}) + message("Red green", "stop"),
        d({"role": "assistant"}) + message("Red green", "stop"),
        message("Red ") + message("green", "stop"),
        d({"content": "Red "}, message={"content": "Red "})
        + d({"content": "green"}, "stop", message={"content": "Red green"}),
    ],
    ids=["empty delta", "null delta", "after", "instead", "pieces", "beside"],
)
def test_whole_message_beside_pieces(body: bytes, size: int) -> None:
    """A message beside or after deltas is not said again; where none spoke it is."""
    assert answer(body + DONE, size).message["content"] == "Red green"


def raw(text: str, name: str = "content") -> bytes:
    """Return a chunk with *text* as it stands in the bytes: escapes are not escaped."""
    head = b'data: {"choices":[{"index":0,"delta":{"%b":"' % name.encode()
    return head + text.encode() + b'"}}]}\n\n'


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["content", "reasoning_content"])
@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["Hey \\ud83d", "\\ude00 you"], "Hey 😀 you"),
        (["a", "b", "Hey \\ud83d", "", "\\ude00 you"], "abHey 😀 you"),
        (["Hey \\ud83d", " you"], "Hey \ufffd you"),
        (["Hey \\ude00", " you"], "Hey \ufffd you"),
        (["Hey \\ud83d"], "Hey \ufffd"),
        (["\\ud83d\\ud83d\\ude00"], "\ufffd😀"),
        (["a", "b", "c\\ud83d", "d", "e"], "abc\ufffdde"),
    ],
    ids=str,
)
def test_halves(pieces: list[str], said: str, name: str, size: int) -> None:
    """Halves of a pair are joined, one alone becomes U+FFFD, the rest comes through."""
    found = answer(b"".join(raw(piece, name) for piece in pieces) + END, size)

    assert found.message[name] == said
    assert found.notes == ["half of a surrogate pair"]


def test_halves_in_arguments() -> None:
    """The arguments of a call that was cut in a character still parse."""
    body = b""
    for piece in ('{\\"a\\":\\"\\ud83d', "\\ude00", "\\ud83d", '\\"}'):
        call = b'[{"index":0,"function":{"name":"f","arguments":"%b"}}]'
        body += b'data: {"choices":[{"delta":{"tool_calls":'
        body += call % piece.encode() + b"}}]}\n\n"
    ((_, arguments),) = answer(body + END, 1).calls

    assert json.loads(arguments) == {"a": "😀\ufffd"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "openai",
            b'{"choices":[{"message":{"content":"\\ud83d!"},"finish_reason":"stop"}]}',
        ),
        (
            "gemini",
            (
                b'[{"candidates":[{"content":{"parts":[{"text":"\\ud83d"}]}}]},'
                b'{"candidates":[{"content":{"parts":[{"text":"!"}]},"finishReason":"STOP"}]}]'
            ),
        ),
        (
            "ollama",
            b'{"message":{"content":"\\ud83d"}}\n{"message":{"content":"!"},"done":true}\n',
        ),
        (
            "anthropic",
            block("start", index=0, content_block={"type": "text", "text": ""})
            + block(
                "delta", index=0, delta={"type": "text_delta", "text": "@"}
            ).replace(b"@", b"\\ud83d")
            + block("delta", index=0, delta={"type": "text_delta", "text": "!"})
            + event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
            + event({"type": "message_stop"}),
        ),
    ],
    ids=["openai", "gemini", "ollama", "anthropic"],
)
def test_halves_in_every_dialect(kind: str, body: bytes) -> None:
    """A lone half is text in whatever dialect it comes."""
    for size in SIZES:
        assert answer(body, size, kind).message["content"] == "\ufffd!"


def test_whole_halves() -> None:
    """A lone half in an answer that is passed on as it came is mended."""
    body = b'{"choices":[{"message":{"content":"a\\ud83d"},"finish_reason":"stop"}]}'

    assert whole(body).message["content"] == "a\ufffd"


@pytest.mark.parametrize("data", [b'{"a":NaN}', b'{"a":"\\ud83d"', b"{'a':1}", b"\xff"])
def test_no_json(data: bytes) -> None:
    """Bytes that are no JSON at all stay an error."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the parser's
        answer(b"data: " + data + b"\n\n" + END, 1)


def test_too_deep() -> None:
    """What is too deep to be written again fails like any broken answer."""
    deep = b'{"choices":[{"delta":{"content":"Hi","x":' + b"[" * 300 + b"]" * 300
    with pytest.raises(ProviderProtocolError, match="too deep"):
        answer(b"data: " + deep + b"}}]}\n\n" + END, 1)


@pytest.mark.parametrize("size", SIZES)
def test_parts_of_unknown_types(size: int) -> None:
    """Parts of unknown types are passed over, and the text around them is kept."""
    thinking = [
        {"type": "text", "text": "See "},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "it"},
    ]
    content = [
        {"type": "thinking", "thinking": thinking},
        {"type": "new"},
        {"type": "text", "text": "Hi"},
    ]
    found = answer(d({"content": content}) + END, size)

    assert found.message["reasoning_content"] == "See it"
    assert found.message["content"] == "Hi"


TEXT = {"type": "text_delta", "text": "Hi"}
THOUGHT = {"type": "thinking_delta", "thinking": "Hm"}
STOPPED = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "body",
    [
        block("delta", index=0, delta=THOUGHT) + block("delta", index=1, delta=TEXT),
        block("delta", delta=THOUGHT) + block("delta", delta=TEXT),
        block("start", content_block={"type": "thinking", "thinking": "Hm"})
        + block("start", content_block={"type": "text", "text": "Hi"}),
        block("start", content_block={"type": "thinking"})
        + block("delta", delta=THOUGHT)
        + block("stop")
        + block("start", content_block={"type": "text"})
        + block("delta", delta=TEXT)
        + block("stop"),
        block("delta", index=5, delta={"type": "new"})
        + block("delta", index=0, delta=THOUGHT)
        + block("stop", index=0)
        + block("delta", index=1, delta=TEXT),
    ],
    ids=["no starts", "no indices", "starts alone", "indices alone", "unknown"],
)
def test_blocks_that_lack_something(body: bytes, size: int) -> None:
    """A stream without starts, stops or indices is read as its deltas say."""
    found = answer(body + STOPPED + event({"type": "message_stop"}), size, "anthropic")

    assert (found.message["reasoning_content"], found.message["content"]) == (
        "Hm",
        "Hi",
    )
