"""Section 15: sound answers without a word, and such as are none."""

from collections.abc import Iterable, Sequence
from typing import Any

from tests.rig.upstream import END, HEAD, Step, delta, event

from .writing import (
    STOP,
    USAGE,
    Oddity,
    completion,
    gemini,
    line,
    message,
    response,
    sse,
    stream,
)


def wordless() -> Iterable[Oddity]:
    """Section 15: sound answers without a word, and such as are none."""
    role = delta(role="assistant", content="")
    thought = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 3}}
    used = event({"choices": [], "usage": USAGE})
    nothing: dict[str, Any] = {"role": "assistant", "content": ""}
    note = "an answer without a word"
    sound: tuple[tuple[str, str, Sequence[Step], str, int | None], ...] = (
        ("stop", "openai", stream(role, STOP, used), "stop", 3),
        ("length", "openai", stream(role, delta("length"), used), "length", 3),
        ("no [DONE]", "openai", [HEAD, role, STOP, END], "stop", None),
        (
            "filter",
            "openai",
            stream(role, delta("content_filter")),
            "content_filter",
            None,
        ),
        (
            "a completion",
            "openai",
            completion(nothing, "length", usage=thought),
            "length",
            3,
        ),
        ("no content", "openai", completion({"content": None}), "stop", None),
        ("no block", "anthropic", message(), "stop", 2),
        (
            "an empty block",
            "anthropic",
            message(
                {
                    "type": "content_block_start",
                    "index": 0,
                    "content_block": {"type": "text", "text": ""},
                },
                {"type": "content_block_stop", "index": 0},
            ),
            "stop",
            2,
        ),
        ("max_tokens", "anthropic", message(reason="max_tokens"), "length", 2),
        ("a lone STOP", "gemini", sse(gemini(finish="STOP")), "stop", None),
        ("MAX_TOKENS", "gemini", sse(gemini(finish="MAX_TOKENS")), "length", None),
        ("stop", "ollama", [HEAD, line(reason="stop"), END], "stop", None),
        ("length", "ollama", [HEAD, line(reason="length"), END], "length", None),
        ("completed", "responses", response("completed"), "stop", 3),
        (
            "incomplete",
            "responses",
            response("incomplete", "max_output_tokens"),
            "length",
            3,
        ),
    )
    for name, kind, steps, finish, tokens in sound:
        yield Oddity(
            section=15,
            name=f"wordless: {name}",
            kind=kind,
            steps=steps,
            finish=finish,
            tokens=tokens,
            note=note,
        )
    unsound: tuple[tuple[str, str, Sequence[Step]], ...] = (
        ("[DONE] alone", "openai", stream(role)),
        ("no reason", "openai", [HEAD, role, END]),
        ("cut", "openai", [HEAD, role, None]),
        ("cut", "anthropic", [HEAD, None]),
        ("load", "ollama", [HEAD, line(reason="load"), END]),
        ("failed", "responses", response("failed")),
    )
    for name, kind, steps in unsound:
        yield Oddity(
            section=15, name=f"unsound: {name}", kind=kind, steps=steps, error=""
        )
    for name, payload in {
        "filtered": gemini(finish="SAFETY"),
        "blocked": {"promptFeedback": {"blockReason": "SAFETY"}},
    }.items():
        yield Oddity(
            section=15,
            name=f"a prompt that is {name}",
            kind="gemini",
            steps=sse(payload),
            error="SAFETY",
            status=400,
        )
