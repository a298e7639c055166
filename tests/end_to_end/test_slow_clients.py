"""Clients that read slowly, or no longer, on a real server process."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import frames, hello, text
from tests.rig.endless_upstream import Endless, endless
from tests.rig.raw_client import RawClient, raw_client, unchunked
from tests.rig.resources import footprint, settled, used
from tests.rig.server_process import Server
from tests.rig.upstream import says

# So little of an answer waits in the kernel for a client that does not read.
RECEIVE_BUFFER = 4096
# What one client that does not read may cost of the server's memory, in KiB.
EACH = 2 * 1024
WATCHED = "tests.rig.leak_watch"


@pytest.fixture
async def counting(stack: AsyncExitStack) -> Endless:
    return await stack.enter_async_context(endless())


@asynccontextmanager
async def not_reading(
    server: Server, provider: str = "One", *, stream: bool = True, **more: object
) -> AsyncIterator[RawClient]:
    """Ask a provider, and read nothing."""
    async with raw_client(server.url, RECEIVE_BUFFER) as me:
        await me.ask(hello(provider, stream=stream, **more))
        yield me


async def test_client_that_does_not_read_stops_the_upstream_and_costs_little(
    start_server: StartServer, make_upstream: MakeUpstream, counting: Endless
) -> None:
    """
    An endless answer for a client that reads nothing is pushed back to its upstream,
    and the server's memory grows by a few buffers a client, no more.
    """
    warm, clients = await make_upstream(says("Hi")), 5
    counting.width = 8  # what is made of an event counts, not what is in it
    server = await start_server(
        counting.table("One"), warm.table("Warm"), module=WATCHED
    )
    unused = await used(server, warm, counting)

    async with AsyncExitStack() as stack:
        for _ in range(clients):
            await stack.enter_async_context(not_reading(server))
        for _ in range(clients):
            async with asyncio.timeout(30):
                await counting.stuck.get()
        full = await footprint(server)

    assert full.rss - unused.rss < clients * EACH
    for _ in range(clients):
        async with asyncio.timeout(5):
            await counting.hung_up.get()
    await settled(server, unused)


async def test_slow_client_gets_everything_in_order(
    start_server: StartServer, counting: Endless
) -> None:
    """What was held back comes as soon as the client reads on, to the last token."""
    server = await start_server(counting.table("One"))

    async with not_reading(server) as me:
        async with asyncio.timeout(30):
            said = await counting.stuck.get()
        counting.enough.set()
        await me.until(rb"\[DONE\]\s+0\r\n\r\n$")

    events = frames(unchunked(bytes(me.received).partition(b"\r\n\r\n")[2]))
    numbers = [int(number) for number in text(events).split()]
    assert numbers == list(range(said))
    assert events[-1] == "[DONE]"


async def test_client_that_stops_reading_is_dropped(
    start_server: StartServer, make_upstream: MakeUpstream, counting: Endless
) -> None:
    """
    Nobody waits for ever for a client that takes nothing: not in the middle of a
    stream, not at the end of one, not with an answer that is not streamed. Whoever
    spoke to it is hung up on, and nothing is left.
    """
    warm = await make_upstream(says("Hi"))
    short = await make_upstream(says("x" * 60_000))
    long = await make_upstream(says(*["x" * 1_000_000] * 8))
    server = await start_server(
        *(counting.table("One"), short.table("Short"), long.table("Long")),
        warm.table("Warm"),
        module=WATCHED,
        environ={"SEND_TIMEOUT": "1"},
    )
    unused = await used(server, warm, counting, short, long)

    async with (
        not_reading(server),
        not_reading(server, "Short"),
        not_reading(server, "Long", stream=False),
    ):
        async with asyncio.timeout(30):
            await counting.stuck.get()
        async with asyncio.timeout(5):
            await counting.hung_up.get()
        await asyncio.gather(short.stop(), long.stop())  # connections that are kept
        await settled(server, unused)


@pytest.mark.parametrize("ended_by", ["total_timeout", "deadline"])
async def test_time_is_up_whether_the_client_reads_or_not(
    start_server: StartServer, counting: Endless, ended_by: str
) -> None:
    """
    The race's total_timeout and the client's deadline hang up on an upstream while its
    client reads nothing; who reads on then is told, after all that was said before.
    """
    limits = "[race]\ntotal_timeout = 1.0" if ended_by == "total_timeout" else ""
    server = await start_server(counting.table("One"), limits)
    own = None if limits else {"deadline": 1.0}

    async with not_reading(server, race=own) as me:
        async with asyncio.timeout(10):
            await counting.hung_up.get()
        await me.until(rb"\r\n0\r\n\r\n$")  # the end of the answer

    *said, last = frames(unchunked(bytes(me.received).partition(b"\r\n\r\n")[2]))
    numbers = [int(number) for number in text(said).split()]
    assert numbers == list(range(len(numbers)))
    code = "stream_interrupted" if limits else "deadline_exceeded"
    assert last["error"]["code"] == code


async def test_client_that_does_not_read_does_not_keep_the_server_up(
    start_server: StartServer, counting: Endless
) -> None:
    """A server that stops cuts off who does not take the rest of an answer."""
    settings = "[server]\nshutdown_timeout = 0.1"
    server = await start_server(settings, counting.table("One"))

    async with not_reading(server):
        async with asyncio.timeout(30):
            await counting.stuck.get()
        server.signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            await counting.hung_up.get()
            assert await server.process.wait() == 0
