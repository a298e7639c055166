"""What clients that nobody knows can hold up, and for how long."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack, suppress
from time import perf_counter
from typing import Any

import pytest

from tests.conftest import MakeUpstream, Serve, StartServer
from tests.rig.client import CHAT, client, hello
from tests.rig.procfs import resident
from tests.rig.raw_client import RawClient, raw_client
from tests.rig.upstream import says

from .test_requests import assert_error, key

HEAD = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
CHAT_HEAD = HEAD % (CHAT.encode(), 1000)
SOON = "[server]\nheader_timeout = 0.4\nbody_timeout = 0.4"
MIB = 1024 * 1024


async def answered(client: RawClient) -> tuple[int, Any]:
    """Read what comes until the server hangs up; return its status and its error."""
    async with asyncio.timeout(10):
        head, _, body = (await client.to_the_end()).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
async def test_head_that_does_not_come_to_its_end_is_refused(
    start_server: StartServer, path: str
) -> None:
    """It is told so in the API's shape, though nobody knows what was to be asked."""
    server = await start_server(SOON)

    async with raw_client(server.url) as client:
        await client.send(HEAD % (path.encode(), 1000))
        status, error = await answered(client)

    assert status == 408
    assert "head" in error["message"]
    await server.logged("status=408 .*code=request_timeout")


async def test_connection_on_which_nothing_is_asked_is_closed(
    start_server: StartServer,
) -> None:
    """It gets no answer: nothing was asked."""
    server = await start_server(SOON)

    async with raw_client(server.url) as client, asyncio.timeout(5):
        assert await client.to_the_end() == b""


async def drip(client: RawClient, piece: bytes) -> None:
    while True:
        await client.send(piece)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("drips", [False, True])
@pytest.mark.parametrize("path", [CHAT, "/v1/audio/transcriptions"])
@pytest.mark.parametrize("coding", [b"", b"Content-Encoding: gzip\r\n"])
async def test_body_that_does_not_come_on_is_refused(
    start_server: StartServer, path: str, coding: bytes, *, drips: bool
) -> None:
    """Half a body, and one that drips, are a 408; the connection is given up."""
    server = await start_server(SOON)

    async with raw_client(server.url) as client, asyncio.TaskGroup() as group:
        await client.send(HEAD % (path.encode(), 10_000_000) + coding + b"\r\n{")
        dripping = group.create_task(drip(client, b" ")) if drips else None
        status, error = await answered(client)
        if dripping is not None:
            dripping.cancel()

    assert (status, error["code"]) == (408, "request_timeout")


async def test_slow_body_that_comes_on_is_taken(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """However long it takes all in all."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(upstream.table("One"), SOON)
    body = json.dumps(hello("One") | {"user": "x" * 2000}).encode()

    async with raw_client(server.url) as client:
        await client.send(HEAD % (CHAT.encode(), len(body)) + b"\r\n")
        for at in range(0, len(body), 100):
            await client.send(body[at : at + 100])
            await asyncio.sleep(0.06)
        await client.until(rb"HTTP/1.1 200 OK")


async def test_body_is_waited_for_only_while_it_comes(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """The time-outs have nothing to say of how long an answer takes."""
    upstream = await make_upstream([1.5, *says("Hi")])
    server = await start_server(upstream.table("One"), SOON)

    async with raw_client(server.url) as client:
        await client.ask(hello("One"))
        await client.until(rb"HTTP/1.1 200 OK")


async def test_half_sent_bodies_are_bounded_together(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Twenty of 16 MB are not held: those past the bound are refused, others served."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(upstream.table("One"))
    before = resident(server.process.pid)
    half = b"{" + b" " * (15 * MIB)

    async def send(client: RawClient) -> None:
        await client.send(HEAD % (CHAT.encode(), 16 * MIB) + b"\r\n")
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(5):
                await client.send(half)

    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(raw_client(server.url)) for _ in range(20)
        ]
        await asyncio.gather(*map(send, clients))
        await server.logged("status=503 .*code=server_busy", times=18)
        async with raw_client(server.url) as small:
            await small.ask(hello("One"))
            await small.until(rb"HTTP/1.1 200 OK")
        grown = resident(server.process.pid) - before

    assert grown < 100 * 1024


async def test_more_connections_than_there_may_be_are_turned_away(
    start_server: StartServer,
) -> None:
    """They get a 503 at once; those before them are served; the log counts them."""
    server = await start_server("[server]\nmax_connections = 20")

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(raw_client(server.url))
        for _ in range(19):
            await stack.enter_async_context(raw_client(server.url))
        await first.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await first.until(b"200 OK")
        for _ in range(50):
            async with raw_client(server.url) as late:
                await late.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                status, error = await answered(late)
                assert (status, error["code"]) == (503, "server_busy")
    await server.logged("connections refused")
    assert sum("connections refused" in line for line in server.log) <= 4

    async with raw_client(server.url) as later:
        await later.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await later.until(b" 200 OK|503")


async def test_address_that_sends_wrong_keys_is_slowed_down(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """The right key is answered at once all the while, from the same address."""
    upstream = await make_upstream(says("Hi"))
    client = await serve(upstream.table("One"), key("k"))
    wrong, right = ({"Authorization": f"Bearer {k}"} for k in ("wrong", "k-key"))

    began = perf_counter()
    for _ in range(10):
        assert_error(
            await client.request("POST", CHAT, json=hello("One"), headers=wrong),
            401,
            "invalid_api_key",
            None,
        )
    quick = perf_counter() - began
    began = perf_counter()
    for _ in range(5):
        await client.request("POST", CHAT, json=hello("One"), headers=wrong)
    slow = perf_counter() - began
    began = perf_counter()
    known = await client.request("POST", CHAT, json=hello("One"), headers=right)
    assert known.status == 200

    assert quick < 1 < slow
    assert perf_counter() - began < 0.5


async def test_lack_of_descriptors_is_nobodys_failure(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Who can't be called for it is none the worse, and the log is not filled by it."""
    upstream = await make_upstream([0.3, *says("Hi")])
    few = ("sh", "-c", 'ulimit -n 48; exec "$0" -m server "$@"', sys.executable)
    server = await start_server(upstream.table("One"), command=few)

    async with client(server.url) as asked, AsyncExitStack() as stack:
        asks = [await stack.enter_async_context(client(server.url)) for _ in range(6)]
        for each in (asked, *asks):
            await each.get("/healthz")
        for _ in range(100):
            await stack.enter_async_context(raw_client(server.url))
        told = await asyncio.gather(*(each.chat("One") for each in asks))

    # One connection to it was there already.
    failed = [each.error["providers"][0] for each in told if each.status != 200]
    assert len(failed) > 3
    assert all("descriptors" in each["message"] for each in failed)
    assert not any("provider rests" in line for line in server.log)
    assert len(server.log) < 20


async def test_no_descriptors_are_left(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """
    More connections than the system gives descriptors: that is told once a second at
    most, no provider is blamed, and all is well when some are free again.
    """
    upstream = await make_upstream(says("Hi"))
    run = 'ulimit -n 64; exec "$0" -m server "$@"'
    command = ("sh", "-c", run, sys.executable)
    server = await start_server(upstream.table("One"), command=command)
    began = asyncio.get_running_loop().time()

    async with AsyncExitStack() as opened:
        for _ in range(80):
            await opened.enter_async_context(raw_client(server.url))
        await server.logged("connections refused.*no file descriptors", times=2)
    seconds = asyncio.get_running_loop().time() - began

    async with asyncio.timeout(10), client(server.url) as me:
        while (await me.get("/healthz")).status != 200:
            pass
        assert (await me.chat("One")).said == "Hi"
        stats = (await me.get("/v1/providers/One")).json["stats"]
    assert stats["failures"] == 0
    assert sum("refused" in line for line in server.log) <= seconds + 2
    assert not any("Traceback" in line for line in server.log)
