"""Clients that leave, at every point of a request: nothing of it is left behind."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Any

import pytest

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT, hello
from tests.rig.endless_upstream import endless
from tests.rig.raw_client import LEAVINGS, Leaving, RawClient, raw_client
from tests.rig.resources import connected, settled, used
from tests.rig.server_process import Server
from tests.rig.upstream import HEAD, ROLE, Step, answers, delta, says

WATCHED = "tests.rig.leak_watch"
STREAMED, WHOLE = (True,), (False,)
Leavers = list[tuple[RawClient, Leaving]]


@asynccontextmanager
async def asking(
    server: Server,
    provider: str,
    streams: tuple[bool, ...] = (True, False),
    receive_buffer: int | None = None,
    **more: object,
) -> AsyncIterator[Leavers]:
    """Ask, streamed and not, once for each way to leave."""
    async with AsyncExitStack() as stack:
        leavers: Leavers = []
        for stream in streams:
            for how in LEAVINGS:
                made = raw_client(server.url, receive_buffer)
                me = await stack.enter_async_context(made)
                await me.ask(hello(provider, stream=stream, **more))
                leavers.append((me, how))
        yield leavers


def leave(leavers: Leavers) -> None:
    for me, how in leavers:
        me.leave(how)


async def got(queue: asyncio.Queue[Any], times: int) -> None:
    async with asyncio.timeout(10):
        for _ in range(times):
            await queue.get()


async def test_before_the_request_is_whole(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Connected, in the middle of a head, in the middle of a body."""
    warm = await make_upstream(says("Hi"))
    server = await start_server(warm.table("Warm"), module=WATCHED)
    unused = await used(server, warm)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"

    async with AsyncExitStack() as stack:
        leavers: Leavers = []
        for said in ("", head, f'{head}\r\n{{"model":'):
            for how in LEAVINGS:
                me = await stack.enter_async_context(raw_client(server.url))
                await me.send(said.encode())
                leavers.append((me, how))
        await connected(server, len(leavers))
        leave(leavers)
        await settled(server, unused)


async def test_while_racers_connect(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """The upstream's machine does not answer at all."""
    warm = await make_upstream(says("Hi"))
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        far = f'[providers.Far]\nkind = "openai"\nbase_url = "{url}"'
        server = await start_server(warm.table("Warm"), far, module=WATCHED)
        unused = await used(server, warm)
        # Who comes when this queue is full gets no answer.
        silent.listen(0)
        async with raw_client(url), asking(server, "Far") as leavers:
            await connected(server, 2 * len(leavers))
            leave(leavers)
            await settled(server, unused)


async def test_while_a_racer_takes_the_request(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """An upstream that reads no request can't hold on to one that nobody waits for."""
    warm = await make_upstream(says("Hi"))
    asked = asyncio.Queue[None]()
    over = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readline()).startswith(b"GET"):
            writer.writelines(s for s in answers(404, {}) if isinstance(s, bytes))
        else:
            asked.put_nowait(None)
            await over.wait()
        writer.close()

    async with await asyncio.start_server(deaf, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        table = f'[providers.Deaf]\nkind = "openai"\nbase_url = "{url}"'
        server = await start_server(warm.table("Warm"), table, module=WATCHED)
        unused = await used(server, warm)
        messages = [{"role": "user", "content": "x" * 8_000_000}]
        async with asking(server, "Deaf", STREAMED, messages=messages) as leavers:
            await got(asked, len(leavers))
            leave(leavers)
            try:
                await settled(server, unused)
            finally:
                over.set()


@pytest.mark.parametrize(
    "script",
    [[...], [HEAD, ...], [HEAD, ROLE, ...]],
    ids=["headers", "anything", "a token"],
)
async def test_while_all_racers_are_waited_for(
    start_server: StartServer, make_upstream: MakeUpstream, script: list[Step]
) -> None:
    """Headers are held still: all racers are hung up on, and nothing is left."""
    warm = await make_upstream(says("Hi"))
    a, b = await make_upstream(script), await make_upstream(script)
    server = await start_server(
        warm.table("Warm"), a.table("A"), b.table("B"), module=WATCHED
    )
    unused = await used(server, warm, a, b)

    async with asking(server, "A B") as leavers:
        await asyncio.gather(*(got(each.arrived, len(leavers)) for each in (a, b)))
        leave(leavers)
        await asyncio.gather(*(got(each.hung_up, len(leavers)) for each in (a, b)))
        await settled(server, unused)


async def test_while_a_task_is_done(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """What is no chat is raced, too, and given up as soon."""
    warm, silent = await make_upstream(says("Hi")), await make_upstream([...])
    server = await start_server(
        warm.table("Warm"), silent.table("Silent"), module=WATCHED
    )
    unused = await used(server, warm, silent)
    tasks = {
        "embeddings": {"model": "m", "input": "x"},
        "audio/speech": {"model": "m", "input": "x", "voice": "v"},
    }

    async with AsyncExitStack() as stack:
        leavers: Leavers = []
        for path, body in tasks.items():
            for how in LEAVINGS:
                me = await stack.enter_async_context(raw_client(server.url))
                await me.ask({**body, "provider": "Silent"}, f"/v1/{path}")
                leavers.append((me, how))
        await got(silent.arrived, len(leavers))
        leave(leavers)
        await got(silent.hung_up, len(leavers))
        await settled(server, unused)


async def test_while_pings_come(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """The 200 is out, there is no winner yet."""
    warm, silent = await make_upstream(says("Hi")), await make_upstream([HEAD, ...])
    settings = "[server]\nheader_hold = 0.1\nping_interval = 0.1"
    server = await start_server(
        settings, warm.table("Warm"), silent.table("Silent"), module=WATCHED
    )
    unused = await used(server, warm, silent)

    async with asking(server, "Silent", STREAMED) as leavers:
        for me, _ in leavers:
            await me.until(b": ping\n")
        leave(leavers)
        await got(silent.hung_up, len(leavers))
        await settled(server, unused)


async def test_in_the_middle_of_an_answer(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """The winner speaks, to the client or into an answer that is not streamed."""
    warm = await make_upstream(says("Hi"))
    speaks = await make_upstream([HEAD, delta(content="Hel"), ...])
    server = await start_server(
        warm.table("Warm"), speaks.table("Speaks"), module=WATCHED
    )
    unused = await used(server, warm, speaks)

    async with asking(server, "Speaks") as leavers:
        await got(speaks.arrived, len(leavers))
        for me, _ in leavers[: len(LEAVINGS)]:
            await me.until(b"Hel")
        leave(leavers)
        await got(speaks.hung_up, len(leavers))
        await settled(server, unused)


async def test_while_the_server_waits_for_them(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """
    They do not read a stream without end, or the whole of a large answer. One that
    half-closes its connection then still could, and is given time for that.
    """
    warm = await make_upstream(says("Hi"))
    long = await make_upstream(says(*["x" * 1_000_000] * 8))
    async with endless() as counting:
        server = await start_server(
            *(warm.table("Warm"), counting.table("Endless"), long.table("Long")),
            module=WATCHED,
            environ={"SEND_TIMEOUT": "1"},
        )
        unused = await used(server, warm, counting, long)
        async with (
            asking(server, "Endless", STREAMED, receive_buffer=4096) as streams,
            asking(server, "Long", WHOLE, receive_buffer=4096) as answers,
        ):
            await got(counting.stuck, len(streams))
            for me, _ in answers:
                await me.until(b"xxx")
            leave([*streams, *answers])
            await got(counting.hung_up, len(streams))
            await long.stop()
            await settled(server, unused)


async def test_to_leave_is_no_error(start_server: StartServer) -> None:
    """A write to a client that is leaving ends its answer, and logs no traceback."""
    async with endless() as counting:
        server = await start_server(counting.table("Endless"))
        async with raw_client(server.url, receive_buffer=4096) as me:
            await me.ask(hello("Endless", stream=True))
            await got(counting.stuck, 1)
            me.leave("half-close")
            await me.to_the_end()  # lets the server write again, who knows by then
            await got(counting.hung_up, 1)

        await server.logged("request .* status=499")
    assert not [line for line in server.log if "Error" in line or "Traceback" in line]
