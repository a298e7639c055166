"""Who sees and hears of which races: by key, in lists and live."""

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from tests.conftest import MakeUpstream, Serve, StartServer
from tests.rig.client import CHAT, client, hello
from tests.rig.race_listener import AUTH, KEYS, heard, key_of, listening, next_event
from tests.rig.upstream import answers, says


async def test_keys_see_their_own(serve: Serve, make_upstream: MakeUpstream) -> None:
    """A key sees its own races, listed, by id and live; an admin's all; none, none."""
    good = await make_upstream(says("Good"))
    me = await serve(AUTH, good.table("Good"))

    async def ask(key: str) -> str:
        headers = key_of(key, f"of-{key}")
        await me.request("POST", CHAT, json=hello("Good"), headers=headers)
        return f"of-{key}"

    async with listening(me, "mine") as mine, listening(me, "admin") as admin:
        for key in ("other", "mine", "admin"):
            await ask(key)
        assert [(await heard(admin))["key"] for _ in KEYS] == ["other", "mine", "admin"]
        assert (await heard(mine))["id"] == "of-mine"

    for key, ids in {
        "mine": ["of-mine"],
        "other": ["of-other"],
        "admin": ["of-admin", "of-mine", "of-other"],
    }.items():
        listed = await me.get("/v1/races", headers=key_of(key))
        assert listed.json["object"] == "list"
        assert [story["id"] for story in listed.json["data"]] == ids
        for name in KEYS:
            found = await me.get(f"/v1/races/of-{name}", headers=key_of(key))
            assert found.status == (200 if f"of-{name}" in ids else 404)
    for path in ("", "/of-mine", "/events"):
        assert (await me.get(f"/v1/races{path}")).status == 401


async def test_lists_and_mistakes(serve: Serve, make_upstream: MakeUpstream) -> None:
    """The newest come first, as many as were asked for; what is no number is a 400."""
    me = await serve((await make_upstream(says("Good"))).table("Good"))
    assert (await me.get("/v1/races")).json == {"object": "list", "data": []}
    ids = [(await me.chat("Good")).headers["X-Request-ID"] for _ in range(3)]

    for limit, expected in {"": 3, "?limit=2": 2, "?limit=1000": 3}.items():
        listed = (await me.get(f"/v1/races{limit}")).json["data"]
        assert [story["id"] for story in listed] == ids[::-1][:expected]
    for limit in ("0", "-1", "1001", "x", "", "1.5", "9" * 5000, "%00"):
        refused = await me.get(f"/v1/races?limit={limit}")
        assert (refused.status, refused.error["param"]) == (400, "limit")
    missing = await me.get("/v1/races/no-such")
    assert (missing.status, missing.error["code"]) == (404, "not_found")
    too_long = await me.chat("Good", model="m" * 501)
    assert (too_long.status, too_long.error["param"]) == (400, "model")


async def test_steps(serve: Serve, make_upstream: MakeUpstream) -> None:
    """
    What racers do is told before anybody has won, in ms after the race's start: to the
    key that it belongs to, and to an admin's.
    """
    go_on = asyncio.Event()
    scripts = {
        "First": [*says("Hel")[:1], go_on, *says("Hello")[1:]],
        "Never": [...],
        "Broken": answers(500),
    }
    tables = [(await make_upstream(scripts[name])).table(name) for name in scripts]
    me = await serve(AUTH, *tables)
    async with (
        listening(me, "mine") as mine,
        listening(me, "other") as other,
        listening(me, "admin") as admin,
        asyncio.TaskGroup() as group,
    ):
        body = hello(" ".join(scripts), stream=True)
        headers = key_of("mine", "the-race")
        group.create_task(me.request("POST", CHAT, json=body, headers=headers))
        early = await until(mine, "racer.headers First", "racer.failed Broken")
        assert "race.decided" not in dict(early)
        go_on.set()
        events = early + await until(mine, "race.ended ")
        assert [await next_event(admin) for _ in events] == events
        headers = key_of("other", "another")
        await me.request("POST", CHAT, json=hello("First"), headers=headers)
        assert (await next_event(other))[1]["id"] == "another"

    (_, started), *steps, (_, story) = events
    assert (started["id"], started["strategy"]) == ("the-race", "race")
    assert [racer["id"] for racer in started["racers"]] == [*scripts]
    assert {
        racer: [name for name, data in steps if data["racer"] == racer]
        for racer in scripts
    } == {
        "First": [
            "racer.started",
            "racer.connected",
            "racer.headers",
            "racer.token",
            "race.decided",
        ],
        "Never": ["racer.started", "racer.connected", "racer.cut_off"],
        "Broken": [
            "racer.started",
            "racer.connected",
            "racer.headers",
            "racer.failed",
        ],
    }
    lanes = {lane["id"]: lane for lane in story["racers"]}
    for name, event in steps:
        assert event["id"] == "the-race"
        assert event["ms"] == lanes[event["racer"]][TIMES[name]]
    assert dict(steps)["racer.failed"]["reason"] == "upstream_error"


TIMES = {
    "racer.started": "start_ms",
    "racer.connected": "connect_ms",
    "racer.headers": "headers_ms",
    "racer.token": "first_token_ms",
    "race.decided": "first_token_ms",
    "racer.failed": "end_ms",
    "racer.cut_off": "end_ms",
}


async def until(
    content: aiohttp.StreamReader, *wanted: str
) -> list[tuple[str, dict[str, Any]]]:
    """Return the next events, up to the last of those *wanted*: name and racer."""
    events, missing = [], {*wanted}
    while missing:
        name, data = await next_event(content)
        events.append((name, data))
        missing.discard(f"{name} {data.get('racer', '')}")
    return events


async def test_live(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """
    Each listener hears of each race as it ends. One that leaves disturbs nobody. A
    reload does neither, but when keys change all are sent away.
    """
    good = (await make_upstream(says("Good"))).table("Good")
    server = await start_server("[server]\nping_interval = 0.1", good)
    me = await stack.enter_async_context(client(server.url))

    async with listening(me) as stays:
        async with listening(me) as leaves:
            name = (await me.chat("Good")).headers["X-Request-ID"]
            assert [(await heard(each))["id"] for each in (stays, leaves)] == [name] * 2
        assert await stays.readuntil(b"\n\n") == b": ping\n\n"
        await me.chat("Good", stream=True)
        assert (await heard(stays))["stream"] is True

        server.reload(good)
        await server.logged("reloaded")
        await me.chat("Good")
        assert (await heard(stays))["winner"] == "Good"
        server.reload(AUTH + good)
        async with asyncio.timeout(10):
            await stays.read()


async def test_workers_tell_each_other(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """Whoever listens, at whichever worker, hears of the races of all."""
    good = (await make_upstream(says("Good"))).table("Good")
    server = await start_server(good, arguments=["--workers", "2"])
    me = await stack.enter_async_context(client(server.url))
    ears = [await stack.enter_async_context(listening(me)) for _ in range(8)]
    first = [asyncio.create_task(heard(ear)) for ear in ears]
    while not all(each.done() for each in first):
        await me.chat("Good")  # until all workers know that somebody listens

    last = (await me.chat("Good")).headers["X-Request-ID"]
    for ear in ears:
        while (await heard(ear))["id"] != last:
            pass
    steps = {"racer.started": 0, "race.ended": 0}
    ids = {(await me.chat("Good")).headers["X-Request-ID"] for _ in range(5)}
    while steps["race.ended"] < len(ids):
        name, data = await next_event(ears[0])
        assert data["id"] in ids
        if name in steps:
            steps[name] += 1
    assert steps == {"racer.started": 5, "race.ended": 5}


async def test_listeners_when_it_stops(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """They are sent away before the server waits for answers, also if they return."""
    go_on = asyncio.Event()
    long = await make_upstream([*says("Hel")[:3], go_on, *says("lo")[2:]])
    server = await start_server(long.table("Long"))
    me = await stack.enter_async_context(client(server.url))

    async with me.open_chat("Long") as answer:
        await answer.content.readuntil(b"\n\n")
        async with listening(me) as events:
            server.signal(signal.SIGTERM)
            async with asyncio.timeout(10):  # and not shutdown_timeout, which is 30
                await events.read()
        async with asyncio.timeout(10):
            await me.get("/v1/races/events")
        go_on.set()
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")
    assert await server.stop() == 0
