"""Histories that no vendor would take: calls, results and arguments put in order."""

import json
from typing import Any

import pytest

from providers import MESSAGES, ChatRequest, Message, NativeRequest, ProviderSettings
from providers.dialects import DIALECTS
from server.wire.chat import parse

HI = {"role": "user", "content": "hi"}
BYE = {"role": "user", "content": "bye"}
PICTURE = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
MISSING = "calls without results answered"
ORPHANS = "results without calls told as text"
ARGUMENTS = "arguments of a call sent as an object"
EVERY = pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini", "ollama"])


def called(*names: str, arguments: str = "{}") -> dict[str, Any]:
    function = {"name": "f", "arguments": arguments}
    made = [{"id": n, "type": "function", "function": function} for n in names]
    return {"role": "assistant", "content": None, "tool_calls": made}


def result(name: str, text: str = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": name, "content": text}


def sent(kind: str, *messages: Any) -> tuple[Any, list[str]]:
    """Return what a dialect would send of a chat, and its notes."""
    dialect = DIALECTS[kind](ProviderSettings(id="X", kind=kind))
    request, _ = parse(json.dumps({"model": "m", "messages": messages}).encode())
    return json.loads(dialect.encode(request, "m").body), dialect.notes


@pytest.mark.parametrize(
    ("messages", "made", "notes"),
    [
        ([HI, called("a"), result("a"), BYE], None, []),
        ([HI, called("a", "b"), result("b"), result("a"), BYE], None, []),
        ([HI, called("a"), BYE], [HI, called("a"), result("a", ""), BYE], [MISSING]),
        ([HI, called("a")], [HI, called("a"), result("a", "")], [MISSING]),
        (
            [HI, called("a", "b"), result("b"), BYE],
            [HI, called("a", "b"), result("b"), result("a", ""), BYE],
            [MISSING],
        ),
        ([HI, result("a", "x"), BYE], [HI, {**HI, "content": "x"}, BYE], [ORPHANS]),
        ([HI, result("a", ""), BYE], [HI, BYE], [ORPHANS]),
        (
            [HI, called("a"), result("z", "x"), result("a"), BYE],
            [HI, called("a"), result("a"), {**HI, "content": "x"}, BYE],
            [ORPHANS],
        ),
        (
            [HI, called("a"), result("a"), result("a", "twice"), BYE],
            [HI, called("a"), result("a"), {**HI, "content": "twice"}, BYE],
            [ORPHANS],
        ),
        (
            [HI, called("a", arguments='{"a": "x'), result("a")],
            [HI, called("a", arguments='{"input":"{\\"a\\": \\"x"}'), result("a")],
            [ARGUMENTS],
        ),
        (
            [HI, called("a", arguments="[1]"), result("a")],
            [HI, called("a", arguments='{"input":"[1]"}'), result("a")],
            [ARGUMENTS],
        ),
        (
            [HI, called("a", arguments=""), result("a")],
            [HI, called("a", arguments="{}"), result("a")],
            [ARGUMENTS],
        ),
        (
            [HI, called("a", arguments='{"a":"\\ud83d"}'), result("a")],
            [HI, called("a", arguments='{"a":"\ufffd"}'), result("a")],
            [ARGUMENTS],
        ),
        # What is left of it would be no conversation at all.
        ([result("a", "")], None, [ORPHANS]),
    ],
    ids=str,
)
def test_pairs(messages: list[Any], made: list[Any] | None, notes: list[str]) -> None:
    """Each call has a result, each result a call, and arguments are an object."""
    body, noted = sent("openai", *messages)

    assert body["messages"] == (messages if made is None else made)
    assert noted == notes


@EVERY
def test_broken_history_goes_to_every_dialect(kind: str) -> None:
    """Nothing of it is refused, and all of it is noted."""
    broken = called("a", arguments="{")

    body, notes = sent(kind, HI, result("z", "lost"), broken, BYE)

    said = json.dumps(body)
    assert "lost" in said
    assert {ARGUMENTS, MISSING, ORPHANS} <= {*notes}


@pytest.mark.parametrize("kind", ["gemini", "ollama"])
def test_pictures_elsewhere(kind: str) -> None:
    """Of earlier turns the link is told, where the vendor fetches no pictures."""
    earlier = {"role": "user", "content": [{"type": "text", "text": "see"}, PICTURE]}

    body, notes = sent(kind, earlier, {"role": "assistant", "content": "ok"}, BYE)

    assert "https://x.test/a.png" in json.dumps(body)
    assert notes == ["pictures elsewhere told as links"]


def block(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


USE = block("tool_use", id="a", name="f", input={})
ANSWER = block("tool_result", tool_use_id="a", content="ok")
EMPTY = block("tool_result", tool_use_id="a", content=[])
TEXT = block("text", text="so")


def turn(role: str, *blocks: Any) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


@pytest.mark.parametrize(
    ("turns", "made"),
    [
        ([turn("assistant", USE), turn("user", ANSWER, TEXT)], None),
        (
            [turn("assistant", USE), turn("user", TEXT)],
            [turn("assistant", USE), turn("user", EMPTY, TEXT)],
        ),
        (
            [turn("assistant", USE), BYE],
            [turn("assistant", USE), turn("user", EMPTY, block("text", text="bye"))],
        ),
        ([turn("assistant", USE)], [turn("assistant", USE), turn("user", EMPTY)]),
        (
            [turn("assistant", USE), turn("user", TEXT, ANSWER)],
            [turn("assistant", USE), turn("user", ANSWER, TEXT)],
        ),
        ([turn("user", ANSWER)], [turn("user", block("text", text="ok"))]),
        (
            [turn("user", block("tool_result", tool_use_id="a", content=[TEXT]))],
            [turn("user", TEXT)],
        ),
        ([turn("user", EMPTY), BYE], [BYE]),
        (
            [turn("assistant", USE), turn("assistant", TEXT), turn("user", ANSWER)],
            [turn("assistant", USE, TEXT), turn("user", ANSWER)],
        ),
        (
            [turn("assistant", USE), turn("user", TEXT), turn("user", ANSWER)],
            [turn("assistant", USE), turn("user", ANSWER, TEXT)],
        ),
    ],
    ids=str,
)
def test_pairs_of_messages_that_pass(turns: list[Any], made: list[Any] | None) -> None:
    """The same where a client of Anthropic's API is passed through to it."""
    begun = [HI, turn("assistant", TEXT)]
    body = {"model": "m", "max_tokens": 9, "messages": [*begun, *turns]}
    native = NativeRequest(format=MESSAGES, body=body)
    said = (Message(role="user", content="hi"),)
    request = ChatRequest(model="m", messages=said, native=native)
    dialect = DIALECTS["anthropic"](ProviderSettings(id="X", kind="anthropic"))

    told = json.loads(dialect.encode(request, "m").body)["messages"]

    assert told == [*begun, *(turns if made is None else made)]
    assert dialect.notes == ([] if made is None else ["calls and results paired"])
