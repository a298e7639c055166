"""The transport, on real sockets: what is sent, and what arrives."""

import asyncio
import gc
import weakref
import zlib

import pytest
from attrs import evolve

from providers import ChatCall, ProviderError, chunks_of
from providers.dialects import Call
from providers.errors import ProviderFailed, ProviderProtocolError, ProviderUnreachable
from tests.conftest import MakeUpstream
from tests.rig.chat_calls import (
    COMPLETION,
    HELLO,
    KEY,
    OVERLOADED,
    STOP,
    A,
    failure,
    read,
    soon,
    start,
    text,
    token,
)
from tests.rig.upstream import (
    DONE,
    END,
    HEAD,
    ROLE,
    Step,
    answers,
    chunked,
    delta,
    event,
    says,
)

from .conftest import WAITS, Connect

BAD = chunked(b"data: {oops\n\n")
TICKING: list[Step] = [chunked(b": hm\n\n"), 0.02] * 200


async def test_query_of_the_base_url_goes_along(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Azure's `api-version` is in every call, behind the path that is asked for."""
    upstream = await make_upstream(says("a"))
    await read(connect(upstream.url + "?api-version=2024-10-21&x=a%2Bb", api_key=KEY))
    (request,) = upstream.requests

    assert request.path == "/v1/chat/completions?api-version=2024-10-21&x=a%2Bb"


async def test_what_is_sent(make_upstream: MakeUpstream, connect: Connect) -> None:
    """One POST goes to the base URL's path, with the key and the configured headers."""
    upstream = await make_upstream(says("a"))
    await read(connect(upstream.url + "/", api_key=KEY, headers={"X-Title": "t"}))
    (request,) = upstream.requests

    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json["model"] == "upstream-model"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["x-title"] == "t"
    assert request.headers["accept-encoding"] == "identity"


async def test_chunks_arrive_as_they_are_sent(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A token is given out before the upstream has sent the next; then all is over."""
    gate = asyncio.Event()
    upstream = await make_upstream(
        [HEAD, ROLE, A, gate, delta(content="b"), STOP, DONE, END]
    )
    stream = start(connect(upstream.url))

    assert await token(stream) == "a"
    gate.set()
    assert await token(stream) == "b"
    with pytest.raises(StopAsyncIteration):
        await token(stream)


@pytest.mark.parametrize(("stream", "first"), [(True, "a"), (False, "abc")])
async def test_first_token_does_not_wait_for_what_came_with_it(
    stream: bool, first: str, make_upstream: MakeUpstream, connect: Connect
) -> None:
    """It is given out before the rest is decoded, where somebody is to be shown it."""
    more = delta(content="b") + delta(content="c") + STOP + DONE
    upstream = await make_upstream([HEAD + ROLE + A + more, END])
    answer = start(connect(upstream.url), evolve(HELLO, stream=stream))

    assert await token(answer) == first
    rest = [text(chunks_of(pieces)) async for pieces in answer]
    assert "".join([first, *rest]) == "abc"


async def test_nothing_is_sent_before_the_first_read(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A stream that nobody reads costs no call, and may be closed."""
    upstream = await make_upstream(says("a"))
    start(connect(upstream.url)).close()

    assert await read(connect(upstream.url)) == "a"
    assert len(upstream.requests) == 1


async def test_whole_completion(make_upstream: MakeUpstream, connect: Connect) -> None:
    """An upstream that answers with a whole completion is understood too."""
    upstream = await make_upstream(answers(200, COMPLETION))

    assert await read(connect(upstream.url)) == "whole"


async def test_gzip(make_upstream: MakeUpstream, connect: Connect) -> None:
    """An answer compressed against our wish is read, token for token."""
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
    head = HEAD.replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1)
    upstream = await make_upstream(
        [head, chunked(first + packer.flush(zlib.Z_SYNC_FLUSH)), ...]
    )
    stream = start(connect(upstream.url))

    assert await token(stream) == "a"
    stream.close()


async def test_slow_reader(make_upstream: MakeUpstream, connect: Connect) -> None:
    """While the reader takes its time, the upstream is not what is silent."""
    gate = asyncio.Event()
    upstream = await make_upstream([HEAD, A, gate, delta(content="b"), STOP, DONE, END])
    stream = start(connect(upstream.url), idle_timeout=0.1)

    assert await token(stream) == "a"
    await asyncio.sleep(0.3)  # the reader's own time
    gate.set()
    assert await token(stream) == "b"
    stream.close()


async def test_tokens_keep_a_stream_alive(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Neither the idle nor the first token's time-out ends a stream that goes on."""
    script = [HEAD, *[A, 0.05] * 8, STOP, DONE, END]
    upstream = await make_upstream(script)
    said = await read(connect(upstream.url), idle_timeout=0.2, first_token_timeout=0.2)

    assert said == "a" * 8


@pytest.mark.parametrize(
    "rest",
    [
        [b""],
        [None],
        [chunked(b'data: {"usa'), b""],
        [BAD, ...],
        [event(OVERLOADED), ...],
        [chunked(b'data: {"usa'), ...],
        [...],
    ],
    ids=["cut", "reset", "cut event", "bad event", "error", "half an event", "silence"],
)
@pytest.mark.parametrize("pause", [[], [0.05]], ids=["at once", "later"])
async def test_breaks_after_the_end(
    rest: list[Step], pause: list[Step], make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Whatever breaks after the finish_reason takes nothing away."""
    first = HEAD + A + STOP
    if not pause and isinstance(rest[0], bytes):
        first, rest = first + rest[0], rest[1:]
    upstream = await make_upstream([first, *pause, *rest])

    assert await read(connect(upstream.url), idle_timeout=0.2) == "a"


async def test_last_words_take_no_longer_than_they_may(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Usage and [DONE] are waited for, but not for as long as a token would be."""
    upstream = await make_upstream([HEAD, A, STOP, *TICKING, ...])

    async with asyncio.timeout(3):
        assert (
            await read(connect(upstream.url, waits=evolve(WAITS, last_words=0.2)))
            == "a"
        )
    await soon(upstream.hung_up)


async def test_last_words_after_all_came_at_once(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """They have no more time where all was said in what came with the first token."""
    upstream = await make_upstream([HEAD + A + STOP, *TICKING, ...])
    provider = connect(upstream.url, waits=evolve(WAITS, last_words=0.2))

    async with asyncio.timeout(3):
        assert await read(provider) == "a"
    await soon(upstream.hung_up)


async def test_last_words_may_wait_for_a_slow_reader(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A reader who takes its time misses none of them."""
    gate = asyncio.Event()
    script = [HEAD, A, STOP, gate, event({"choices": [], "usage": {"total_tokens": 5}})]
    upstream = await make_upstream([*script, DONE, END])
    stream = start(connect(upstream.url, waits=evolve(WAITS, last_words=0.1)))
    assert await token(stream) == "a"
    await asyncio.sleep(0.3)  # the reader's own time
    gate.set()

    (last,) = chunks_of(await anext(stream))
    assert last.choices[0].finish_reason == "stop"
    assert last.usage is not None
    stream.close()


@pytest.mark.parametrize(
    ("bad", "error"),
    [(BAD, ProviderProtocolError), (event(OVERLOADED), ProviderFailed)],
    ids=["bad event", "error"],
)
async def test_what_comes_with_a_break_is_told_first(
    bad: bytes,
    error: type[ProviderError],
    make_upstream: MakeUpstream,
    connect: Connect,
) -> None:
    """A token that arrives together with a bad event comes before the failure."""
    gate = asyncio.Event()
    upstream = await make_upstream([HEAD, A, gate, delta(content="b") + bad, ...])
    stream = start(connect(upstream.url))

    assert await token(stream) == "a"
    gate.set()
    assert await token(stream) == "b"
    await soon(upstream.hung_up)
    with pytest.raises(error) as caught:
        await token(stream)
    assert caught.value.phase == "stream"


@pytest.mark.parametrize("bad", [BAD, event(OVERLOADED)], ids=["bad event", "error"])
async def test_what_is_broken_at_once_does_not_begin(
    bad: bytes, make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A first token that arrives together with a bad event would win, and fail then."""
    upstream = await make_upstream([HEAD + A + bad, ...])

    stream = start(connect(upstream.url))
    with pytest.raises(ProviderError) as caught:
        await token(stream)
    assert caught.value.phase == "first_token"


async def test_problem(make_upstream: MakeUpstream, connect: Connect) -> None:
    """A provider that has a problem says so, without a call."""
    upstream = await make_upstream(says("a"))
    found = await failure(connect(upstream.url, problem="its engine is starting"))

    assert (type(found), found.phase) == (ProviderUnreachable, "connect")
    assert found.message == "its engine is starting"
    assert upstream.connections == 0


async def test_cookies_are_not_kept(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """An upstream can't mark us: its cookies are not sent back."""
    upstream = await make_upstream(
        answers(200, COMPLETION, ["Set-Cookie: id=1; Path=/"])
    )
    provider = connect(upstream.url.replace("127.0.0.1", "localhost"))
    for _ in range(2):
        await read(provider)

    assert "cookie" not in upstream.requests[1].headers


def test_params(connect: Connect) -> None:
    """A provider that is known to have no tools has no fields for them."""
    every = connect("http://127.0.0.1:1").params()
    fewer = connect("http://127.0.0.1:1", capabilities=("chat", "json")).params()

    assert set(every) - set(fewer) == {"tools", "tool_choice", "parallel_tool_calls"}


async def test_heads_of_calls(connect: Connect) -> None:
    """A call goes to the provider's own host, and no header breaks out of its line."""
    provider = connect("http://a.test/v1", headers={"X-Mine": "1"}, api_key="k")
    head = provider.upstream.head(Call("chat?a=b c", b"12345", {"Accept": "x/y"}))

    assert head.startswith(b"POST /v1/chat?a=b+c HTTP/1.1\r\nHost: a.test\r\n")
    assert head.endswith(b"\r\nContent-Length: 5\r\n\r\n")
    assert b"\r\nAccept: x/y\r\n" in head
    assert b"\r\nX-Mine: 1\r\n" in head
    with pytest.raises(ValueError, match="itself"):
        provider.upstream.head(Call("https://b.test/chat"))
    with pytest.raises(ValueError, match="line break"):
        provider.upstream.head(Call("chat", headers={"X-Theirs": "1\r\nX-Key: 2"}))


async def test_error_that_nobody_reads(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A stream that can't be shown, to a reader that leaves just then, is let go."""
    gate = asyncio.Event()
    upstream = await make_upstream([HEAD, A, gate, delta(content="b"), ...])

    async def stream_is_read() -> None:
        raise AssertionError

    async def left() -> weakref.ref[ChatCall]:
        stream = start(connect(upstream.url))

        def show(_: object) -> bool:
            reading.cancel()
            raise ConnectionResetError

        assert await token(stream) == "a"
        reading = asyncio.ensure_future(stream.pour(show, stream_is_read))
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await reading
        stream.close()
        return weakref.ref(stream)

    gc.disable()
    try:
        kept = await left()
        await soon(upstream.hung_up)
        assert kept() is None
    finally:
        gc.enable()
