"""Text completions as we serve them: prompts in, texts out."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from openai.types import Completion

from providers import (
    COMPLETIONS,
    Choice,
    Chunk,
    Delta,
    FinishReason,
    ProviderProtocolError,
    Usage,
)
from server.errors import InvalidRequest
from server.wire.bound import MAX_ANSWER
from server.wire.completions import MAX_PROMPTS, parse, rendering_of

BODY: dict[str, Any] = {"model": "m", "prompt": "Once"}
USED = Chunk(usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3))


def asked(**fields: Any) -> Any:
    return parse(json.dumps(BODY | fields).encode())[0]


def chunk(
    text: str | None = None,
    finish_reason: FinishReason | None = None,
    index: int = 0,
    logprobs: dict[str, Any] | None = None,
    **delta: Any,
) -> Chunk:
    choice = Choice(
        index=index,
        delta=Delta(content=text, **delta),
        finish_reason=finish_reason,
        logprobs=logprobs,
    )
    return Chunk(id="chatcmpl-1", model="real", choices=(choice,))


TEXT = [
    chunk(reasoning_content="Hm."),
    chunk(" upon"),
    chunk(" a time", index=1),
    chunk(""),
    chunk(finish_reason="tool_calls"),
    chunk("too late"),
    chunk(finish_reason="length", index=1),
    USED,
]


def streamed(
    chunks: Iterable[Chunk], *, include_usage: bool = False, **fields: Any
) -> list[Any]:
    form = rendering_of(asked(**fields), include_usage=include_usage)
    stream = form.stream(asked().chats()[0], "A", "asked")
    sent = b"".join([*(stream.render([c]) for c in chunks), stream.end()]).decode()
    *frames, done, empty = sent.split("\n\n")
    assert (done, empty) == ("data: [DONE]", "")
    return [strictly(json.loads(frame.removeprefix("data: "))) for frame in frames]


def answered(chunks: Iterable[Chunk], **fields: Any) -> Any:
    made = asked(**fields)
    answer = rendering_of(made, include_usage=False).answer(
        made.chats()[0], "A", "asked"
    )
    answer.add(chunks)
    return strictly(json.loads(answer.body()))


def strictly(payload: Any) -> Any:
    """Return a completion; a chunk's choices may have no finish_reason yet."""
    assert payload["provider"] == "A"
    shown = {n: v for n, v in payload.items() if n != "provider"}
    ended = [
        {**c, "finish_reason": c["finish_reason"] or "stop"} for c in shown["choices"]
    ]
    made = Completion.model_validate({**shown, "choices": ended})
    assert not made.model_extra
    assert not any(choice.model_extra for choice in made.choices)
    return payload


def test_a_prompt_is_what_the_user_says() -> None:
    """For those who only chat; what a chat has, too, goes along."""
    (chat,) = asked(stop=["."], seed=1, user=None, stream=True, echo=True).chats()

    assert chat.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Once"}],
        "max_completion_tokens": 16,
        "stop": ["."],
        "seed": 1,
        "stream": True,
    }
    assert chat.native is not None
    assert chat.native.format == COMPLETIONS
    assert chat.native.body == {
        "model": "m",
        "prompt": "Once",
        "max_tokens": 16,
        "stop": ["."],
        "seed": 1,
        "stream": True,
    }


def test_a_gap_is_explained() -> None:
    """What is to be filled in is said in words to those who only chat."""
    (chat,) = asked(suffix="end.", max_tokens=3).chats()

    system, user = chat.messages
    assert system.role == "system"
    assert "Once" in str(user.content)
    assert "end." in str(user.content)
    assert chat.native is not None
    assert chat.native.body["suffix"] == "end."
    assert "suffix" not in chat.body
    assert chat.max_completion_tokens == chat.native.body["max_tokens"] == 3


def test_each_prompt_is_a_chat() -> None:
    """Several prompts differ in nothing but what is said."""
    chats = asked(prompt=["a", "b"], n=2, logprobs=3, best_of=2).chats()

    assert [chat.messages[0].content for chat in chats] == ["a", "b"]
    assert [chat.native.body["prompt"] for chat in chats] == ["a", "b"]
    assert {(c.n, c.logprobs, c.top_logprobs) for c in chats} == {(2, True, 3)}
    assert chats[0].native.body["logprobs"] == 3
    assert "best_of" not in chats[0].body


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1], [2]]}, "prompt"),
        ({"prompt": ["a"] * (MAX_PROMPTS + 1)}, "prompt"),
        ({"best_of": 3}, "best_of"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": 1, "echo": True}, "logprobs"),
        ({"temperature": 3}, "temperature"),
        ({"n": 0}, "n"),
    ],
)
def test_mistakes_name_the_field(fields: dict[str, Any], param: str) -> None:
    """What is wrong is named."""
    with pytest.raises(InvalidRequest) as caught:
        asked(**fields).chats()

    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message


def test_stream() -> None:
    """Each choice under its index, finished once, its thoughts left out."""
    frames = streamed(TEXT, include_usage=True)

    said = [
        (c["index"], c["text"], c["finish_reason"])
        for frame in frames
        for c in frame["choices"]
    ]
    assert said == [
        (0, " upon", None),
        (1, " a time", None),
        (0, "", "stop"),
        (1, "", "length"),
    ]
    assert {frame["id"] for frame in frames} == {frames[0]["id"]}
    assert frames[0]["id"].startswith("cmpl-")
    assert frames[0]["model"] == "real"
    assert frames[-1]["choices"] == []
    assert frames[-1]["usage"]["total_tokens"] == 3
    assert len(streamed(TEXT)) == len(frames) - 1


def test_answer() -> None:
    """The same as one object."""
    made = answered(TEXT)

    assert made["usage"]["total_tokens"] == 3
    assert made["choices"] == [
        {"text": " upon", "index": 0, "logprobs": None, "finish_reason": "stop"},
        {"text": " a time", "index": 1, "logprobs": None, "finish_reason": "length"},
    ]


def test_echo() -> None:
    """Each choice begins with its own prompt, once."""
    chunks = [chunk("x", index=i) for i in (3, 0, 2, 1, 0)]
    fields: dict[str, Any] = {"prompt": ["a", "b"], "n": 2, "echo": True}

    texts = [choice["text"] for choice in answered(chunks, **fields)["choices"]]
    pieces = [f["choices"][0]["text"] for f in streamed(chunks, **fields)]

    assert texts == ["axx", "ax", "bx", "bx"]
    assert pieces == ["bx", "ax", "bx", "ax", "x"]


def row(token: str, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": -0.5, "bytes": None, **more}


def test_logprobs() -> None:
    """Rows become lists side by side; lists, which some send, stay as they are."""
    rows = {"content": [row("Hi", top_logprobs=[row("Ho")]), row("!"), "nonsense"]}
    lists = {"tokens": ["."], "token_logprobs": [-1.0], "text_offset": [4]}
    chunks = [chunk("Hi!", logprobs=rows), chunk("?", logprobs={"content": [row("?")]})]

    (choice,) = answered([*chunks, chunk(".", logprobs=lists)], logprobs=1)["choices"]

    assert choice["logprobs"] == {
        "tokens": ["Hi", "!", "?", "."],
        "token_logprobs": [-0.5, -0.5, -0.5, -1.0],
        "top_logprobs": [{"Ho": -0.5}, {}, {}],
        "text_offset": [0, 2, 3, 4],
    }


def test_refusal_is_text() -> None:
    """There is no other place for it."""
    assert answered([chunk(refusal="No.")])["choices"][0]["text"] == "No."


def test_endless_answer() -> None:
    """What does not end is given up."""
    made = asked()
    answer = rendering_of(made, include_usage=False).answer(made.chats()[0], "A", "m")
    piece = [chunk("x" * (MAX_ANSWER // 2))]
    answer.add(piece)
    with pytest.raises(ProviderProtocolError, match="larger than"):
        answer.add(piece * 2)
