"""Section 1: tool calls that are numbered badly."""

from collections.abc import Iterable, Sequence
from typing import Any

from tests.rig.anthropic_events import block
from tests.rig.upstream import END, HEAD, Step, answers, delta

from .writing import (
    CALLED,
    OBJECTS,
    TWO,
    A,
    B,
    Oddity,
    argues,
    call,
    completion,
    gemini,
    line,
    message,
    responded,
    sse,
    stream,
    used,
)


def calls() -> Iterable[Oddity]:
    """Section 1: tool calls that are numbered badly."""
    k1: dict[str, Any] = {"index": 0, "id": "k1", "name": "look_up"}
    k2: dict[str, Any] = {"index": 0, "id": "k2", "name": "weather"}
    scripts: dict[str, tuple[Sequence[Step], tuple[tuple[str, str], ...]]] = {
        "one index for two": (stream(call(A, **k1), call(B, **k2), CALLED), TWO),
        "one index, in pieces": (
            stream(call(**k1), call(A, index=0), call(**k2), call(B, index=0), CALLED),
            TWO,
        ),
        "no index, no id": (
            stream(call(A, name="look_up"), call(B, name="weather"), CALLED),
            TWO,
        ),
        "no index, one function twice": (
            stream(call(A, name="f"), call(A, name="f"), CALLED),
            (("f", A), ("f", A)),
        ),
        "one id for two": (
            stream(
                call(A, index=0, id="k", name="look_up"),
                call(B, index=1, id="k", name="weather"),
                CALLED,
            ),
            TWO,
        ),
        "name in pieces": (
            stream(
                call(index=0, id="k1", name="wea"),
                call(index=0, name="ther"),
                call("{}", index=0),
                CALLED,
            ),
            (("weather", "{}"),),
        ),
        "another id with each piece": (
            stream(
                call(index=0, id="k1", name="f"),
                call('{"a"', index=0, id="k2"),
                call(":1}", index=0, id="k3"),
                CALLED,
            ),
            (("f", '{"a":1}'),),
        ),
        "name with each piece": (
            stream(
                call('{"a"', index=0, id="k", name="f"),
                call(":1}", index=0, id="k", name="f"),
                CALLED,
            ),
            (("f", '{"a":1}'),),
        ),
        "whole, one index": (
            completion(
                {
                    "content": None,
                    "tool_calls": [
                        {"index": 0, "id": "", "function": {"name": n, "arguments": a}}
                        for n, a in TWO
                    ],
                },
                "tool_calls",
            ),
            TWO,
        ),
    }
    for name, (steps, told) in scripts.items():
        yield Oddity(section=1, name=name, steps=steps, calls=told, finish="tool_calls")
    yield from openai_calls()
    yield from anthropic_calls()
    yield from other_calls()


def openai_calls() -> Iterable[Oddity]:
    k1: dict[str, Any] = {"index": 0, "id": "k1", "name": "look_up"}
    k2: dict[str, Any] = {"index": 1, "id": "k2", "name": "weather"}
    both = [
        {"index": 0, "id": n, "function": {"name": n, "arguments": a}} for n, a in TWO
    ]
    repeated = {"content": None, "tool_calls": [{**each, "id": "k"} for each in both]}
    scripts: dict[str, tuple[Sequence[Step], tuple[tuple[str, str], ...]]] = {
        "both in one chunk, one index": (stream(delta(tool_calls=both), CALLED), TWO),
        "interleaved": (
            stream(
                *(call(**k1), call(**k2), call(A[:3], index=0), call(B[:3], index=1)),
                *(call(A[3:], index=0), call(B[3:], index=1), CALLED),
            ),
            TWO,
        ),
        "gaps in the numbers": (
            stream(
                call(A, **{**k1, "index": 3}), call(B, **{**k2, "index": 7}), CALLED
            ),
            TWO,
        ),
        "numbers as texts": (
            stream(
                call(A, **{**k1, "index": "0"}), call(B, **{**k2, "index": "1"}), CALLED
            ),
            TWO,
        ),
        "empty ids": (
            stream(call(A, **{**k1, "id": ""}), call(B, **{**k2, "id": ""}), CALLED),
            TWO,
        ),
        "whole, one id": (completion(repeated, "tool_calls"), TWO),
        "objects for arguments": (
            completion(
                {
                    "tool_calls": [
                        {"id": "k", "function": {"name": "f", "arguments": {"w": 1}}}
                    ]
                },
                "tool_calls",
            ),
            (("f", A),),
        ),
        "no arguments": (
            stream(call(index=0, id="k", name="f"), CALLED),
            (("f", "{}"),),
        ),
        "null in the list": (
            completion({"tool_calls": [None, both[0]]}, "tool_calls"),
            (TWO[0],),
        ),
    }
    for name, (steps, told) in scripts.items():
        yield Oddity(section=1, name=name, steps=steps, calls=told, finish="tool_calls")


def anthropic_calls() -> Iterable[Oddity]:
    one, two = used("k1", "look_up"), used("k2", "weather")
    first, second = argues(A), argues(B)
    scripts: dict[str, tuple[Sequence[Step], tuple[tuple[str, str], ...]]] = {
        "one id for two": (
            message(
                *block(0, one, first),
                *block(1, {**two, "id": "k1"}, second),
                reason="tool_use",
            ),
            TWO,
        ),
        "one index for two": (
            message(*block(0, one, first), *block(0, two, second), reason="tool_use"),
            TWO,
        ),
        "one index for two, no stop": (
            message(
                *block(0, one, first)[:-1],
                *block(0, two, second)[:-1],
                reason="tool_use",
            ),
            TWO,
        ),
        "numbered from 1, with a gap": (
            message(*block(1, one, first), *block(5, two, second), reason="tool_use"),
            TWO,
        ),
        "interleaved": (
            message(
                *(block(0, one)[0], block(1, two)[0]),
                {"type": "content_block_delta", "index": 1, "delta": argues(B[:3])},
                {"type": "content_block_delta", "index": 0, "delta": first},
                {"type": "content_block_delta", "index": 1, "delta": argues(B[3:])},
                *(block(0, one)[-1], block(1, two)[-1]),
                reason="tool_use",
            ),
            TWO,
        ),
        "ids that nobody takes back": (
            message(
                *block(0, {**one, "id": "functions.look_up:0"}, first),
                *block(1, {**two, "id": ""}, second),
                reason="tool_use",
            ),
            TWO,
        ),
        "no input at all": (
            message(
                *block(0, {"type": "tool_use", "id": "k", "name": "f"}),
                reason="tool_use",
            ),
            (("f", "{}"),),
        ),
        "input as a text, and a null": (
            message(
                *block(
                    0,
                    {**one, "id": None, "input": A},
                    {"type": "input_json_delta", "partial_json": None},
                ),
                reason="tool_use",
            ),
            (TWO[0],),
        ),
        "input in the start": (
            message(*block(0, {**one, "input": {"w": 1}}), reason="tool_use"),
            (TWO[0],),
        ),
        "a whole message": (
            answers(
                200,
                {
                    "type": "message",
                    "content": [{**one, "input": {"w": 1}}, {**one, "name": "g"}],
                    "stop_reason": "tool_use",
                },
            ),
            (TWO[0], ("g", "{}")),
        ),
    }
    for name, (steps, told) in scripts.items():
        yield Oddity(
            section=1,
            name=name,
            kind="anthropic",
            steps=steps,
            calls=told,
            finish="tool_calls",
        )


def other_calls() -> Iterable[Oddity]:
    called = [{"functionCall": {"id": "k", "name": n, "args": a}} for n, a in OBJECTS]
    parts = {"candidates": [{"content": {"parts": called}, "finishReason": "STOP"}]}
    apart = [{"candidates": [{"content": {"parts": [each]}}]} for each in called]
    lines = [
        {"id": "k", "function": {"index": 0, "name": n, "arguments": a}}
        for n, a in OBJECTS
    ]
    items = [
        {"type": "function_call", "id": "fc", "call_id": n, "name": n, "arguments": a}
        for n, a in TWO
    ]
    for kind, name, steps in (
        ("gemini", "one id for two", sse(parts)),
        ("gemini", "in frames of their own", sse(*apart, gemini(finish="STOP"))),
        (
            "ollama",
            "one index and id for two",
            [HEAD, line(tool_calls=lines), line(reason="stop"), END],
        ),
        ("responses", "one id for two, whole", answers(200, responded(*items))),
        (
            "responses",
            "one index for two",
            sse(
                *(
                    {"type": "response.output_item.done", "output_index": 0, "item": it}
                    for it in items
                ),
                {"type": "response.completed", "response": responded(*items)},
            ),
        ),
    ):
        yield Oddity(
            section=1,
            name=name,
            kind=kind,
            steps=steps,
            calls=TWO,
            finish="tool_calls",
        )
