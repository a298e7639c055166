"""The faults: what may be wrong with a provider's answer, and what it comes to."""

import gzip
import sys
import zlib
from collections.abc import Callable
from itertools import chain, repeat
from typing import Any, Literal

from attrs import evolve, field, frozen

from tests.rig.upstream import END, HEAD, Step, answers, chunked

from .compression import bomb, brotli, deflated, gzipped, zstandard
from .scripts import (
    DONE,
    GZIP,
    PAUSE,
    ROLE,
    STOP,
    Asked,
    Write,
    after_done,
    after_stop,
    after_tokens,
    at_once,
    behind_token,
    broken_gzip,
    byte_by_byte,
    chunk,
    dripped,
    encoded,
    first_token,
    flood,
    flooding,
    frame,
    framed,
    halved,
    headed,
    measured,
    redirect,
    stream,
    ticking,
    typed,
    whole,
)

# What a fault comes to: nothing, a failure before the first token, or one after it.
Kind = Literal["answers", "fails", "breaks"]
# Where it happens: in a script, or before the upstream has read a request.
Place = Literal["script", "refusing", "full", "closing"]
# A silence that is a fault, in seconds. All else has the time that it needs.
SHORT = 0.4
# Six bytes each, in the JSON that they come in.
LARGE = "é" * (8 * 1024 * 1024 // 6)
FAILED = (502, "all_providers_failed")
TIMEOUT = (504, "timeout")
BUSY = (429, "rate_limit_exceeded")
# Refusals of the request itself, and of our key.
REFUSALS = (400, 404, 413, 422)
DENIALS = (401, 402, 403)
BR = ("Content-Encoding: br",)
HTTP_ERRORS = range(400, 530)
REDIRECTS = (300, 301, 302, 303, 304, 307, 308)


@frozen(kw_only=True)
class Fault:
    """
    One way to answer.

    *said* is the text that reaches a streaming client, all of it or what came before
    the break; None where that is not known. Where nobody else answers, the error is one
    of *errors*, statuses and codes, with *headers*, or without those that are None.
    *limits* are the provider's time-outs. *status* is that of an HTTP error, many of
    which go by one *name*.
    """

    name: str
    kind: Kind
    write: Write = lambda _: ()
    place: Place = "script"
    said: Callable[[tuple[str, ...]], str] | None = "".join
    errors: tuple[tuple[int, str], ...] = (FAILED,)
    headers: dict[str, str | None] = field(factory=dict)
    limits: dict[str, float] = field(factory=dict)
    status: int | None = None


def two(words: tuple[str, ...]) -> str:
    return "".join(words[:2])


def good(name: str, write: Write, **more: Any) -> Fault:
    return Fault(name=name, kind="answers", write=write, **more)


def fails(name: str, write: Write, **more: Any) -> Fault:
    return Fault(name=name, kind="fails", write=write, **more)


def breaks(name: str, write: Write, **more: Any) -> Fault:
    """Return a fault that comes after two words, unless *more* says otherwise."""
    return Fault(name=name, kind="breaks", write=write, **{"said": two, **more})


def slow(fault: Fault, **limits: float) -> Fault:
    """Return *fault* as one that only a time-out tells."""
    limits = limits or {"first_token_timeout": SHORT}
    return evolve(fault, errors=(TIMEOUT,), limits=limits)


def connections() -> list[Fault]:
    """Return what goes wrong before there is a body."""
    padding = b"X-Pad: " + b"x" * 4000 + b"\r\n"
    return [
        Fault(name="port refuses", kind="fails", place="refusing"),
        slow(
            Fault(name="port takes nobody", kind="fails", place="full"),
            connect_timeout=SHORT,
        ),
        Fault(name="hangs up at once", kind="fails", place="closing"),
        slow(fails("never answers", lambda _: [...])),
        fails("reset before headers", lambda _: [None]),
        fails("closed before headers", lambda _: [b""]),
        slow(fails("half of the headers", lambda _: [HEAD[:40], ...])),
        fails("closed in the headers", lambda _: [HEAD[:40], b""]),
        slow(fails("dripping headers", lambda _: dripped(HEAD, PAUSE))),
        fails("headers without end", lambda _: chain([HEAD[:-2]], repeat(padding))),
        fails("no HTTP", lambda _: [b"SSH-2.0-OpenSSH_9.7\r\n", ...]),
        slow(fails("headers, then silence", lambda _: [HEAD, ...])),
        fails("headers, then reset", lambda _: [HEAD, PAUSE, None]),
        fails("headers, then closed", lambda _: [HEAD, b""]),
    ]


def silences() -> list[Fault]:
    """Return answers with status 200 that say nothing, or something else."""
    empty = frame(chunk(content=""))
    failed = frame(chunk("error"))
    return [
        fails("empty stream", lambda _: [HEAD, END]),
        fails("empty body", lambda _: measured(b"")),
        fails("no content", lambda _: [b"HTTP/1.1 204 No Content\r\n\r\n", b""]),
        fails("role only", lambda _: whole([ROLE, DONE])),
        slow(fails("role, then silence", lambda _: stream([ROLE], ...))),
        fails("role, then closed", lambda _: stream([ROLE], b"")),
        slow(fails("empty deltas only", lambda _: chain([HEAD], ticking(empty)))),
        slow(fails("comments only", lambda _: chain([HEAD], ticking(b": hm\n\n")))),
        fails("frame without end", lambda _: flood(b"data: ")),
        fails("JSON without end", lambda _: flood(b"[")),
        fails("error object, status 200", lambda a: answers(200, a.error)),
        fails("error text, status 200", lambda a: answers(200, raw=a.echo.encode())),
        fails("HTML, status 200", lambda a: answers(200, raw=a.page)),
        fails("error frame first", lambda a: whole([frame(a.error)])),
        fails(
            "error event first", lambda a: whole([b"event: error\n", frame(a.error)])
        ),
        fails("error as finish_reason", lambda _: whole([ROLE, failed])),
        fails("JSON that is cut", lambda a: measured(a.completion[:-9])),
    ]


def bad_frames() -> list[Fault]:
    """Return first tokens that can't be read."""
    said = {"content": "Hello"}
    payloads = {
        "bad JSON": b"{'a': 1}",
        "JSON cut short": b'{"choices": [{"index": 0, "delta": {"con',
        "invalid UTF-8": b'{"choices": [{"delta": {"content": "\xff"}}]}',
        "deeply nested JSON": b"[" * 9999 + b"]" * 9999,
        "a number": 5,
        "content is a number": {"choices": [{"delta": {"content": 5}}]},
        "delta is text": {"choices": [{"delta": "Hello"}]},
        "choices are an object": {"choices": {"delta": said}},
        "index is text": {"choices": [{"index": "0", "delta": said}]},
        "logprobs are a list": {"choices": [{"logprobs": [1], "delta": said}]},
    }
    return [
        *(fails(name, first_token(bad)) for name, bad in payloads.items()),
        # What is known to be broken before it has won does not win.
        fails("bad JSON behind tokens", lambda a: at_once([*a.spoken, frame(b"{")])),
    ]


def breaking() -> list[Fault]:
    """Return what goes wrong once the answer has begun."""
    more = frame(chunk(content="more"))
    bad = chunked(frame(b"{oops"))
    return [
        breaks("reset after tokens", after_tokens(None)),
        breaks("closed after tokens", after_tokens(b"")),
        breaks("ended after tokens", after_tokens(END)),
        slow(breaks("silence after tokens", after_tokens(...)), idle_timeout=SHORT),
        slow(
            breaks(
                "silence after all tokens",
                lambda a: stream(a.spoken, ...),
                said="".join,
            ),
            idle_timeout=SHORT,
        ),
        breaks("bad JSON later", after_tokens(bad, ...)),
        breaks("invalid UTF-8 later", after_tokens(chunked(b'data: "\xff"\n\n'), ...)),
        breaks(
            "error frame later",
            lambda a: after_tokens(chunked(frame(a.error)), END)(a),
        ),
        breaks("bad JSON behind a token", lambda a: behind_token(a, frame(b"{oops"))),
        breaks("error behind a token", lambda a: behind_token(a, frame(a.error))),
        # aiohttp hangs up on it at once, but wakes nobody who waits: silence it is.
        breaks(
            "bad chunk size later",
            after_tokens(b"zz\r\n", ...),
            errors=(FAILED, TIMEOUT),
            limits={"idle_timeout": SHORT},
        ),
        breaks(
            "less than its length",
            lambda a: [*measured(b"".join(a.spoken[:3]), 9999), a.told(2), b""],
        ),
        breaks(
            "closed without a length",
            lambda a: [b"HTTP/1.0 200 OK\r\n\r\n", *a.spoken[:3], a.told(2), b""],
        ),
        slow(
            breaks(
                "stream without end",
                lambda a: chain(stream(a.spoken), ticking(more)),
                said=None,
            ),
            total_timeout=1.0,
        ),
    ]


def delivery() -> list[Fault]:
    """Return the ways in which a good answer may be written and delivered."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    return [
        good("as it should be", lambda a: whole(a.answer)),
        good("CRLF", framed(lambda each: each.replace(b"\n", b"\r\n"))),
        good("CR", framed(lambda each: each.replace(b"\n", b"\r"))),
        good("byte by byte", byte_by_byte),
        good("all at once", lambda a: at_once(a.answer)),
        good("slow headers", lambda a: chain(dripped(HEAD), whole(a.answer)[1:])),
        good("early hints", lambda a: [early, *whole(a.answer)]),
        good("comments", framed(lambda each: b": hm\n\n" + each + b":\n\n")),
        good("event: lines", framed(lambda each: b"event: x\nid: 1\n" + each)),
        good("emoji cut in two", halved),
        good("byte order mark", lambda a: whole([b"\xef\xbb\xbf", *a.answer])),
        good("data:without a space", framed(lambda each: each.replace(b": ", b":", 1))),
        good("a frame of many lines", framed(lambda e: e.replace(b", ", b",\ndata: "))),
        good("no final blank line", lambda a: at_once([a.body.rstrip()])),
        good("no [DONE]", lambda a: whole([*a.spoken, STOP])),
        good("no [DONE], no blank line", lambda a: whole([*a.spoken, STOP.rstrip()])),
        good("no finish_reason", lambda a: whole([*a.spoken, DONE])),
        good("a length", lambda a: measured(a.body)),
        good("until it closes", lambda a: [b"HTTP/1.0 200 OK\r\n\r\n", a.body, b""]),
        good("JSON instead of a stream", lambda a: measured(a.completion)),
        good(
            "a frame of 8 MB",
            lambda _: whole([ROLE, frame(chunk(content=LARGE)), STOP, DONE]),
            said=lambda _: LARGE,
        ),
    ]


def late_faults() -> list[Fault]:
    """Return faults of answers that are whole by then: they come to nothing."""
    token = frame(chunk(content="too late"))
    bad = frame(b"{oops")
    return [
        good("double [DONE]", after_done(chunked(DONE), END)),
        good("tokens after [DONE]", after_done(chunked(token), END)),
        good("bad JSON after [DONE]", after_done(chunked(bad), END)),
        good("reset after [DONE]", after_done(None)),
        good("silence after [DONE]", after_done(...)),
        good("endless after [DONE]", lambda a: chain(stream(a.answer), ticking(token))),
        good("flood after [DONE]", lambda a: chain(stream(a.answer), flooding(token))),
        good("bad chunk size after [DONE]", after_done(b"zz\r\n", ...)),
        good(
            "finish_reason before the last token",
            lambda a: whole([*a.spoken[:-1], STOP, a.spoken[-1], DONE]),
        ),
        good("bad JSON after finish_reason", after_stop(chunked(bad), END)),
        good(
            "error after finish_reason",
            lambda a: after_stop(chunked(frame(a.error)), END)(a),
        ),
        good("reset after finish_reason", after_stop(None)),
        good(
            "silence after finish_reason",
            after_stop(...),
            limits={"idle_timeout": SHORT},
        ),
        good(
            "comments after finish_reason",
            lambda a: chain(stream([*a.spoken, STOP]), ticking(b": hm\n\n")),
            limits={"idle_timeout": SHORT},
        ),
    ]


def encodings() -> list[Fault]:
    """Return compressed answers, though we ask for none, and types that lie."""
    zstd = good if sys.version_info >= (3, 14) else fails  # Python's own, from then on
    types = (
        "text/plain",
        "application/json",
        "text/html; charset=latin-1",
        "no type; at=all",
    )
    return [
        good("gzip", encoded(b"gzip", gzip.compress)),
        good("gzip, frame by frame", lambda a: whole(gzipped(a.answer), GZIP)),
        good("deflate", encoded(b"deflate", zlib.compress)),
        good("deflate without zlib's head", encoded(b"deflate", deflated)),
        fails("br", encoded(b"br", brotli)),
        zstd("zstd", encoded(b"zstd", zstandard)),
        fails("no gzip, but says so", encoded(b"gzip", bytes)),
        breaks("gzip that breaks", broken_gzip),
        fails("gzip of 32 MB of blanks", encoded(b"gzip", bomb)),
        good("encoding that nobody knows", encoded(b"none", bytes)),
        *(good(f"type {each}", typed(each.encode())) for each in types),
        good("no type", lambda a: whole(a.answer, headed())),
    ]


def other_statuses() -> list[Fault]:
    """Return redirects, and errors whose bodies are no JSON, or no end of it."""
    busy = headed(status=b"429 Too Many Requests")
    cut = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 99\r\n\r\n{"
    return [
        *(fails("redirect", redirect(each), status=each) for each in REDIRECTS),
        fails("HTML, status 502", lambda a: answers(502, raw=a.page)),
        fails("text, status 500", lambda a: answers(500, raw=a.echo.encode())),
        fails("echo, status 500", lambda a: answers(500, a.error)),
        fails("a list, status 503", lambda a: answers(503, [a.error])),
        fails("br, status 500", lambda a: answers(500, raw=brotli(a.body), headers=BR)),
        fails(
            "body without end, status 429",
            lambda _: flood(b"No! ", busy),
            errors=(BUSY,),
        ),
        fails("cut body, status 429", lambda _: [cut, b""], errors=(BUSY,)),
        fails("silent body, status 429", lambda _: [busy, ...], errors=(BUSY,)),
    ]


def http_errors() -> list[Fault]:
    """Return every HTTP error, with and without Retry-After."""
    waits = (None, "7")
    return [http_error(status, wait) for wait in waits for status in HTTP_ERRORS]


def http_error(status: int, wait: str | None) -> Fault:
    """Return an HTTP error, and what section 5 of the contract makes of it."""
    name = "status, Retry-After" if wait else "status"
    headers = [f"Retry-After: {wait}"] if wait else []

    def write(asked: Asked) -> list[Step]:
        error = {"message": f"No! {asked.echo}", "code": "their_code"}
        return answers(status, {"error": error}, headers)

    if status in REFUSALS:
        told: dict[str, Any] = {"errors": ((status, "their_code"),)}
    elif status == 429:
        told = {"errors": (BUSY,), "headers": {"Retry-After": wait}}
    else:
        told = {"headers": {"Retry-After": None}}
    if status in (*REFUSALS, *DENIALS):
        told.setdefault("headers", {})["x-should-retry"] = "false"
    return fails(name, write, status=status, **told)


def named() -> list[Fault]:
    """Return the faults that have a name, and no number."""
    return [
        *connections(),
        *silences(),
        *bad_frames(),
        *breaking(),
        *delivery(),
        *late_faults(),
        *encodings(),
        *other_statuses(),
    ]
