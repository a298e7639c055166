"""Sections 2 and 3: finish reasons, early, odd and bad."""

from collections.abc import Iterable

from tests.rig.anthropic_events import block
from tests.rig.upstream import END, HEAD, delta, event

from .writing import (
    PAUSE,
    STOP,
    A,
    Oddity,
    argues,
    begins,
    call,
    completion,
    ending,
    gemini,
    line,
    message,
    says,
    sse,
    stream,
    used,
)


def ends() -> Iterable[Oddity]:
    """Sections 2 and 3: finish reasons, early, odd and bad."""
    red, green = {"content": "Red "}, {"content": "green"}
    for name, steps in {
        "on every chunk": stream(delta("stop", **red), delta("stop", **green)),
        "on an empty first": stream(STOP, delta(**red), delta("stop", **green)),
        "the word null": stream(delta("null", **red), delta("null", **green), STOP),
        "an empty string": stream(delta("", **red), delta("", **green), STOP),
        "before the last text": stream(delta("stop", **red), PAUSE, delta(**green)),
    }.items():
        yield Oddity(section=2, name=name, steps=steps, text="Red green")
    yield Oddity(
        section=2,
        name="between text and call",
        steps=stream(
            delta("stop", content="Hm"), call(A, index=0, id="k", name="f"), STOP
        ),
        text="Hm",
        calls=(("f", A),),
        finish="tool_calls",
    )
    yield Oddity(
        section=2,
        name="length, then stop",
        steps=stream(delta("length", **red), STOP),
        text="Red ",
        finish="length",
    )
    yield Oddity(
        section=2,
        name="STOP before the text",
        kind="gemini",
        steps=sse(
            gemini(finish="STOP"), gemini("Red "), gemini("green", finish="STOP")
        ),
        text="Red green",
    )
    yield Oddity(
        section=2,
        name="STOP between text and call",
        kind="gemini",
        steps=sse(
            gemini("Hm", finish="STOP"),
            {
                "candidates": [
                    {
                        "content": {
                            "parts": [{"functionCall": {"name": "f", "args": {"w": 1}}}]
                        },
                        "finishReason": "STOP",
                    }
                ]
            },
        ),
        text="Hm",
        calls=(("f", A),),
        finish="tool_calls",
    )
    yield from meanings()


def meanings() -> Iterable[Oddity]:
    for word, finish in {
        "MAX_TOKENS": "length",
        "model_length": "length",
        "SAFETY": "content_filter",
        "sensitive": "content_filter",
        "content_filter: RECITATION": "content_filter",
        "eos_token": "stop",
        "END_TURN": "stop",
        "flummoxed": "stop",
    }.items():
        yield Oddity(
            section=3,
            name=word,
            steps=stream(delta(content="Once"), delta(word)),
            text="Once",
            finish=finish,
        )
        yield Oddity(
            section=3,
            name=f"{word}, whole",
            steps=completion({"content": "Once"}, word),
            text="Once",
            finish=finish,
        )
    broken = (
        "insufficient_system_resource",
        "function_call_filter: MALFORMED_FUNCTION_CALL",
        "network_error",
        "aborted",
    )
    for word in broken:
        yield Oddity(
            section=3,
            name=word,
            steps=stream(delta(content="Once"), PAUSE, delta(word)),
            error=word.split(": ")[-1],
        )
        yield Oddity(
            section=3,
            name=f"{word}, whole",
            steps=completion({"content": "Once"}, word),
            error=word.split(": ")[-1],
        )
    groq = {"x_groq": {"error": "over capacity"}}
    for name, steps in {
        "x_groq.error": stream(
            delta(content="Once"),
            PAUSE,
            event({"choices": [{"index": 0, "delta": {}}], **groq}),
        ),
        "x_groq.error and stop": stream(
            delta(content="Once"),
            PAUSE,
            event(
                {
                    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                    **groq,
                }
            ),
        ),
        "x_groq.error first": stream(event({"choices": [], **groq})),
    }.items():
        yield Oddity(section=3, name=name, steps=steps, error="over capacity")
    yield from elsewhere()


def elsewhere() -> Iterable[Oddity]:
    """Sections 2 and 3 at copies of Anthropic's API, at Gemini and Ollama."""
    yield from anthropic_ends()
    red, green = says("Red ", index=0), says("green", index=0)
    for word, finish in {
        "MAX_TOKENS": "length",
        "model_length": "length",
        "sensitive": "content_filter",
        "stop": "stop",
        "length": "length",
        "flummoxed": "stop",
    }.items():
        yield Oddity(
            section=3,
            name=word,
            kind="anthropic",
            steps=message(begins(0), red, green, reason=word),
            text="Red green",
            finish=finish,
        )
        yield Oddity(
            section=3,
            name=word,
            kind="ollama",
            steps=[HEAD, line("Red "), line("green", word), END],
            text="Red green",
            finish=finish,
        )
    for kind, word, steps in (
        (
            "anthropic",
            "insufficient_system_resource",
            message(begins(0), red, reason="insufficient_system_resource"),
        ),
        (
            "gemini",
            "MALFORMED_FUNCTION_CALL",
            sse(gemini("Red "), gemini(finish="MALFORMED_FUNCTION_CALL")),
        ),
        ("gemini", "OTHER_ERROR", sse(gemini("Red "), gemini(finish="OTHER_ERROR"))),
        ("ollama", "aborted", [HEAD, line("Red "), line("", "aborted"), END]),
    ):
        yield Oddity(section=3, name=word, kind=kind, steps=steps, error=word)
    for word, finish in {
        "SPII": "content_filter",
        "IMAGE_SAFETY": "content_filter",
        "FINISH_REASON_STOP": "stop",
        "WELL_ENOUGH": "stop",
    }.items():
        yield Oddity(
            section=3,
            name=word,
            kind="gemini",
            steps=sse(gemini("Red"), gemini(finish=word)),
            text="Red",
            finish=finish,
        )


def anthropic_ends() -> Iterable[Oddity]:
    red, green = says("Red ", index=0), says("green", index=0)
    early = ending("end_turn")
    for name, steps in {
        "message_delta before the text": message(early, begins(0), red, green),
        "message_delta between texts": message(begins(0), red, early, green),
        "message_delta with each text": message(
            *(begins(0), red, early, green, early),
        ),
        "the word null": message(begins(0), red, ending("null"), green),
        "no reason yet": message(begins(0), red, ending(None), green),
        "no message_stop": sse(
            {"type": "message_start", "message": {"id": "m", "content": []}},
            *(begins(0), red, green, early),
        ),
    }.items():
        yield Oddity(
            section=2,
            name=name,
            kind="anthropic",
            steps=steps,
            text="Red green",
            tokens=2,
        )
    yield Oddity(
        section=2,
        name="message_delta between text and call",
        kind="anthropic",
        steps=message(
            *(begins(0), red, early),
            *block(1, used("k", "f"), argues(A)),
            reason="end_turn",
        ),
        text="Red ",
        calls=(("f", A),),
        finish="tool_calls",
    )
    yield Oddity(
        section=2,
        name="max_tokens, then end_turn",
        kind="anthropic",
        steps=message(begins(0), red, ending("max_tokens")),
        text="Red ",
        finish="length",
    )
