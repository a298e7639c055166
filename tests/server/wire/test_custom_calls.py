"""Custom tools and their calls in chat completions, and the counts that are shown."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from providers import Chunk, Completion, ToolCallDelta, Usage
from server.wire.chat import RENDERING, parse

from .test_chat import STOP, call, chunk, encoded, frames

CUSTOM = {"type": "custom", "custom": {"name": "patch"}}
FUNCTION = {"type": "function", "function": {"name": "f"}}
ENDED = chunk("tool_calls")


def streamed(chunks: Iterable[Chunk], **fields: Any) -> list[dict[str, Any]]:
    chat, _ = parse(encoded(tools=[CUSTOM, FUNCTION], **fields))
    stream = RENDERING.stream(chat, "A", "m")
    sent = b"".join([*(stream.render([each]) for each in chunks), stream.end()])
    return [each for each in frames(sent) if isinstance(each, dict)]


def answered(chunks: Iterable[Chunk], **fields: Any) -> dict[str, Any]:
    chat, _ = parse(encoded(tools=[CUSTOM, FUNCTION], **fields))
    answer = RENDERING.answer(chat, "A", "m")
    answer.add(list(chunks))
    found: dict[str, Any] = json.loads(answer.body())
    return found


def calls_in(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pieces of calls in a stream's chunks."""
    deltas = [choice["delta"] for each in found for choice in each["choices"]]
    return [piece for delta in deltas for piece in delta.get("tool_calls") or ()]


def custom(**said: Any) -> dict[str, Any]:
    return {"extra": {"custom": said}}


THEIR_OWN = [
    call(id="call_1", type="custom", **custom(name="patch", input="")),
    call(**custom(input="*** Be")),
    call(**custom(input="gin")),
    ENDED,
]
AS_FUNCTION = [
    call(id="call_1", type="function", name="patch", arguments='{"inp'),
    *(call(arguments=each) for each in 'ut": "*** Be\\u0067in"}'),
    ENDED,
]
NAMED_LATE = [
    call(id="call_1", arguments='{"input": "*** '),
    call(name="patch", arguments='Begin"}'),
    ENDED,
]


@pytest.mark.parametrize("chunks", [THEIR_OWN, AS_FUNCTION, NAMED_LATE])
def test_custom_calls(chunks: list[Chunk]) -> None:
    """They pass in their own shape, also where the model was shown a function."""
    pieces = calls_in(streamed(chunks))
    message = answered(chunks)["choices"][0]["message"]

    assert message["tool_calls"] == [
        {
            "id": "call_1",
            "type": "custom",
            "custom": {"name": "patch", "input": "*** Begin"},
        }
    ]
    assert not any("function" in piece for piece in pieces)
    assert pieces[0]["type"] == "custom"
    assert [p["custom"]["name"] for p in pieces if "name" in p.get("custom", {})] == [
        "patch"
    ]
    inputs = [piece["custom"]["input"] for piece in pieces if "custom" in piece]
    assert "".join(inputs) == "*** Begin"


def test_functions_beside_custom_tools() -> None:
    """They come as they are, piece by piece."""
    chunks = [
        call(id="c", name="f", arguments='{"in'),
        call(arguments='put": 1}'),
        call(1, id="d", name="patch", arguments='{"input": "x"}'),
        ENDED,
    ]

    pieces = calls_in(streamed(chunks))
    message = answered(chunks)["choices"][0]["message"]

    assert [p["function"]["arguments"] for p in pieces[:2]] == ['{"in', 'put": 1}']
    assert [each["type"] for each in message["tool_calls"]] == ["function", "custom"]


def test_custom_call_is_a_token() -> None:
    """Its name is, and a piece of its input; an empty piece is none."""
    assert call(**custom(name="patch")).has_token
    assert call(**custom(input="x")).has_token
    assert not call(**custom(input="")).has_token
    assert ToolCallDelta(index=0).custom is None


# Usage

COUNTED: dict[str, Any] = {
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": None},
    "iterations": [{"a": None, "b": 1}, None],
    "cost": None,
}
SHOWN = {"prompt_tokens_details": {"cached_tokens": 0}, "iterations": [{"b": 1}]}
TOTALS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_no_nulls_in_usage() -> None:
    """A count that is not there is left out, at any depth, streamed and whole."""
    chat, _ = parse(encoded(stream_options={"include_usage": True}))
    used = Chunk(usage=Usage(**TOTALS, extra=COUNTED))
    chunks = [chunk(content="Hi."), STOP, used]
    stream = RENDERING.stream(chat, "A", "m")
    answer = RENDERING.answer(chat, "A", "m")
    answer.add(chunks)

    *_, last, _ = frames(stream.render(chunks) + stream.end())

    assert last["usage"] == TOTALS | SHOWN
    assert json.loads(answer.body())["usage"] == TOTALS | SHOWN


def test_no_nulls_in_the_usage_of_passed_answers() -> None:
    """An answer that passes whole has three totals, and no nulls beside them."""
    chat, _ = parse(encoded())
    said = {"role": "assistant", "content": "Hi.", "refusal": None}
    choice = {"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}
    payload = {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": {**TOTALS, "total_tokens": None, **COUNTED},
    }
    answer = RENDERING.answer(chat, "A", "m")
    answer.add([Completion(payload, lambda _: STOP)])

    usage = json.loads(answer.body())["usage"]

    assert usage == {**TOTALS, **SHOWN}
