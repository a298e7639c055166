"""Ids of calls that the next vendor takes, whoever has made them."""

import json
import re
from typing import Any

import pytest

from providers.dialects import DIALECTS
from server.config.tables import vendor_settings
from server.wire.chat import parse
from server.wire.messages.request import parse as parse_message

WORD = r"[a-zA-Z0-9_-]+"
NINE = r"[a-zA-Z0-9]{9}"
HI = {"role": "user", "content": "Hi"}
# Each turn's calls, by their ids.
HISTORIES: dict[str, list[list[str]]] = {
    "fit": [["toolu_01", "call_7"]],
    "nine": [["Abc123XYZ"]],
    "kimi": [["functions.do:0", "functions.do:1"], ["functions.do:2"]],
    "again": [["call_0"], ["call_0"], ["call_0", "call_1"]],
    "alike": [["a.b:0", "a_b_0", "a b:0", "a.b.0"]],
    "long": [["call_" + "x" * 90]],
    "other letters": [["вызов"], ["呼び出し"], [" "]],
    "made before": [["functions.do:0"], ["call_61d8e2a0"]],
}


def chat(history: list[list[str]]) -> list[Any]:
    messages: list[Any] = []
    for names in history:
        function = {"name": "f", "arguments": "{}"}
        calls = [{"id": n, "type": "function", "function": function} for n in names]
        messages += [HI, {"role": "assistant", "content": None, "tool_calls": calls}]
        messages += [
            {"role": "tool", "tool_call_id": n, "content": f"{i} of {len(messages)}"}
            for i, n in enumerate(names)
        ]
    return [*messages, HI]


def turns(history: list[list[str]]) -> list[Any]:
    made: list[Any] = []
    for names in history:
        calls = [{"type": "tool_use", "id": n, "name": "f", "input": {}} for n in names]
        results = [
            {"type": "tool_result", "tool_use_id": n, "content": f"{i} of {len(made)}"}
            for i, n in enumerate(names)
        ]
        made += [HI, {"role": "assistant", "content": calls}]
        made.append({"role": "user", "content": results})
    return made


def sent(vendor: str, history: list[list[str]], *, native: bool = False) -> Any:
    settings = vendor_settings(vendor)
    if native:
        body = {"model": "m", "max_tokens": 9, "messages": turns(history)}
        request, _ = parse_message(json.dumps(body).encode())
    else:
        request, _ = parse(
            json.dumps({"model": "m", "messages": chat(history)}).encode()
        )
    dialect = DIALECTS[settings.kind](settings)
    return json.loads(dialect.encode(request, "m").body)["messages"]


def pairs(messages: Any) -> tuple[list[str], list[str]]:
    """Return the ids of the calls, and of the results, in their order."""
    calls: list[str] = []
    results: list[str] = []
    for message in messages:
        calls += [call["id"] for call in message.get("tool_calls") or ()]
        if message["role"] == "tool":
            results.append(message["tool_call_id"])
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block["type"] == "tool_use":
                calls.append(block["id"])
            elif block["type"] == "tool_result":
                results.append(block["tool_use_id"])
    return calls, results


@pytest.mark.parametrize("native", [False, True], ids=["chat", "messages"])
@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_anthropic(history: list[list[str]], *, native: bool) -> None:
    """Ids fit, no two calls have the same, and results have their call's."""
    before = [name for names in history for name in names]

    calls, results = pairs(sent("Anthropic", history, native=native))

    assert all(re.fullmatch(WORD, name) for name in calls)
    assert len(set(calls)) == len(before)
    assert calls == results
    seen: set[str] = set()
    for old, new in zip(before, calls, strict=True):
        if re.fullmatch(WORD, old) and old not in seen:
            assert new == old
        seen.add(old)


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_mistral(history: list[list[str]]) -> None:
    """Nine letters and digits; what has them stays, and two stay two."""
    before = [name for names in history for name in names]

    calls, results = pairs(sent("Mistral", history))

    assert all(re.fullmatch(NINE, name) for name in calls)
    assert len(set(calls)) == len(set(before))
    assert calls == results
    if before == ["Abc123XYZ"]:
        assert calls == before


@pytest.mark.parametrize("vendor", ["OpenAI", "AzureOpenAI"])
def test_openai(vendor: str) -> None:
    """It refuses more than 40 characters, and nothing else is touched."""
    calls, results = pairs(sent(vendor, [["x" * 41, "functions.do:0", "y" * 40]]))

    assert calls[1:] == ["functions.do:0", "y" * 40]
    assert len(calls[0]) <= 40
    assert calls == results


@pytest.mark.parametrize("vendor", ["Anthropic", "Mistral"])
def test_a_longer_history_begins_the_same(vendor: str) -> None:
    """A vendor's cache knows a prompt by its beginning."""
    history = [["functions.do:0"], ["call_0"], ["call_0"]]
    shorter = sent(vendor, history[:2])

    assert sent(vendor, history)[: len(shorter) - 1] == shorter[:-1]


def test_results_come_in_any_order() -> None:
    """A result belongs to its call, wherever it stands among the others."""
    messages = chat([["a.b", "c.d"], ["a.b"]])
    messages[2], messages[3] = messages[3], messages[2]
    settings = vendor_settings("Anthropic")
    request, _ = parse(json.dumps({"model": "m", "messages": messages}).encode())
    dialect = DIALECTS["anthropic"](settings)
    made = json.loads(dialect.encode(request, "m").body)["messages"]

    (first, second, third), (one, two, three) = pairs(made)

    assert (one, two, three) == (second, first, third)
    assert dialect.notes == ["call ids rewritten"]


def test_a_call_without_a_result_takes_nobody_elses() -> None:
    """The same id in a later turn is another call, which has its own result."""
    messages = [m for i, m in enumerate(chat([["c"], ["c"]])) if i != 2]
    settings = vendor_settings("Anthropic")
    request, _ = parse(json.dumps({"model": "m", "messages": messages}).encode())
    made = json.loads(DIALECTS["anthropic"](settings).encode(request, "m").body)

    (first, second), (none, result) = pairs(made["messages"])

    assert first == none == "c" != second == result
