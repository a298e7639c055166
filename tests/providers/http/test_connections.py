"""The transport's connections: when they are used again, and who hangs up."""

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from yarl import URL

from providers import ChatCall, Chunk, Provider, ProviderError
from providers.errors import ProviderUnreachable
from providers.http.addresses import proxy_from_environment
from providers.upstream import Waits
from tests.conftest import MakeUpstream
from tests.providers.conftest import Connect
from tests.rig.chat_calls import STOP, A, failure, read, soon, start, token
from tests.rig.upstream import DONE, END, HEAD, ROLE, Step, Upstream, answers, says


def whole(*words: str) -> list[Step]:
    """Return the script of a good answer that arrives in one piece."""
    return [b"".join(step for step in says(*words) if isinstance(step, bytes))]


async def test_connection_is_used_again(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """After a complete answer its connection serves the next call."""
    upstream = await make_upstream(whole("a"))
    provider = connect(upstream.url)

    assert [await read(provider) for _ in range(3)] == ["a", "a", "a"]
    assert upstream.connections == 1


async def test_connection_may_end_its_answer_late(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """`[DONE]` ends a stream, but not the connection, whose body ends a bit later."""
    gate = asyncio.Event()
    upstream, other = await make_upstream(whole("b")), await make_upstream(whole("c"))
    upstream.scripts = [[HEAD + A + STOP + DONE, gate, END]]
    provider = connect(upstream.url, waits=Waits(linger=10.0))

    assert await read(provider) == "a"
    gate.set()
    assert await read(connect(other.url)) == "c"  # by then, the end has come
    assert await read(provider) == "b"
    assert upstream.connections == 1


async def test_little_is_taken_in_at_once(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """However much has come, no more of it is made chunks of than a client may want."""
    upstream = await make_upstream([HEAD + A * 20_000 + STOP + DONE + END])

    stream = start(connect(upstream.url))
    sizes = [sum(p.count for p in pieces) async for pieces in stream]

    assert sum(sizes) == 20_001
    assert max(sizes) < 500


async def test_calls_share_no_connection(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Calls at the same time have a connection each: none waits for another."""
    upstream = await make_upstream([HEAD, A, ...])
    streams = [start(connect(upstream.url)) for _ in range(120)]

    assert await asyncio.gather(*map(token, streams)) == ["a"] * 120
    assert upstream.connections == 120
    for stream in streams:
        stream.close()


async def test_spare_connections(make_upstream: MakeUpstream, connect: Connect) -> None:
    """Who was cut off finds a connection that is open already the next time."""
    upstream = await make_upstream(says("b"))
    upstream.scripts = [[HEAD, A, ...]]
    provider = connect(upstream.url)
    stream = start(provider)
    await token(stream)

    stream.cut_off()
    await soon(upstream.hung_up)
    async with asyncio.timeout(5):
        while not upstream.idle:  # noqa: ASYNC110 - it comes by itself
            await asyncio.sleep(0.01)

    assert await read(provider) == "b"
    assert upstream.connections == 2


async def test_no_spare_connection(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Who was not asked yet, or has failed, gets no connection for the next race."""
    upstream = await make_upstream([HEAD, A, b""])
    provider = connect(upstream.url)
    start(provider).cut_off()
    stream = start(provider)
    with suppress(ProviderError):
        await token(stream)
        await token(stream)
    stream.cut_off()
    await asyncio.sleep(0.05)  # nothing comes

    assert upstream.connections == 1


async def test_upstream_that_never_ends(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """After `[DONE]` a stream is over, and its connection soon, come what may."""
    upstream = await make_upstream([*says("a")[:-1], ...])

    assert await read(connect(upstream.url, waits=Waits(linger=0.05))) == "a"
    await soon(upstream.hung_up)


@pytest.mark.parametrize("stale", [[], [None]], ids=["closed", "reset"])
async def test_stale_connections(
    stale: list[Step], make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Kept connections that are dead when they are used again cost no answer."""
    upstream = await make_upstream(says("b"))
    upstream.scripts = [whole("a"), whole("a"), stale, stale]
    provider = connect(upstream.url)
    await asyncio.gather(read(provider), read(provider))

    assert upstream.connections == 2
    assert await read(provider) == "b"
    assert upstream.connections == 3
    assert len(upstream.requests) == 5


async def test_close_after_keep_alive(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """An upstream may close after an answer for which it announced keep-alive."""
    upstream = await make_upstream([*whole("a"), b""])
    provider = connect(upstream.url)

    assert [await read(provider) for _ in range(5)] == ["a"] * 5


@pytest.mark.parametrize("bad", [[], [None]], ids=["closed", "reset"])
async def test_upstream_that_hangs_up_on_every_call(
    bad: list[Step], make_upstream: MakeUpstream, connect: Connect
) -> None:
    """It does not get a call as often as there are kept connections to it."""
    upstream = await make_upstream(bad)
    upstream.scripts = [whole("a")] * 20
    provider = connect(upstream.url)
    await asyncio.gather(*(read(provider) for _ in range(20)))
    assert upstream.connections == 20

    found = await failure(provider)

    assert type(found) is ProviderUnreachable
    assert len(upstream.requests) == 20 + 3


async def test_no_second_try_after_a_while(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A kept connection that breaks later was not dead: the call was worked on."""
    upstream = await make_upstream()
    upstream.scripts = [whole("a"), [0.2]]
    provider = connect(upstream.url, waits=Waits(linger=0.0, stale=0.1))
    await read(provider)
    await failure(provider)

    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "scripts",
    [[[]], [[None]], [whole("a"), [HEAD, b""]], [whole("a"), [HEAD[:40], b""]]],
    ids=["fresh, closed", "fresh, reset", "kept, cut", "kept, cut in the headers"],
)
async def test_no_second_try(
    scripts: list[list[Step]], make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A call that the upstream may have worked on is never sent twice."""
    upstream = await make_upstream(says("b"))
    upstream.scripts = list(scripts)
    provider = connect(upstream.url)
    for _ in scripts[1:]:
        await read(provider)
    found = await failure(provider)

    assert type(found) is ProviderUnreachable
    assert len(upstream.requests) == len(scripts)


PENDING: dict[str, list[Step]] = {
    "headers": [...],
    "first_token": [HEAD, ROLE, ...],
    "stream": [HEAD, A, ...],
}


async def test_streams_that_were_too_slow_are_forgotten(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A time-out keeps nothing of its stream: not in aiohttp's exceptions either."""
    upstream = await make_upstream([HEAD, ROLE, ...])
    stream = start(connect(upstream.url), first_token_timeout=0.05)
    with suppress(ProviderError):
        await token(stream)

    kept = weakref.ref(stream)
    del stream
    await soon(upstream.hung_up)
    gc.collect()

    assert kept() is None


@asynccontextmanager
async def reading(stream: ChatCall) -> AsyncIterator[asyncio.Task[Any]]:
    """Read from *stream* in a task, which is waiting when the block begins."""
    task = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def pending(
    phase: str, upstream: Upstream, provider: Provider
) -> AsyncIterator[tuple[ChatCall, asyncio.Task[list[Chunk]]]]:
    """Begin a call, and a read of it that waits in *phase*."""
    stream = start(provider)
    if phase == "stream":
        await token(stream)
    elif phase == "first_token":
        await anext(stream)
    async with reading(stream) as task:
        await soon(upstream.arrived)
        assert not task.done()
        assert stream.phase == phase
        yield stream, task


@pytest.mark.parametrize(("phase", "script"), PENDING.items(), ids=PENDING)
async def test_close_hangs_up(
    phase: str, script: list[Step], make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Closing hangs up at once, also under a reader, which is told so."""
    upstream = await make_upstream(script)
    async with pending(phase, upstream, connect(upstream.url)) as (stream, task):
        stream.close()
        await soon(upstream.hung_up)
        with pytest.raises(ProviderError):
            await task


@pytest.mark.parametrize(("phase", "script"), PENDING.items(), ids=PENDING)
async def test_close_again(
    phase: str, script: list[Step], make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Closing again does no harm, however far the first closing has come."""
    upstream = await make_upstream(script)
    async with pending(phase, upstream, connect(upstream.url)) as (stream, task):
        while not task.done():
            stream.close()
            await asyncio.sleep(0)
        stream.close()
        await soon(upstream.hung_up)
        assert isinstance(task.exception(), ProviderError)


async def test_close_as_time_is_up(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Closing does no harm when the time-out has struck and nobody has noticed yet."""
    upstream = await make_upstream([...])
    stream = start(connect(upstream.url), first_token_timeout=0.1)
    loop = asyncio.get_running_loop()
    failures: list[object] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    async with reading(stream) as task:
        await soon(upstream.arrived)
        loop.call_later(0.11, stream.close)
        time.sleep(0.2)  # noqa: ASYNC251 - so that both are due in one turn of the loop
        await asyncio.wait([task])

    assert failures == []
    assert isinstance(task.exception(), ProviderError)


@pytest.mark.parametrize(("phase", "script"), PENDING.items(), ids=PENDING)
async def test_cancellation_hangs_up(
    phase: str, script: list[Step], make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A reader that is cancelled hangs up at once."""
    upstream = await make_upstream(script)
    async with pending(phase, upstream, connect(upstream.url)) as (_, task):
        task.cancel()
        await soon(upstream.hung_up)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_close_between_reads(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Closing a stream that nobody reads just now hangs up too; twice does no harm."""
    upstream = await make_upstream([HEAD, A, ...])
    stream = start(connect(upstream.url))
    await token(stream)
    stream.close()
    stream.close()

    await soon(upstream.hung_up)


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("http://a.test/v1", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("https://a.test/v1", {"http_proxy": "http://p:1"}, None),
        ("https://a.test/v1", {"HTTPS_PROXY": "http://p:2"}, "http://p:2"),
        ("https://a.test/v1", {"all_proxy": "http://p:3"}, "http://p:3"),
        ("http://a.test/v1", {"all_proxy": "http://p:3", "no_proxy": "a.test"}, None),
        ("http://b.a.test", {"all_proxy": "http://p:3", "NO_PROXY": ".a.test"}, None),
        ("http://a.test/v1", {"all_proxy": "http://p:3", "no_proxy": "*"}, None),
        ("http://localhost:1", {"all_proxy": "http://p:3"}, None),
        ("http://127.0.0.2:1", {"all_proxy": "http://p:3"}, None),
        ("http://[::1]:1", {"all_proxy": "http://p:3"}, None),
        ("http://a.test/v1", {}, None),
        ("http://a.test/v1", {"http_proxy": "p:1"}, "http://p:1"),
    ],
)
def test_proxy_from_environment(
    url: str,
    environ: dict[str, str],
    proxy: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The proxy is the one that the environment names for a URL; none on loopback."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert proxy_from_environment(URL(url)) == proxy


async def test_proxy_is_used(
    make_upstream: MakeUpstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call goes through the environment's proxy, with the provider's URL."""
    upstream = await make_upstream(says("a"))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{upstream.port}")

    assert await read(connect("http://provider.test/v1")) == "a"
    (request,) = upstream.requests
    assert request.path == "http://provider.test/v1/chat/completions"
    assert request.headers["host"] == "provider.test"


async def test_proxy_is_not_for_loopback(
    make_upstream: MakeUpstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upstream on this machine is called without the environment's proxy."""
    proxy = await make_upstream(says("proxy"))
    upstream = await make_upstream(says("a"))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")

    assert await read(connect(upstream.url)) == "a"
    assert proxy.connections == 0


async def test_proxy_that_refuses(
    make_upstream: MakeUpstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that lets nothing through is named as what failed."""
    proxy = await make_upstream(answers(403, headers=["Connection: close"]))
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    found = await failure(connect("https://provider.test/v1"))

    assert [request.method for request in proxy.requests] == ["CONNECT"]
    assert (type(found), found.phase) == (ProviderUnreachable, "connect")
    assert found.message == "the proxy to it can't be used"
