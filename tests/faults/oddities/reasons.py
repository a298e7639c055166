"""Section 12: the reason of a failure in other places."""

import json
from collections.abc import Iterable, Sequence

from tests.rig.upstream import END, HEAD, Step, answers, chunked, delta, event

from .writing import (
    PAUSE,
    STOP,
    Oddity,
    begins,
    gemini,
    message,
    says,
    sse,
    stream,
)


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
    yield from elsewhere()


def elsewhere() -> Iterable[Oddity]:
    """The same in further places, and in other dialects."""
    why = "model x is rate-limited"
    for name, kind, status, body in (
        ("a message alone", "openai", 503, {"message": why}),
        ("an object in message", "openai", 503, {"error": {"message": {"text": why}}}),
        ("FastAPI's list", "openai", 503, {"detail": [{"loc": ["body"], "msg": why}]}),
        ("an error in detail", "openai", 503, {"detail": {"error": {"message": why}}}),
        ("a list of texts", "openai", 503, {"errors": [why, "and more"]}),
        (
            "failed_generation",
            "openai",
            400,
            {"error": {"message": "no JSON", "failed_generation": why}},
        ),
        (
            "an object in metadata.raw",
            "openai",
            503,
            {
                "error": {
                    "message": "x",
                    "metadata": {"raw": {"error": {"message": why}}},
                }
            },
        ),
        ("success: false, 200", "openai", 200, {"success": False, "message": why}),
        ("code and message, 200", "openai", 200, {"code": 1302, "message": why}),
        ("choices missing, msg, 200", "openai", 200, {"code": 500, "msg": why}),
        ("error a text, 200", "openai", 200, {"error": why}),
        ("error an empty object, 200", "openai", 200, {"error": {}, "message": why}),
        ("status and msg, 200", "openai", 200, {"status": "434", "msg": why}),
        ("detail", "anthropic", 429, {"detail": why}),
        (
            "base_resp, 200",
            "anthropic",
            200,
            {"base_resp": {"status_code": 1008, "status_msg": why}},
        ),
        ("msg, 200", "anthropic", 200, {"code": 7, "msg": why}),
        ("a list of one", "gemini", 429, [{"error": {"code": 429, "message": why}}]),
        ("error_msg, 200", "gemini", 200, {"error_code": 18, "error_msg": why}),
        ("error a text", "ollama", 500, {"error": why}),
        ("message a text, 200", "ollama", 200, {"detail": why}),
        ("detail", "responses", 429, {"detail": why}),
        ("error a text, 200", "responses", 200, {"error": why}),
        ("msg, 200", "responses", 200, {"code": 7, "msg": why}),
    ):
        yield Oddity(
            section=12,
            name=name,
            kind=kind,
            steps=answers(status, body),
            error=why,
            status=status if status in (400, 429) else None,
        )
    bare = chunked(b"event: error\ndata: upstream connect error\n\n")
    later = chunked(
        b'data: {"error": {"message": "upstream connect error", "code": 503}}\n\n'
    )
    listed = event([{"error": {"message": "upstream connect error", "code": 503}}])
    for kind, begun in (
        ("anthropic", message(begins(0), says("Hi", index=0))[:4]),
        ("gemini", sse(gemini("Hi"))[:-1]),
        (
            "responses",
            sse(
                {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}
            )[:-1],
        ),
        ("openai", [HEAD, delta(content="Hi")]),
    ):
        for name, bad in (
            ("no JSON in an error's event", bare),
            ("an error's object", later),
            ("a list", listed),
        ):
            if name != "a list" or kind in ("gemini", "openai"):
                yield Oddity(
                    section=12,
                    name=f"{name}, later",
                    kind=kind,
                    steps=[*begun, PAUSE, bad, END],
                    error="upstream connect error",
                )
        yield Oddity(
            section=12,
            name="no JSON, at once",
            kind=kind,
            steps=[HEAD, bare, END],
            error="upstream connect error",
        )
    for name, steps in {
        "base_resp of a success": answers(
            200,
            {
                "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
                "base_resp": {"status_code": 0, "status_msg": "success"},
            },
        ),
        "code 0 and msg": answers(
            200,
            {
                "code": 0,
                "msg": "ok",
                "success": True,
                "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
            },
        ),
        "base_resp in a chunk of its own": stream(
            delta(content="Hi"),
            STOP,
            event({"choices": [], "base_resp": {"status_code": 0, "status_msg": ""}}),
        ),
        "msg beside choices": stream(
            event(
                {"msg": "fine", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
            ),
            STOP,
        ),
    }.items():
        yield Oddity(section=12, name=name, steps=steps, text="Hi")
