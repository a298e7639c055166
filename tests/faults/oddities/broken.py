"""Section 13: the next request after a stream that broke."""

from collections.abc import Iterable, Sequence

from tests.rig.upstream import END, HEAD, Step, chunked, delta, event

from .writing import PAUSE, Oddity, begins, gemini, line, message, says, sse

OVERLOADED = {"error": {"message": "overloaded", "code": 503}}


def broken() -> Iterable[Oddity]:
    text = {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}
    scripts: tuple[tuple[str, str, Sequence[Step]], ...] = (
        (
            "an error",
            "openai",
            [HEAD, delta(content="Hi"), PAUSE, event(OVERLOADED), END],
        ),
        ("the end", "openai", [HEAD, delta(content="Hi"), PAUSE, END]),
        (
            "no JSON",
            "openai",
            [HEAD, delta(content="Hi"), PAUSE, chunked(b"data: {oops\n\n"), END],
        ),
        ("a reset", "openai", [HEAD, delta(content="Hi"), PAUSE, None]),
        ("a bad reason", "openai", [HEAD, delta(content="Hi"), PAUSE, delta("error")]),
        (
            "an error",
            "anthropic",
            [
                *message(begins(0), says("Hi", index=0))[:4],
                PAUSE,
                event({"type": "error", **OVERLOADED}),
                END,
            ],
        ),
        (
            "an error",
            "gemini",
            [*sse(gemini("Hi"))[:-1], PAUSE, event(OVERLOADED), END],
        ),
        (
            "an error",
            "ollama",
            [HEAD, line("Hi"), PAUSE, chunked(b'{"error":"x"}\n'), END],
        ),
        ("an error", "responses", [*sse(text)[:-1], PAUSE, event(OVERLOADED), END]),
    )
    for name, kind, steps in scripts:
        yield Oddity(
            section=13,
            name=f"{name} after text",
            kind=kind,
            steps=steps,
            error="",
            again=True,
        )
