"""Sections 4, 9 and 14: texts in odd places, halves of characters, odd blocks."""

import json
from collections.abc import Iterable

from tests.rig.anthropic_events import block
from tests.rig.upstream import END, HEAD, answers, chunked, delta

from .writing import (
    CALLED,
    DEEP,
    EMOJI,
    PAUSE,
    STOP,
    Oddity,
    argues,
    begins,
    call,
    choice,
    completion,
    function_call,
    gemini,
    line,
    message,
    raw,
    responded,
    says,
    sse,
    stream,
    used,
)


def texts() -> Iterable[Oddity]:
    """Sections 4, 9 and 14: texts in odd places, halves of characters, odd blocks."""
    pieces = (delta(content="Red "), delta(content="green"))
    whole = {"message": {"content": "Red green"}, "finish_reason": "stop"}
    for name, steps in {
        "beside an empty delta": stream(*pieces, choice(delta={}, **whole)),
        "beside a null": stream(*pieces, choice(delta=None, **whole)),
        "after the pieces": stream(*pieces, choice(**whole)),
        "in the place of deltas": stream(
            choice(message={"content": "Red "}),
            choice(message={"content": "green"}),
            STOP,
        ),
        "beside its own last piece": stream(
            pieces[0], choice(delta={"content": "green"}, **whole)
        ),
        "beside each piece": stream(
            choice(delta={"content": "Red "}, message={"content": "Red "}),
            choice(delta={"content": "green"}, **whole),
        ),
        "after a role alone": stream(
            delta(role="assistant", content=""), choice(**whole)
        ),
        "twice after the pieces": stream(*pieces, choice(**whole), choice(**whole)),
    }.items():
        yield Oddity(section=4, name=f"message {name}", steps=steps, text="Red green")
    say = '{"choices":[{"index":0,"delta":{"content":"%s"}}]}'
    argue = (
        '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"k",'
        '"function":{"name":"f","arguments":"{\\"a\\":\\"\\ud83d\\ude00\\"}"}}]}}]}'
    )
    for name, steps, told in (
        (
            "halves in two chunks",
            stream(raw(say % "Hey \\ud83d"), raw(say % "\\ude00 you"), STOP),
            f"Hey {EMOJI} you",
        ),
        (
            "a half alone",
            stream(raw(say % "Hey \\ud83d you"), raw(say % "!"), STOP),
            "Hey \ufffd you!",
        ),
        (
            "a half at the end",
            stream(raw(say % "Hey"), raw(say % " \\ud83d"), STOP),
            "Hey \ufffd",
        ),
        (
            "a half, whole",
            answers(
                200,
                raw=b'{"choices":[{"index":0,"message":{"content":"Hey \\ud83d"},'
                b'"finish_reason":"stop"}]}',
            ),
            "Hey \ufffd",
        ),
    ):
        yield Oddity(section=9, name=name, steps=steps, text=told)
    yield Oddity(
        section=9,
        name="a pair in arguments",
        steps=stream(raw(argue), CALLED),
        calls=(("f", f'{{"a":"{EMOJI}"}}'),),
        finish="tool_calls",
    )
    deep = '{"choices":[{"index":0,"delta":{"content":"a","x":' + DEEP + "}}]}"
    yield Oddity(
        section=9, name="deep first", steps=stream(raw(deep), STOP), error="deep"
    )
    yield Oddity(
        section=9,
        name="deep later",
        steps=stream(delta(content="Hi"), PAUSE, raw(deep), STOP),
        error="deep",
    )
    half = {"message": {"content": "\ud83d"}, "done": False}
    rest = {"message": {"content": "\ude00"}, "done": False}
    lines = [chunked(json.dumps(each).encode() + b"\n") for each in (half, rest)]
    yield Oddity(
        section=9,
        name="halves in two lines",
        kind="ollama",
        steps=[HEAD, *lines, line(reason="stop"), END],
        text=EMOJI,
    )
    yield Oddity(
        section=9,
        name="halves in two events",
        kind="gemini",
        steps=sse(gemini("a\ud83d"), gemini("\ude00b", finish="STOP")),
        text=f"a{EMOJI}b",
    )
    yield Oddity(
        section=9,
        name="halves in two blocks' deltas",
        kind="anthropic",
        steps=message(
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "text", "text": ""},
            },
            says("a\ud83d", index=0),
            says("\ude00b", index=0),
        ),
        text=f"a{EMOJI}b",
    )
    yield from halves()
    yield from blocks()


def halves() -> Iterable[Oddity]:
    """Section 9 further on: in thoughts, arguments' own escapes, other dialects."""
    say = '{"choices":[{"index":0,"delta":{"%s":"%s"}}]}'
    for name in ("reasoning_content", "reasoning"):
        yield Oddity(
            section=9,
            name=f"halves in {name}",
            steps=stream(
                raw(say % (name, "Hm \\ud83d")),
                raw(say % (name, "\\ude00")),
                delta(content="Hi"),
                STOP,
            ),
            text="Hi",
            thought=f"Hm {EMOJI}",
        )
    half, pair = '{"a":"x\\ud83d"}', '{"a":"\\ud83d\\ude00"}'
    low = '{"a":"\\ude00y","b":[1]}'
    escaped = '{"a":"\\\\ud83d"}'
    for name, sent, told in (
        ("half an escape", half, '{"a":"x\ufffd"}'),
        ("the other half of an escape", low, '{"a":"\ufffdy","b":[1]}'),
        ("a pair of escapes", pair, f'{{"a":"{EMOJI}"}}'),
        ("no escape at all", escaped, escaped),
    ):
        pieces = [sent[i : i + 3] for i in range(0, len(sent), 3)]
        for kind, more, steps in (
            (
                "openai",
                ", in pieces",
                stream(
                    call(index=0, id="k", name="f"),
                    *(call(piece, index=0) for piece in pieces),
                    CALLED,
                ),
            ),
            (
                "openai",
                ", whole",
                completion(
                    {
                        "tool_calls": [
                            {"id": "k", "function": {"name": "f", "arguments": sent}}
                        ]
                    },
                    "tool_calls",
                ),
            ),
            (
                "anthropic",
                ", in pieces",
                message(
                    *block(0, used("k", "f"), *map(argues, pieces)), reason="tool_use"
                ),
            ),
            (
                "responses",
                ", in pieces",
                sse(*function_call("k", "f", pieces, sent)),
            ),
        ):
            yield Oddity(
                section=9,
                name=f"{name} in arguments{more}",
                kind=kind,
                steps=steps,
                calls=(("f", told),),
                finish="tool_calls",
            )
    texts = [
        {"type": "response.output_text.delta", "output_index": 0, "delta": d}
        for d in ("a\ud83d", "\ude00b", "\ud83d", "c")
    ]
    said = f"a{EMOJI}b\ufffdc"
    item = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": said}],
    }
    yield Oddity(
        section=9,
        name="halves in two events",
        kind="responses",
        steps=sse(*texts, {"type": "response.completed", "response": responded(item)}),
        text=said,
    )
    yield Oddity(
        section=9,
        name="a half, whole",
        kind="responses",
        steps=answers(
            200,
            responded(
                {**item, "content": [{"type": "output_text", "text": "a\ud83d"}]}
            ),
        ),
        text="a\ufffd",
    )
    args = {"functionCall": {"name": "f", "args": {"a": "x\ud83d"}}}
    found = [{"function": {"name": "f", "arguments": {"a": "x\ud83d"}}}]
    whole = {
        "type": "message",
        "content": [{"type": "text", "text": "a\ud83d"}],
        "stop_reason": "end_turn",
    }
    thought = {"type": "thinking_delta", "thinking": "Hm\ud83d"}
    for kind, name, steps in (
        (
            "gemini",
            "a half in args",
            sse(
                {"candidates": [{"content": {"parts": [args]}, "finishReason": "STOP"}]}
            ),
        ),
        (
            "ollama",
            "a half in arguments",
            [HEAD, line(tool_calls=found), line(reason="stop"), END],
        ),
    ):
        yield Oddity(
            section=9,
            name=name,
            kind=kind,
            steps=steps,
            calls=(("f", '{"a":"x\ufffd"}'),),
            finish="tool_calls",
        )
    yield Oddity(
        section=9,
        name="a half, whole",
        kind="anthropic",
        steps=answers(200, whole),
        text="a\ufffd",
    )
    yield Oddity(
        section=9,
        name="a half in a thought",
        kind="anthropic",
        steps=message(
            *block(0, {"type": "thinking", "thinking": ""}, thought),
            *block(
                1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hi"}
            ),
        ),
        thought="Hm\ufffd",
        text="Hi",
    )
    yield Oddity(
        section=9,
        name="a half alone",
        kind="ollama",
        steps=[HEAD, line("a\ud83d"), line("b", "stop"), END],
        text="a\ufffdb",
    )
    yield Oddity(
        section=9,
        name="a half at the end",
        kind="gemini",
        steps=sse(gemini("a\ud83d", finish="STOP")),
        text="a\ufffd",
    )
    deep = json.loads(DEEP)
    for kind, steps in (
        ("anthropic", message(begins(0), {**says("Hi", index=0), "x": deep})),
        ("gemini", sse({**gemini("Hi", finish="STOP"), "x": deep})),
        ("ollama", [HEAD, line("Hi", x=deep), line(reason="stop"), END]),
        ("responses", answers(200, responded(item, x=deep))),
    ):
        yield Oddity(section=9, name="deep first", kind=kind, steps=steps, error="deep")


def blocks() -> Iterable[Oddity]:
    thought = [{"type": "text", "text": "See "}, {"type": "reference", "ids": [1]}]
    yield Oddity(
        section=14,
        name="reference in a thought",
        steps=stream(
            delta(content=[{"type": "thinking", "thinking": thought}]),
            delta(content="Hi"),
            STOP,
        ),
        text="Hi",
        thought="See ",
    )
    yield Oddity(
        section=14,
        name="unknown part",
        steps=stream(
            delta(content=[{"type": "new"}, {"type": "text", "text": "Hi"}]), STOP
        ),
        text="Hi",
    )
    for name, events in {
        "no block start": (says("H", index=0), says("i", index=0)),
        "no index": (says("H"), says("i")),
        "unknown delta": (
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "new_delta", "new": 1},
            },
            says("Hi", index=0),
        ),
    }.items():
        yield Oddity(
            section=14, name=name, kind="anthropic", steps=message(*events), text="Hi"
        )
    yield from parts()


def parts() -> Iterable[Oddity]:
    """Section 14 further on: parts of unknown types elsewhere, blocks of copies."""
    text = {"type": "text", "text": "Hi"}
    for name, steps in {
        "an object for content": stream(delta(content=text), STOP),
        "parts in a whole answer": completion(
            {"content": [{"type": "x", "y": [1]}, text]}
        ),
        "null among the parts": stream(delta(content=[None, text, 5]), STOP),
        "parts of parts": stream(
            delta(content=[{"type": "new", "content": [text]}, text]), STOP
        ),
        "a string among the parts": stream(
            delta(content=["H", {"type": "text", "text": "i"}]), STOP
        ),
        "text without text": stream(delta(content=[{"type": "text"}, text]), STOP),
    }.items():
        yield Oddity(section=14, name=name, steps=steps, text="Hi")
    yield Oddity(
        section=14,
        name="parts for a thought",
        steps=stream(
            delta(reasoning_content=[{"type": "text", "text": "Hm"}, {"type": "x"}]),
            delta(content="Hi"),
            STOP,
        ),
        text="Hi",
        thought="Hm",
    )
    yield Oddity(
        section=14,
        name="thinking of an unknown kind in thinking",
        steps=stream(
            delta(
                content=[
                    {
                        "type": "thinking",
                        "thinking": [
                            {"type": "new", "new": {"text": "no"}},
                            {"type": "text", "text": "Hm"},
                        ],
                    }
                ]
            ),
            delta(content="Hi"),
            STOP,
        ),
        text="Hi",
        thought="Hm",
    )
    h, i = says("H", index=0), says("i", index=0)
    stop = {"type": "content_block_stop", "index": 0}
    think = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "Hm"},
    }
    new = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "new", "new": 1},
    }
    for name, events in {
        "no start, with stops": (h, i, stop),
        "a start without its text": (
            {**begins(0), "content_block": {"type": "text"}},
            h,
            i,
            stop,
        ),
        "numbered from 3": ({**begins(3)}, says("Hi", index=3), {**stop, "index": 3}),
        "a start and deltas of nothing": (
            {"type": "content_block_start", "index": 0},
            {"type": "content_block_delta", "index": 0, "delta": None},
            h,
            i,
            stop,
        ),
        "an end of nothing": (begins(0), h, i, stop, {"type": "message_delta"}),
        "two stops": (begins(0), h, i, stop, stop),
        "no start, thinking in another block": (says("Hi", index=4),),
        "events of an unknown type": (
            {"type": "new_event", "index": 0},
            begins(0),
            h,
            i,
            stop,
        ),
        "an unknown block": (
            new,
            stop,
            begins(1),
            says("Hi", index=1),
            {**stop, "index": 1},
        ),
    }.items():
        yield Oddity(
            section=14, name=name, kind="anthropic", steps=message(*events), text="Hi"
        )
    for name, events in {
        "one index for thought and text": (think, h, i),
        "one index, the thought alone begun": (
            begins(0, "thinking"),
            think,
            h,
            i,
            stop,
        ),
        "no index for thought and text": tuple(
            {k: v for k, v in e.items() if k != "index"} for e in (think, h, i)
        ),
        "no indices at all": tuple(
            {k: v for k, v in e.items() if k != "index"}
            for e in (begins(0, "thinking"), think, stop, begins(1), h, i, stop)
        ),
    }.items():
        yield Oddity(
            section=14,
            name=name,
            kind="anthropic",
            steps=message(*events),
            text="Hi",
            thought="Hm",
        )
    yield Oddity(
        section=14,
        name="unknown parts",
        kind="gemini",
        steps=sse(
            {
                "candidates": [
                    {
                        "content": {
                            "parts": [
                                {"new": 1},
                                {"executableCode": {"code": "x"}},
                                {"text": "Hi"},
                            ]
                        },
                        "finishReason": "STOP",
                    }
                ]
            }
        ),
        text="Hi",
    )
    message_ = {
        "type": "message",
        "content": [{"type": "new", "new": 1}, {"type": "output_text", "text": "Hi"}],
    }
    yield Oddity(
        section=14,
        name="unknown items and parts",
        kind="responses",
        steps=sse(
            {"type": "response.new", "delta": {"x": 1}},
            {
                "type": "response.completed",
                "response": responded({"type": "new", "new": 5}, message_),
            },
        ),
        text="Hi",
    )
