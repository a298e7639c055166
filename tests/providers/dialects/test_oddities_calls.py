"""Tool calls that upstreams number, name or identify badly."""

import json
from typing import Any

import pytest

from tests.rig.odd_answers import DONE, SIZES, answer, calls, d, tool, whole

A, B = '{"w":1}', '{"c":2}'
BOTH = [("look_up", A), ("weather", B)]
END = d({}, "tool_calls") + DONE
STREAMS = {
    "one index for two": (
        calls(tool(0, "k1", "look_up", A)) + calls(tool(0, "k2", "weather", B)),
        BOTH,
    ),
    "no index, no id": (
        calls(tool(None, None, "look_up", A)) + calls(tool(None, None, "weather", B)),
        BOTH,
    ),
    "no index, in one chunk": (
        calls(tool(None, "", "look_up", A), tool(None, "", "weather", B)),
        BOTH,
    ),
    "one function twice": (
        calls(tool(0, "k1", "look_up", A)) + calls(tool(0, "k2", "look_up", B)),
        [("look_up", A), ("look_up", B)],
    ),
    "one index, no id": (
        calls(tool(0, None, "look_up", A)) + calls(tool(0, None, "weather", B)),
        BOTH,
    ),
    "pieces under one index": (
        calls(tool(0, "k1", "look_up"))
        + calls(tool(0, None, None, '{"w"'), tool(0, None, None, ":1}"))
        + calls(tool(0, "k2", "weather"))
        + calls(tool(0, None, None, B)),
        BOTH,
    ),
    "name in pieces": (
        calls(tool(0, "k1", "wea"))
        + calls(tool(0, None, "ther"))
        + calls(tool(0, None, None, "{}")),
        [("weather", "{}")],
    ),
    "name repeated": (
        calls(tool(0, "k1", "weather"))
        + calls(tool(0, "k1", "weather", '{"c"'))
        + calls(tool(0, "k1", "weather", ":2}"))
        + calls(tool(0, "k1", "weather", "")),
        [("weather", B)],
    ),
    "an id for each piece": (
        calls(tool(0, "k1", "look_up"))
        + calls(tool(0, "k2", None, '{"w"'))
        + calls(tool(0, "k3", None, ":1}")),
        [("look_up", A)],
    ),
    "gaps": (
        calls(tool(2, "k1", "look_up", A)) + calls(tool(7, "k2", "weather", B)),
        BOTH,
    ),
    "interleaved": (
        calls(tool(0, "k1", "look_up"), tool(1, "k2", "weather"))
        + calls(tool(1, None, None, '{"c"'), tool(0, None, None, '{"w"'))
        + calls(tool(0, None, None, ":1}"), tool(1, None, None, ":2}")),
        BOTH,
    ),
    "one id for two": (
        calls(tool(0, "k1", "look_up", A)) + calls(tool(1, "k1", "weather", B)),
        BOTH,
    ),
    "no arguments": (
        calls(tool(0, "k1", "look_up")) + calls(tool(1, "k2", "weather", B)),
        [("look_up", "{}"), ("weather", B)],
    ),
    "id before the name": (
        calls(tool(0, "k1")) + calls(tool(0, None, "look_up", A)),
        [("look_up", A)],
    ),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("body", "made"), STREAMS.values(), ids=STREAMS)
def test_streams(body: bytes, made: list[tuple[str, str]], size: int) -> None:
    """Each call has its own number, name, arguments that parse, and its own id."""
    found = answer(body + END, size)
    pieces = [
        c for each in found.chunks for t in each.choices for c in t.delta.tool_calls
    ]

    assert found.calls == made
    assert all(isinstance(json.loads(arguments), dict) for _, arguments in found.calls)
    assert len({*found.ids} - {""}) == len(made)
    assert sorted({piece.index for piece in pieces}) == [*range(len(made))]
    assert sum(1 for piece in pieces if piece.name) == len(made)


@pytest.mark.parametrize(
    "entries",
    [
        [tool(None, None, "look_up", A), tool(None, None, "weather", B)],
        [tool(0, "", "look_up", A), tool(0, "", "weather", B)],
        [tool(1, "k1", "look_up", A), tool(1, "k1", "weather", B)],
        [tool(0, "k1", "look_up", A), tool(None, "k1", "weather", B)],
    ],
    ids=str,
)
def test_whole_messages(entries: list[dict[str, object]]) -> None:
    """In a whole message each entry is a call, whatever its index and id say."""
    choice = {"message": {"tool_calls": entries}, "finish_reason": "tool_calls"}
    body = json.dumps({"choices": [choice]}).encode()
    for found in (whole(body), answer(body, 1), answer(body, 1 << 20)):
        assert found.calls == BOTH
        assert len({*found.ids} - {""}) == 2


def test_notes() -> None:
    """What was repaired is noted, once; a sound answer leaves no note."""
    odd = STREAMS["one index for two"][0] + calls(tool(0, "k3", "weather", B))

    assert answer(odd + END, 1).notes == ["call index reused"]
    assert answer(STREAMS["interleaved"][0] + END, 1).notes == []


def test_gemini_ids() -> None:
    """Two calls of Gemini's never have one id, and one without an id gets one."""
    parts: list[Any] = [
        {"functionCall": {"name": n, "args": {}, "id": "f"}} for n in ("a", "b")
    ]
    parts.append({"functionCall": {"name": "c"}})
    reply = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    found = answer(json.dumps(reply).encode(), 1, "gemini")

    assert found.ids[0] == "f"
    assert len({*found.ids}) == 3
