"""Several servers before which a balancer stands, with a Redis that they share."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attrs import frozen
from redis.asyncio import Redis

from tests.conftest import MakeUpstream
from tests.rig.balancer import balancer
from tests.rig.client import CHAT, Answer, client, hello
from tests.rig.keys import ask, auth, bearer
from tests.rig.procfs import children
from tests.rig.redis_server import RedisServer, redis_server
from tests.rig.server_process import Server, running
from tests.rig.upstream import DONE, END, HEAD, ROLE, Upstream, delta, says

TEAM = "sk-team"
REPLICAS = WORKERS = 2
# More than a request waits for Redis, on a machine with other work to do.
AT_ONCE = 1.0


@frozen
class Site:
    """The servers, what they share, and the URL of what stands before them."""

    servers: list[Server]
    redis: RedisServer
    url: str


@asynccontextmanager
async def site(
    folder: Path, tables: Iterable[str], state: str = ""
) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(folder))
        shared = f'[state]\nurl = "{redis.url}"\n{state}'
        servers = []
        for number in range(REPLICAS):
            config = folder / f"replica-{number}.toml"
            text = "\n".join([shared, *tables])
            started = running(config, text, "--workers", str(WORKERS))
            servers.append(await stack.enter_async_context(started))
        for server in servers:
            await server.logged("serving", times=WORKERS)
        urls = [server.url for server in servers]
        yield Site(
            servers, redis, await stack.enter_async_context(balancer(folder, urls))
        )


async def burst(url: str, number: int) -> list[Answer]:
    async def one() -> Answer:
        async with client(url) as me:
            return await ask(me, TEAM)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(number)]
    return [task.result() for task in tasks]


def admitted(answers: list[Answer]) -> int:
    assert {answer.status for answer in answers} <= {200, 429}
    return sum(answer.status == 200 for answer in answers)


async def readiness(url: str) -> Any:
    async with client(url) as me:
        return (await me.get("/readyz")).json


async def becomes(url: str, state: str) -> None:
    """Wait until a server says that of what is shared."""
    async with asyncio.timeout(20):
        while (await readiness(url)).get("state") != state:
            pass


async def test_limits_hold_exactly_across_machines(
    tmp_path: Path, make_upstream: MakeUpstream
) -> None:
    """Of a hundred at once, before four workers of two machines, thirty get in."""
    upstream = await make_upstream(says("Hi"))
    keys = auth(team="requests_per_minute = 30")
    async with site(tmp_path, [keys, upstream.table("One")]) as here:
        assert admitted(await burst(here.url, 100)) == 30
        assert len(upstream.requests) == 30
        for server in here.servers:
            assert (await readiness(server.url))["state"] == "ok"


async def counted(server: RedisServer, requests: int) -> None:
    """Wait until all workers have told Redis of what they have let in."""
    redis = Redis.from_url(server.url)
    async with asyncio.timeout(20):
        (name,) = [key async for key in redis.scan_iter("interference:*:used")]
        while int(await redis.hget(name, "requests_per_minute") or 0) != requests:
            pass
    await redis.aclose()


def endless(free: asyncio.Event) -> list[Any]:
    return [HEAD, ROLE, delta(content="Hi"), free, delta("stop"), DONE, END]


@asynccontextmanager
async def streams(url: str, number: int) -> AsyncIterator[list[asyncio.Task[bytes]]]:
    """Open so many streams, each of which has begun; yield what reads their ends."""
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        body = hello("One", stream=True)

        async def begin() -> aiohttp.ClientResponse:
            answer = await session.post(url + CHAT, json=body, **bearer(TEAM))
            assert answer.status == 200
            await answer.content.readuntil(b"Hi")
            return answer

        answers = await asyncio.gather(*(begin() for _ in range(number)))
        try:
            yield [asyncio.create_task(answer.read()) for answer in answers]
        finally:
            for answer in answers:
                answer.close()


@pytest.mark.parametrize("trouble", ["hangs", "dies"])
async def test_redis_away_harms_no_stream(
    tmp_path: Path, make_upstream: MakeUpstream, trouble: str
) -> None:
    """
    Open streams go on to their ends, new requests get in without a noticeable wait, and
    what is used meanwhile is counted when Redis is back.
    """
    free = asyncio.Event()
    upstream: Upstream = await make_upstream(endless(free))
    upstream.scripts = []
    keys = auth(team="requests_per_minute = 400")
    async with site(tmp_path, [keys, upstream.table("One")]) as here:
        async with streams(here.url, 100) as reading:
            if trouble == "hangs":
                here.redis.hang()
            else:
                await here.redis.kill()
            free.set()
            started = asyncio.get_running_loop().time()
            answers = await burst(here.url, 20)
            took = asyncio.get_running_loop().time() - started
            assert admitted(answers) == 20
            assert took < 20 * AT_ONCE
            for read in reading:
                assert b"[DONE]" in await read
        for server in here.servers:
            await becomes(server.url, "fallback")
        if trouble == "dies":
            return
        here.redis.go_on()
        for server in here.servers:
            await becomes(server.url, "ok")
        # What a worker has let in by itself and not told yet may come on top; and who
        # was told too late that it had a place holds it until its lease is over.
        more = admitted(await burst(here.url, 300))
        assert 250 <= more <= 300
        await counted(here.redis, 120 + more)


@pytest.mark.parametrize(
    ("on_failure", "status"), [("open", 200), ("closed", 503), ("local", 200)]
)
async def test_what_happens_without_redis_is_configured(
    tmp_path: Path, make_upstream: MakeUpstream, on_failure: str, status: int
) -> None:
    upstream = await make_upstream(says("Hi"))
    keys = auth(team="requests_per_minute = 4", free="")
    state = f'on_failure = "{on_failure}"'
    async with site(tmp_path, [keys, upstream.table("One")], state) as here:
        await here.redis.kill()
        for server in here.servers:
            async with client(server.url) as me:
                while (answer := await ask(me, TEAM)).status not in (200, 503):
                    pass
                assert answer.status == status
                assert (await ask(me, "sk-free")).status == 200


async def test_a_killed_machine_gives_back_what_it_had_reserved(
    tmp_path: Path, make_upstream: MakeUpstream
) -> None:
    """Its open answers' places are free again once nobody renews their lease."""
    upstream = await make_upstream(endless(asyncio.Event()))
    keys = auth(team="streams = 4")
    async with site(tmp_path, [keys, upstream.table("One")]) as here:
        dead, alive = here.servers
        async with streams(dead.url, 4) as reading:
            async with client(alive.url) as me:
                assert (await ask(me, TEAM)).status == 429
            for process in [dead.process.pid, *children(dead.process.pid)]:
                os.kill(process, signal.SIGKILL)
            for read in reading:
                read.cancel()
        async with asyncio.timeout(30), client(alive.url) as me:
            status = 429
            while status != 200:
                async with me.session.post(
                    alive.url + CHAT, json=hello("One", stream=True), **bearer(TEAM)
                ) as answer:
                    status = answer.status
                    answer.close()
                await asyncio.sleep(0.2)
