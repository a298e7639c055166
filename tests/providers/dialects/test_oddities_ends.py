"""Finish reasons: early ones, odd ones, and those that tell of an error."""

import json
from typing import Any

import pytest

from providers import ProviderError
from providers.dialects.finish import read_ending
from providers.errors import ProviderFailed
from tests.rig.odd_answers import DONE, SIZES, answer, calls, d, event, tool, whole

CALL = {"functionCall": {"name": "look_up", "args": {"w": 1}}}


def google(*parts: Any, reason: str | None = None) -> bytes:
    candidate = {"content": {"parts": parts}, "finishReason": reason}
    return event({"candidates": [candidate]})


EARLY: dict[str, tuple[str, bytes, str, str]] = {
    "on every chunk": (
        "openai",
        d({"content": "Red "}, "stop")
        + d({"content": "green "}, "stop")
        + d({"content": "blue"}, "stop")
        + DONE,
        "Red green blue",
        "stop",
    ),
    "the word null": (
        "openai",
        d({"content": "Red "}, "null") + d({"content": "green"}, "") + DONE,
        "Red green",
        "stop",
    ),
    "on an empty first": (
        "openai",
        d({}, "stop") + d({"content": "Red"}) + d({}, "length"),
        "Red",
        "length",
    ),
    "stop after length": (
        "openai",
        d({"content": "Red"}, "length") + d({}, "stop") + DONE,
        "Red",
        "length",
    ),
    "length after stop": (
        "openai",
        d({"content": "Red"}, "stop") + d({}, "length") + DONE,
        "Red",
        "length",
    ),
    "after [DONE]": (
        "openai",
        d({"content": "Red"}, "stop") + DONE + d({"content": "green"}),
        "Red",
        "stop",
    ),
    "Gemini": (
        "gemini",
        google(reason="STOP")
        + google({"text": "Red "}, reason="FINISH_REASON_UNSPECIFIED")
        + google({"text": "green"}, reason="STOP"),
        "Red green",
        "stop",
    ),
    "Gemini, then a call": (
        "gemini",
        google({"text": "Red"}, reason="STOP") + google(CALL),
        "Red",
        "tool_calls",
    ),
    "Anthropic": (
        "anthropic",
        event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
        + event(
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "text", "text": "Red"},
            }
        )
        + event({"type": "message_stop"}),
        "Red",
        "stop",
    ),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kind", "body", "said", "finish"), EARLY.values(), ids=EARLY)
def test_early_reasons(
    kind: str, body: bytes, said: str, finish: str, size: int
) -> None:
    """A finish reason ends nothing by itself; one is told, at the end."""
    found = answer(body, size, kind)

    assert (found.message["content"], found.finish) == (said, finish)


def test_call_after_the_reason() -> None:
    """A call that comes after a reason is not lost."""
    body = d({"content": "Red"}, "stop") + calls(tool(0, "k", "look_up", "{}")) + DONE
    found = answer(body, 1)

    assert found.calls == [("look_up", "{}")]
    assert found.finish == "tool_calls"
    assert found.notes == ["finish reason before the end"]


MEANINGS = {
    "stop": "stop STOP eos eos_token EOS end_turn endTurn COMPLETE stop_sequence",
    "tool_calls": "tool_calls tool_use TOOL_CALL toolCalls function_calls",
    "function_call": "function_call FUNCTION_CALL",
    "length": "length MAX_TOKENS max_output_tokens model_length token_limit "
    "context_length_exceeded model_context_window_exceeded maxTokens truncated",
    "content_filter": "content_filter SAFETY sensitive RECITATION BLOCKLIST SPII "
    "PROHIBITED_CONTENT LANGUAGE IMAGE_SAFETY MODEL_ARMOR refusal guardrail_intervened",
}
BROKEN = [
    "error",
    "ERROR",
    "abort",
    "aborted",
    "failed",
    "cancelled",
    "interrupted",
    "network_error",
    "timeout",
    "insufficient_system_resource",
    "overloaded",
    "malformed_tool_use",
    "MALFORMED_FUNCTION_CALL",
]
WORDS = [(word, ours) for ours, words in MEANINGS.items() for word in words.split()]


@pytest.mark.parametrize(
    ("word", "ours"), [*WORDS, ("content_filter: SAFETY", "content_filter")]
)
def test_meanings(word: str, ours: str) -> None:
    """A reason is told by its meaning, in any case of letters, streamed and whole."""
    streamed = answer(d({"content": "Hi"}) + d({}, word) + DONE, 1)
    choice = {"message": {"content": "Hi"}, "finish_reason": word}

    assert (streamed.finish, streamed.native) == (ours, None)
    assert whole({"choices": [choice]}).finish == ours


def test_unknown_words() -> None:
    """A word that nobody knows is a stop, and stands beside it."""
    found = answer(d({"content": "Hi"}, "satisfied") + DONE, 1)

    assert (found.finish, found.native) == ("stop", "satisfied")
    assert found.notes == ["finish reason 'satisfied' read as stop"]


@pytest.mark.parametrize(
    "word", [None, "", "null", "NULL", "FINISH_REASON_UNSPECIFIED"]
)
def test_unset(word: str | None) -> None:
    """What is no reason is none, so that a cut answer is found out."""
    assert read_ending(word) is None
    with pytest.raises(ProviderError, match="before its finish_reason"):
        answer(d({"content": "Hi"}, word), 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "word", [*BROKEN, "function_call_filter: MALFORMED_FUNCTION_CALL"]
)
def test_broken(word: str, size: int) -> None:
    """A word for a vendor that broke off is an error, streamed and whole."""
    with pytest.raises(ProviderFailed, match="ended with finish_reason"):
        answer(d({"content": "Hi"}) + d({}, word) + DONE, size)
    choice = {"message": {"content": "Hi"}, "finish_reason": word}
    with pytest.raises(ProviderFailed):
        whole({"choices": [choice]})


@pytest.mark.parametrize("finish", [None, "stop"])
@pytest.mark.parametrize("said", [b"", d({"content": "Hi"})], ids=["first", "later"])
def test_error_beside_choices(said: bytes, finish: str | None) -> None:
    """An error beside the choices is one, whatever reason stands next to it."""
    for choices in ([], [{"index": 0, "delta": {}, "finish_reason": finish}]):
        odd = event({"choices": choices, "x_groq": {"error": "over capacity"}})
        with pytest.raises(ProviderFailed, match="over capacity"):
            answer(said + odd + DONE, 1)
    payload = {"choices": [{"message": {"content": "Hi"}, "finish_reason": finish}]}
    with pytest.raises(ProviderFailed, match="over capacity"):
        whole({**payload, "x_groq": {"error": {"message": "over capacity"}}})


@pytest.mark.parametrize(
    ("kind", "body", "sound"),
    [
        ("openai", d({}, "stop") + DONE, True),
        ("openai", d({"role": "assistant"}) + DONE, False),
        ("openai", d({"content": "Hi"}, "stop"), True),
        (
            "anthropic",
            json.dumps({"type": "message", "stop_reason": "end_turn"}).encode(),
            True,
        ),
        ("ollama", b'{"message":{},"done":true,"done_reason":"stop"}\n', True),
        ("ollama", b'{"message":{},"done":true,"done_reason":"load"}\n', False),
    ],
    ids=str,
)
def test_sound_end(kind: str, body: bytes, sound: bool) -> None:
    """An answer that ends with a reason of its upstream is sound, also without text."""
    assert answer(body, 1, kind).sound_end is sound
