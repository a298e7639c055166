"""A hundred reloads while clients stream: some broken, others with other keys."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from hashlib import sha256

import pytest
from attrs import define, field

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT, Client, client, hello
from tests.rig.procfs import children
from tests.rig.server_process import Server, alone
from tests.rig.upstream import HEAD, Step, delta, says

RELOADS = 100
CLIENTS = 4
STEADY = {"Authorization": "Bearer steady"}
BROKEN = ("[server", "[server]\nport = 'x'", "[providers.One]\nkind = 'none'")


def key(name: str) -> str:
    digest = sha256(name.encode()).hexdigest()
    return f"[[auth.keys]]\nname = '{name}'\nsha256 = '{digest}'"


def slowly() -> Iterator[Step]:
    """Yield an answer that a reload or two come into."""
    yield HEAD
    for _ in range(10):
        yield delta(content="on ")
        yield 0.02
    yield from says("end")[2:]


@define(eq=False)
class Load:
    """Clients that stream one answer after another, until they are told to stop."""

    url: str
    answers: int = 0
    stopped: bool = field(default=False)

    async def run(self) -> None:
        async with client(self.url) as me:
            while not self.stopped:
                answer = await me.request(
                    "POST", CHAT, json=hello("One", stream=True), headers=STEADY
                )
                assert answer.status == 200
                assert answer.said == "on " * 10 + "end"
                self.answers += 1


async def reloaded(server: Server, number: int, table: str, workers: int) -> None:
    """Reload once: every third file is broken, the others have a key of their own."""
    seen = len(server.log)
    if number % 3 == 2:
        server.config.write_text(BROKEN[number % len(BROKEN)])
        server.signal(signal.SIGHUP)
        await server.logged("reload failed, nothing changes", since=seen)
        return
    other = f"[providers.P{number}]\nkind='openai'\nbase_url='http://127.0.0.1:9/v1'"
    server.config.write_text(
        alone("\n".join([table, other, key("steady"), key(f"k{number}")]))
    )
    server.signal(signal.SIGHUP)
    times = 1 if workers == 1 else workers + 1
    await server.logged("reloaded", since=seen, times=times)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, 2])
async def test_no_request_fails_and_workers_agree(
    start_server: StartServer, make_upstream: MakeUpstream, workers: int
) -> None:
    """
    Whoever is let in before and after is answered, also where a worker is killed and
    the file is broken by then; all workers have the last file that was accepted.
    """
    upstream = await make_upstream(slowly())
    table = upstream.table("One")
    server = await start_server(
        table, key("steady"), arguments=["--workers", str(workers)]
    )
    await server.logged("serving", times=workers)
    load = Load(server.url)

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(load.run())
        for number in range(RELOADS):
            await reloaded(server, number, table, workers)
        load.stopped = True
    assert load.answers >= CLIENTS

    if workers > 1:
        seen = len(server.log)
        os.kill(min(children(server.process.pid)), signal.SIGKILL)
        await server.logged("serving", since=seen)
    last = max(number for number in range(RELOADS) if number % 3 != 2)
    async with AsyncExitStack() as stack:
        asked: list[Client] = [
            await stack.enter_async_context(client(server.url)) for _ in range(12)
        ]
        for me in asked:
            for name, status in (("steady", 200), (f"k{last}", 200), ("k0", 401)):
                headers = {"Authorization": f"Bearer {name}"}
                listed = await me.get("/v1/providers", headers=headers)
                assert listed.status == status, name
            provider = await me.get(f"/v1/providers/P{last}", headers=STEADY)
            assert provider.status == 200
