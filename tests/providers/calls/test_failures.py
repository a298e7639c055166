"""The transport, on real sockets: what fails, how, and what is said of it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

import pytest
from attrs import evolve

from providers import (
    Phase,
    ProviderBusy,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderTimeout,
)
from providers.errors import ProviderDenied, ProviderFailed, ProviderUnreachable
from tests.conftest import MakeUpstream
from tests.providers.conftest import WAITS, Connect
from tests.rig.chat_calls import (
    COMPLETION,
    KEY,
    OVERLOADED,
    A,
    failure,
    soon,
    start,
    token,
)
from tests.rig.upstream import (
    DONE,
    END,
    HEAD,
    ROLE,
    Received,
    Script,
    Step,
    answers,
    chunked,
    event,
    says,
)

PINGS: list[Step] = [chunked(b": ping\n\n"), 0.02] * 100
TRICKLE: list[Step] = [A, 0.02] * 100
# How a call fails: the upstream's script, the limits, and the error.
Failure = tuple[list[Step], dict[str, float], type[ProviderError], Phase, str]
FIRST = {"first_token_timeout": 0.15}
IDLE = {"idle_timeout": 0.15}
TOTAL = {"total_timeout": 0.25}
FAILURES: dict[str, Failure] = {
    "no headers": ([...], FIRST, ProviderTimeout, "headers", "no answer within 0.15 s"),
    "no headers in all": ([...], TOTAL, ProviderTimeout, "headers", "within 0.25 s"),
    "headers only": ([HEAD, ...], FIRST, ProviderTimeout, "first_token", "no token"),
    "role only": (
        [HEAD, ROLE, ...],
        FIRST,
        ProviderTimeout,
        "first_token",
        "no token within 0.15 s",
    ),
    "pings only": (
        [HEAD, *PINGS, ...],
        FIRST,
        ProviderTimeout,
        "first_token",
        "no token within 0.15 s",
    ),
    "silent": ([HEAD, A, ...], IDLE, ProviderTimeout, "stream", "silent for 0.15 s"),
    "trickling": (
        [HEAD, *TRICKLE, ...],
        TOTAL | IDLE,
        ProviderTimeout,
        "stream",
        "not done within 0.25 s",
    ),
    "error body hangs": (
        [HEAD.replace(b"200", b"500"), ...],
        FIRST,
        ProviderFailed,
        "headers",
        "HTTP status 500",
    ),
    "closed": ([], {}, ProviderUnreachable, "headers", "hung up"),
    "reset": ([None], {}, ProviderUnreachable, "headers", "hung up"),
    "half a head": ([HEAD[:30]], {}, ProviderUnreachable, "headers", "broke its"),
    "no HTTP": ([b"SSH-2.0\r\n"], {}, ProviderUnreachable, "headers", "valid HTTP"),
    "cut": ([HEAD, A, b""], {}, ProviderUnreachable, "stream", "broke its answer off"),
    "reset later": ([HEAD, A, None], {}, ProviderUnreachable, "stream", "broke its"),
    "cut at once": ([HEAD, b""], {}, ProviderUnreachable, "first_token", "broke"),
    "bad body": (
        [HEAD + b"x\r\n"],
        {},
        ProviderUnreachable,
        "first_token",
        "valid HTTP",
    ),
    "unfinished": ([HEAD, A, END], {}, ProviderProtocolError, "stream", "before its"),
    "empty": ([HEAD, END], {}, ProviderProtocolError, "first_token", "without a token"),
    "no token": (
        [HEAD, ROLE, DONE, END],
        {},
        ProviderProtocolError,
        "first_token",
        "without a token",
    ),
    "error frame": (
        [HEAD, event(OVERLOADED), END],
        {},
        ProviderFailed,
        "first_token",
        "The model is overloaded",
    ),
    "error frame later": (
        [HEAD, A, 0.01, event(OVERLOADED), ...],
        {},
        ProviderFailed,
        "stream",
        "The model is overloaded",
    ),
    "error with 200": (
        answers(200, OVERLOADED),
        {},
        ProviderFailed,
        "first_token",
        "The model is overloaded",
    ),
    "no choices": (
        answers(200, {"object": "chat.completion"}),
        {},
        ProviderProtocolError,
        "first_token",
        "the answer ended",
    ),
    "unreadable": (
        [HEAD, chunked(b"data: {'a'}\n\n"), ...],
        {},
        ProviderProtocolError,
        "first_token",
        "unreadable answer",
    ),
    "HTML with 200": (
        answers(200, raw=b"<html>Log in</html>"),
        {},
        ProviderProtocolError,
        "first_token",
        "HTML",
    ),
    "bad gzip": (
        answers(200, raw=b"data: {}\n\n", headers=["Content-Encoding: gzip"]),
        {},
        ProviderUnreachable,
        "first_token",
        "compressed in a way that can't be read",
    ),
}


@pytest.mark.parametrize("failing", FAILURES.values(), ids=FAILURES)
async def test_failures(
    failing: Failure, make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A failure is told by its class, by how far the call was, and by what happened."""
    script, limits, error, phase, message = failing
    upstream = await make_upstream(script)
    found = await failure(connect(upstream.url), **limits)

    assert (type(found), found.phase) == (error, phase)
    assert message in found.message
    assert str(upstream.port) not in found.message
    if ... in script:
        await soon(upstream.hung_up)


async def test_idle_after_a_slow_reader(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """An upstream's silence counts again once somebody waits for it."""
    upstream = await make_upstream([HEAD, A, ...])
    stream = start(connect(upstream.url), idle_timeout=0.1)

    assert await token(stream) == "a"
    await asyncio.sleep(0.15)  # the reader's own time
    with pytest.raises(ProviderTimeout, match=r"silent for 0\.1 s"):
        await token(stream)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ProviderRefusedRequest),
        (401, ProviderDenied),
        (404, ProviderRefusedRequest),
        (429, ProviderBusy),
        (500, ProviderFailed),
        (503, ProviderFailed),
    ],
)
async def test_statuses(
    status: int,
    error: type[ProviderError],
    make_upstream: MakeUpstream,
    connect: Connect,
) -> None:
    """An error's status gives its class, its body the message and the code."""
    upstream = await make_upstream(answers(status, OVERLOADED))
    found = await failure(connect(upstream.url))

    assert (type(found), found.status, found.phase) == (error, status, "headers")
    assert found.message == "The model is overloaded"
    assert found.upstream_code == "overloaded"


async def test_endless_error(make_upstream: MakeUpstream, connect: Connect) -> None:
    """An error's body is read as far as it can be of use, not to its end."""
    upstream = await make_upstream(
        [HEAD.replace(b"200", b"500"), *[chunked(b"x" * 2**16)] * 4, ...]
    )
    found = await failure(connect(upstream.url))

    assert (type(found), found.status) == (ProviderFailed, 500)
    await soon(upstream.hung_up)


async def test_what_is_no_http_any_more(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """An answer that turns into something else is hung up on, whoever reads or not."""
    gate = asyncio.Event()
    upstream = await make_upstream([HEAD, A, gate, b"zz\r\n", ...])
    stream = start(connect(upstream.url))
    assert await token(stream) == "a"

    gate.set()
    await soon(upstream.hung_up)

    with pytest.raises(ProviderUnreachable, match="not valid HTTP"):
        await token(stream)


@pytest.mark.parametrize(
    "script",
    [answers(500, raw=b"x" * 9999), [HEAD, event({"error": "x" * 9999}), END]],
    ids=["status", "frame"],
)
async def test_long_error(
    script: list[Step], make_upstream: MakeUpstream, connect: Connect
) -> None:
    """An upstream's message is passed on as far as anybody would read it."""
    upstream = await make_upstream(script)
    found = await failure(connect(upstream.url))

    assert "x" * 900 in found.message
    assert len(found.message) <= 1000


@pytest.mark.parametrize(
    "rest",
    [[b""], [None], [b"zz\r\n", b""], [...]],
    ids=["cut", "reset", "bad chunk", "silent"],
)
@pytest.mark.parametrize("body", [[], [chunked(b"Slow d")]], ids=["none", "a part"])
async def test_error_without_an_end(
    body: list[Step],
    rest: list[Step],
    make_upstream: MakeUpstream,
    connect: Connect,
) -> None:
    """An error's status counts, whatever becomes of its body."""
    head = HEAD.replace(b"200 OK", b"429 Busy").replace(
        b"\r\n", b"\r\nRetry-After: 7\r\n", 1
    )
    upstream = await make_upstream([head, *body, 0.05, *rest])
    found = await failure(connect(upstream.url, waits=evolve(WAITS, error_body=0.2)))

    assert (type(found), found.status, found.retry_after) == (ProviderBusy, 429, 7.0)
    assert ("Slow d" in found.message) == bool(body)


async def test_compression_that_is_not_known_here(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """An answer in brotli, which we never ask for, is told as what it is."""
    upstream = await make_upstream(answers(200, headers=["Content-Encoding: br"]))
    found = await failure(connect(upstream.url))

    assert (type(found), found.phase) == (ProviderUnreachable, "first_token")
    assert found.message == "its answer is compressed in a way that can't be read"


async def test_error_that_can_not_be_read(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """An error's status counts, also where its body is compressed, say, in brotli."""
    upstream = await make_upstream(answers(429, headers=["Content-Encoding: br"]))
    found = await failure(connect(upstream.url))

    assert (type(found), found.status) == (ProviderBusy, 429)


async def test_html_error(make_upstream: MakeUpstream, connect: Connect) -> None:
    """A proxy's page of HTML is not repeated to clients."""
    page = b"\n<!DOCTYPE html><html>Bad Gateway</html>"
    upstream = await make_upstream(answers(502, raw=page))
    found = await failure(connect(upstream.url))

    assert found.message == "HTTP status 502 with a page of HTML"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 7", 7.0),
        ("retry-after-ms: 1500", 1.5),
        ("Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("X-Other: 7", None),
    ],
)
async def test_retry_after(
    header: str,
    seconds: float | None,
    status: int,
    make_upstream: MakeUpstream,
    connect: Connect,
) -> None:
    """How long an upstream wants to be left alone is known from its headers."""
    upstream = await make_upstream(answers(status, OVERLOADED, [header]))
    found = await failure(connect(upstream.url))

    assert (found.retry_after, found.upstream_code) == (seconds, "overloaded")


async def test_redirects_are_not_followed(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A redirect is a failure: neither the prompt nor the key goes where it leads."""
    other = await make_upstream(says("a"))
    header = f"Location: {other.url}/chat/completions"
    upstream = await make_upstream(answers(307, headers=[header]))
    found = await failure(connect(upstream.url, api_key=KEY))

    assert (type(found), found.status) == (ProviderFailed, 307)
    assert "redirects" in found.message
    assert other.connections == 0


@asynccontextmanager
async def greeting(greeting: bytes) -> AsyncIterator[int]:
    """Listen on a port as something that says *greeting* and is no HTTP server."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        with suppress(ConnectionError):
            await writer.drain()
            writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_refused_connection(connect: Connect) -> None:
    """A port where nobody listens is told from one that does not answer."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        found = await failure(connect(url))

    assert (type(found), found.phase) == (ProviderUnreachable, "connect")
    assert found.message == "no connection to it can be made"


async def test_connect_timeout(connect: Connect) -> None:
    """A host that takes no connection has connect_timeout, not more."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
        address = full.getsockname()
        with closing(socket.create_connection(address)):
            url = f"http://127.0.0.1:{address[1]}"
            found = await failure(connect(url, connect_timeout=0.2))

    assert (type(found), found.phase) == (ProviderTimeout, "connect")
    assert found.message == "no connection within 0.2 s"


async def test_no_tls(connect: Connect) -> None:
    """A host that speaks no TLS where TLS was asked for is named as that."""
    async with greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        found = await failure(connect(f"https://127.0.0.1:{port}/v1"))

    assert (type(found), found.phase) == (ProviderUnreachable, "connect")
    assert found.message == "no TLS connection to it can be made"


ECHOES: dict[str, list[Step]] = {
    "message": answers(401, {"error": {"message": f"Bad key: {KEY}."}}),
    "code": answers(401, {"error": {"message": "Bad key", "code": KEY}}),
    "type": answers(400, {"error": {"message": "Bad key", "type": f"no {KEY}"}}),
    "text": answers(403, raw=f"Bad key {KEY}, really".encode()),
    "frame": [HEAD, event({"error": {"message": f"Bad key {KEY}"}}), END],
    "frame later": [HEAD, A, 0.01, event({"error": f"Bad key {KEY}"}), END],
    "cut short": answers(400, {"error": {"message": "x" * 990 + KEY}}),
}


@pytest.mark.parametrize("script", ECHOES.values(), ids=ECHOES)
async def test_keys_are_not_repeated(
    script: list[Step], make_upstream: MakeUpstream, connect: Connect
) -> None:
    """No error says the provider's key, nor a part of it, if the upstream does."""
    upstream = await make_upstream(script)
    found = await failure(connect(upstream.url, api_key=KEY))

    assert KEY[:8] not in f"{found} {found.message} {found.upstream_code}"


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Api-Key", KEY), ("Authorization", f"Token {KEY}"), ("Cookie", f"key={KEY}")],
)
async def test_header_values_are_not_repeated(
    name: str, value: str, make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Nor a configured header's value, or the key within it."""
    upstream = await make_upstream(ECHOES["message"])
    found = await failure(connect(upstream.url, headers={name: value}))

    assert KEY not in found.message


async def test_secrets_stay_out_of_reprs(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Nor does an error's repr, which is what asyncio logs of a lost one."""
    upstream = await make_upstream(ECHOES["message"])
    found = await failure(connect(upstream.url, api_key=KEY))

    assert KEY not in repr(found)


async def test_secrets_of_a_model_list(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Nor does the error of a list of models."""
    upstream = await make_upstream()
    upstream.listing = answers(401, {"error": {"message": f"Bad key: {KEY}."}})
    with pytest.raises(ProviderDenied) as caught:
        await connect(upstream.url, api_key=KEY).list_models()

    assert caught.value.message == "Bad key: ***."


async def test_answer_that_comes_when_the_time_is_up(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """It is too late, also if both happen in one turn of the event loop."""
    upstream = await make_upstream()

    def late(_: Received) -> Script:
        time.sleep(0.2)  # in this event loop, so that the alarm has to wait, too
        return answers(200, COMPLETION)

    upstream.choose = late

    error = await failure(connect(upstream.url), first_token_timeout=0.1)

    assert (type(error), error.message) == (
        ProviderTimeout,
        "no answer within 0.1 s",
    )
