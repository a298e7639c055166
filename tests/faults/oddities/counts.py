"""Section 11: usage in other places."""

from collections.abc import Iterable

from tests.rig.upstream import answers, delta, event

from .writing import (
    NONE,
    PAUSE,
    STOP,
    USAGE,
    Oddity,
    begins,
    choice,
    ending,
    gemini,
    message,
    says,
    sse,
    stream,
)


def counts() -> Iterable[Oddity]:
    """Section 11: usage in other places."""
    last = {"delta": {}, "finish_reason": "stop"}
    hi = delta(content="Hi")
    for name, steps in {
        "in a choice": stream(hi, choice(**last, usage=USAGE)),
        "first of all": stream(event({"choices": [], "usage": USAGE}), PAUSE, hi, STOP),
        "in x_groq": stream(
            hi, event({"choices": [{"index": 0, **last}], "x_groq": {"usage": USAGE}})
        ),
        "then nothing": stream(
            hi,
            STOP,
            event({"choices": [], "usage": USAGE}),
            event({"choices": [], "usage": {}}),
            event({"choices": [], "usage": NONE}),
        ),
        "Anthropic's names": stream(
            hi,
            STOP,
            event({"choices": [], "usage": {"input_tokens": 7, "output_tokens": 3}}),
        ),
        "growing": stream(
            *(
                event(
                    {
                        "choices": [{"index": 0, "delta": {"content": said}}],
                        "usage": {**USAGE, "completion_tokens": tokens},
                    }
                )
                for said, tokens in (("H", 1), ("i", 3))
            ),
            STOP,
        ),
    }.items():
        yield Oddity(section=11, name=f"usage {name}", steps=steps, text="Hi", tokens=3)
    yield from elsewhere()


def elsewhere() -> Iterable[Oddity]:
    """The same in whole answers, and in other dialects."""
    last = {"finish_reason": "stop"}
    said = {"index": 0, "message": {"content": "Hi"}, **last}
    theirs = {"input_tokens": 7, "output_tokens": 3}
    hi = says("Hi", index=0)
    counted = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
    nothing = {"promptTokenCount": 0, "candidatesTokenCount": 0}
    for name, kind, steps in (
        (
            "beside text",
            "openai",
            stream(
                event(
                    {
                        "choices": [{"index": 0, "delta": {"content": "Hi"}}],
                        "usage": USAGE,
                    }
                ),
                STOP,
            ),
        ),
        (
            "in x_groq, whole",
            "openai",
            answers(200, {"choices": [said], "x_groq": {"usage": USAGE}}),
        ),
        (
            "in a choice, whole",
            "openai",
            answers(200, {"choices": [{**said, "usage": USAGE}]}),
        ),
        (
            "in Anthropic's names, whole",
            "openai",
            answers(200, {"choices": [said], "usage": theirs}),
        ),
        (
            "null at last",
            "openai",
            stream(
                delta(content="Hi"),
                STOP,
                event({"choices": [], "usage": USAGE}),
                event({"choices": [], "usage": None}),
            ),
        ),
        (
            "with the finish, then zeros",
            "openai",
            stream(
                delta(content="Hi"),
                event({"choices": [{"index": 0, "delta": {}, **last}], "usage": USAGE}),
                event({"choices": [], "usage": NONE}),
            ),
        ),
        (
            "in floats",
            "openai",
            stream(
                delta(content="Hi"),
                STOP,
                event({"choices": [], "usage": {**USAGE, "completion_tokens": 3.0}}),
            ),
        ),
        (
            "growing",
            "anthropic",
            message(
                {**ending(None), "usage": {"output_tokens": 1}},
                begins(0),
                hi,
                {**ending("end_turn"), "usage": {"output_tokens": 3}},
                {**ending(None), "usage": {"output_tokens": 0}},
                reason=None,
                tokens=3,
            ),
        ),
        (
            "then zeros",
            "gemini",
            sse(
                {**gemini("Hi"), "usageMetadata": counted},
                {**gemini(finish="STOP"), "usageMetadata": nothing},
            ),
        ),
        (
            "first of all",
            "gemini",
            sse(
                {"candidates": [], "usageMetadata": counted},
                gemini("Hi", finish="STOP"),
            ),
        ),
        (
            "growing",
            "gemini",
            sse(
                {
                    **gemini("H"),
                    "usageMetadata": {**counted, "candidatesTokenCount": 1},
                },
                {**gemini("i", finish="STOP"), "usageMetadata": counted},
            ),
        ),
    ):
        yield Oddity(
            section=11,
            name=f"usage {name}",
            kind=kind,
            steps=steps,
            text="Hi",
            tokens=3,
        )
