"""The oddities of upstreams: what each sends, and what a client is to be told of it."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from tests.rig.upstream import DONE, END, HEAD, Step, answers, chunked, delta, event

PAUSE = 0.03
A, B = '{"w":1}', '{"c":2}'
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
NONE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
DEEP = "[" * 300 + "]" * 300
EMOJI = "\U0001f600"


@frozen(kw_only=True)
class Oddity:
    """
    One odd way to answer, in a dialect.

    A client is told *text*, *thought*, *calls* (name and arguments, in order) and
    *finish*, or an error with the word *error* in it, and *status* if that is known.
    *tokens* are the completion's, *note* is what the race's story says of it.
    """

    section: int
    name: str
    steps: Sequence[Step]
    kind: str = "openai"
    text: str = ""
    thought: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str = "stop"
    error: str | None = None
    status: int | None = None
    tokens: int | None = None
    note: str = ""


def sse(*payloads: Any) -> Sequence[Step]:
    """Return the script of a stream with these events, and an end without [DONE]."""
    return [HEAD, *(p if isinstance(p, bytes) else event(p) for p in payloads), END]


def stream(*steps: Step | Any) -> Sequence[Step]:
    """Return the script of a stream of deltas, which ends well."""
    return [HEAD, *steps, DONE, END]


def raw(data: str) -> bytes:
    return chunked(b"data: " + data.encode() + b"\n\n")


def call(arguments: str = "", **fields: Any) -> bytes:
    function: dict[str, Any] = {"arguments": arguments}
    if "name" in fields:
        function["name"] = fields.pop("name")
    return delta(tool_calls=[{**fields, "function": function}])


def choice(**fields: Any) -> bytes:
    return event({"choices": [{"index": 0, **fields}]})


def completion(
    message: dict[str, Any], finish: str = "stop", **more: Any
) -> Sequence[Step]:
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return answers(200, {"choices": choices, **more})


def gemini(*texts: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    parts = [{"text": text} for text in texts]
    ended = {"finishReason": finish} if finish else {}
    return {"candidates": [{"content": {"parts": parts}, **ended, **more}]}


def line(text: str = "", reason: str | None = None, **more: Any) -> bytes:
    """Return a line of Ollama's."""
    done = {"done": True, "done_reason": reason} if reason else {"done": False}
    message = {"role": "assistant", "content": text, **more}
    return chunked(json.dumps({"message": message, **done}).encode() + b"\n")


def message(*events: dict[str, Any], reason: str | None = "end_turn") -> Sequence[Step]:
    """Return the script of a message of Anthropic's, with these events in it."""
    start = {"type": "message_start", "message": {"id": "msg_1", "content": []}}
    ended = {"stop_reason": reason, "stop_sequence": None}
    delta_ = {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 2}}
    return sse(start, *events, delta_, {"type": "message_stop"})


def response(status: str, why: str | None = None) -> Sequence[Step]:
    """Return the script of a response without output, as OpenAI's own API has it."""
    fields: dict[str, Any] = {"id": "resp_1", "status": status, "output": []}
    fields["incomplete_details"] = {"reason": why} if why else None
    used = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    begun = {"type": "response.created", "response": {**fields, "status": "queued"}}
    fields["usage"] = used
    return sse(begun, {"type": f"response.{status}", "response": fields})


def says(text: str, **more: Any) -> dict[str, Any]:
    said = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "delta": said, **more}


STOP, CALLED = delta("stop"), delta("tool_calls")
TWO = (("look_up", A), ("weather", B))


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
    yield from blocks()


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


def reasons() -> Iterable[Oddity]:
    """Section 12: the reason of a failure in other places."""
    limited = "model x is rate-limited"
    outer = {"message": "Provider returned error", "code": 429}
    for name, status, body in (
        ("metadata.raw", 429, {"error": {**outer, "metadata": {"raw": limited}}}),
        (
            "JSON in metadata.raw",
            429,
            {
                "error": {
                    **outer,
                    "metadata": {"raw": json.dumps({"error": {"message": limited}})},
                }
            },
        ),
        ("detail", 429, {"detail": limited}),
        ("error_msg", 429, {"error_code": 18, "error_msg": limited}),
        ("a list", 429, {"errors": [{"message": limited}]}),
        ("error is a text", 429, {"error": limited}),
        ("msg", 429, {"code": 7, "msg": limited}),
        (
            "base_resp, 200",
            200,
            {
                "choices": None,
                "base_resp": {"status_code": 1008, "status_msg": limited},
            },
        ),
        ("error_msg, 200", 200, {"error_code": 18, "error_msg": limited}),
    ):
        yield Oddity(
            section=12,
            name=name,
            steps=answers(status, body),
            error=limited,
            status=status if status != 200 else None,
        )
    no_json = chunked(b"event: error\ndata: upstream connect error\n\n")
    in_place = chunked(b'error: {"message": "upstream connect error"}\n\n')
    scripts: dict[str, Sequence[Step]] = {
        "no JSON in an error's event": [HEAD, no_json, END],
        "the same, later": [HEAD, delta(content="Hi"), PAUSE, no_json, END],
        "error: for data:": [HEAD, in_place, END],
        "error: for data:, later": [HEAD, delta(content="Hi"), PAUSE, in_place, END],
    }
    for name, steps in scripts.items():
        yield Oddity(section=12, name=name, steps=steps, error="upstream connect error")


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


def oddities() -> list[Oddity]:
    parts = (calls, ends, texts, counts, reasons, wordless)
    return [each for part in parts for each in part()]
