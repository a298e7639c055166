"""What several workers show is what all of them together have done."""

import asyncio
import os
import signal
from typing import Any

import pytest

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import Client, client
from tests.rig.procfs import children
from tests.rig.upstream import answers, says

WORKERS = 4
FOUR = ["--workers", str(WORKERS)]


async def by_each(url: str, path: str) -> list[Any]:
    """Return what many connections, which several workers have, answer to one GET."""
    answers = []
    for _ in range(4 * WORKERS):
        async with client(url) as me:
            answers.append((await me.get(path)).json)
    return answers


@pytest.mark.parametrize("stream", [True, False])
async def test_races_are_the_same_from_every_worker(
    start_server: StartServer, make_upstream: MakeUpstream, stream: bool
) -> None:
    """Whichever worker ran a race, all list it, and tell its story, at once."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(upstream.table("One"), arguments=FOUR)
    await server.logged("serving", times=WORKERS)
    ids = []
    for _ in range(20):
        async with client(server.url) as me:
            answer = await me.chat("One", stream=stream)
            ids.append(answer.headers["X-Request-ID"])
        async with client(server.url) as me:
            told = await me.get(f"/v1/races/{ids[-1]}")
            assert told.status == 200

    for listed in await by_each(server.url, "/v1/races"):
        assert [race["id"] for race in listed["data"]] == ids[::-1]


async def test_races_outlive_a_killed_worker(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """What was answered is told, though the worker that did was killed right after."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(upstream.table("One"), arguments=FOUR)
    await server.logged("serving", times=WORKERS)
    ids = set()
    for worker in children(server.process.pid):
        async with asyncio.TaskGroup() as group:
            chats = [group.create_task(_one_chat(server.url)) for _ in range(16)]
        ids |= {chat.result() for chat in chats}
        os.kill(worker, signal.SIGKILL)

    async with client(server.url) as me:
        listed = await _races(me)
    assert {race["id"] for race in listed} == ids


async def test_a_provider_rests_for_all(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Whom one worker has found to be too busy, no other calls before it is time."""
    busy = await make_upstream(answers(429, {}, ["Retry-After: 300"]))
    good = await make_upstream(says("Hi"))
    server = await start_server(busy.table("Busy"), good.table("Good"), arguments=FOUR)
    await server.logged("serving", times=WORKERS)
    async with client(server.url) as me:
        assert (await me.chat("Busy")).status == 429
    for each in await by_each(server.url, "/v1/providers/Busy"):
        assert each["stats"]["status"] == "resting"

    for _ in range(4 * WORKERS):
        async with client(server.url) as me:
            assert (await me.chat("Busy Good")).said == "Hi"

    assert len(busy.requests) == 1
    os.kill(min(children(server.process.pid)), signal.SIGKILL)
    await server.logged("serving", times=WORKERS + 1)
    for each in await by_each(server.url, "/v1/providers/Busy"):
        assert each["stats"]["status"] == "resting"


async def test_records_are_those_of_all(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Every worker shows what all have found, and what a killed one has counted."""
    upstream = await make_upstream(says("Hi"))
    broken = await make_upstream(answers(400, {"error": {"message": "not so"}}))
    server = await start_server(
        upstream.table("One"), broken.table("Broken"), arguments=FOUR
    )
    await server.logged("serving", times=WORKERS)
    for _ in range(12):
        async with client(server.url) as me:
            assert (await me.chat("One", stream=True)).status == 200
    async with client(server.url) as me:
        assert (await me.chat("Broken")).status == 400

    shown = [each["stats"] for each in await by_each(server.url, "/v1/providers/One")]
    assert shown == [shown[0]] * len(shown)
    assert (shown[0]["requests"], shown[0]["wins"]) == (12, 12)
    assert shown[0]["ttft_ms"]["p50"] > 0
    for each in await by_each(server.url, "/v1/providers/Broken"):
        assert "not so" in each["stats"]["last_error"]

    os.kill(min(children(server.process.pid)), signal.SIGKILL)
    await server.logged("serving", times=WORKERS + 1)
    for each in await by_each(server.url, "/v1/providers/One"):
        assert (each["stats"]["requests"], each["stats"]["wins"]) == (12, 12)


async def _one_chat(url: str) -> Any:
    async with client(url) as me:
        return (await me.chat("One")).headers["X-Request-ID"]


async def _races(me: Client) -> Any:
    return (await me.get("/v1/races")).json["data"]
