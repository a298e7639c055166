"""Hedged requests on a real server: who is asked when, and what that costs."""

import asyncio
from math import ceil
from typing import Any

import pytest
from attrs import frozen

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Client
from tests.rig.upstream import DONE, END, HEAD, ROLE, Upstream, answers, delta, says

BROKEN = answers(500, {"error": {"message": "broken"}})


def outcomes(story: Any) -> dict[str, str]:
    return {lane["id"]: lane["outcome"] for lane in story["racers"]}


async def hung_up(*upstreams: Upstream) -> None:
    async with asyncio.timeout(5):
        await asyncio.gather(*(upstream.hung_up.get() for upstream in upstreams))


@frozen
class Field:
    """A server, and its upstreams: each is many providers, S0, S1 and so on."""

    client: Client
    silent: Upstream
    eager: Upstream
    broken: Upstream
    good: Upstream


@pytest.fixture
async def field(serve: Serve, make_upstream: MakeUpstream) -> Field:
    """Hedge among providers without a record yet, since that would change the order."""
    upstreams = {
        "S": await make_upstream([...]),
        "E": await make_upstream([HEAD, ROLE, ...]),
        "B": await make_upstream(BROKEN),
        "G": await make_upstream(says("Hel", "lo")),
    }
    settings = "[race]\nstrategy = 'hedge'\nhedge_delay = 0.15\nhedge_budget = 9"
    tables = [u.table(f"{name}{n}") for name, u in upstreams.items() for n in range(3)]
    return Field(await serve(settings, *tables), *upstreams.values())


async def test_late_racers(field: Field) -> None:
    """
    The first is asked alone, each next one when the one before has had its delay, and
    nobody beyond the winner. Losers are hung up on.
    """
    for case, stream in ((0, True), (1, False)):
        answer = await field.client.chat(
            f"S{case} E{case} G{case} B{case}", stream=stream
        )

        assert (answer.said, answer.headers["X-Provider"]) == ("Hello", f"G{case}")
        story = await field.client.race(answer)
        first, second, third, fourth = story["racers"]
        assert second["start_ms"] >= first["start_ms"] + 150
        assert third["start_ms"] >= second["start_ms"] + 150
        assert [first["delay_ms"], fourth["outcome"]] == [150, "waiting"]
        assert story["ttft_ms"] == third["first_token_ms"]
        await hung_up(field.silent, field.eager)
    assert field.broken.requests == []


async def test_failing_racers(field: Field) -> None:
    """Who fails is replaced at once; who is in time has nobody beside it."""
    answer = await field.client.chat("B0 B1 G0 S0")

    first, second, third, _ = (await field.client.race(answer))["racers"]
    assert answer.headers["X-Provider"] == "G0"
    assert [first["outcome"], second["outcome"]] == ["failed", "failed"]
    assert 0 <= second["start_ms"] - first["end_ms"] < 100
    assert 0 <= third["start_ms"] - second["end_ms"] < 100

    answer = await field.client.chat("G1 S1 E1")

    assert "G1;dur=" in answer.headers["Server-Timing"]
    assert "S1" not in answer.headers["Server-Timing"]
    assert field.silent.requests == field.eager.requests == []


async def test_limit_of_racers(field: Field) -> None:
    """A request's own max_parallel holds back a third, however late the two are."""
    answer = await field.client.chat(
        "S0 E0 G0", race={"max_parallel": 2, "deadline": 1}
    )

    story = await field.client.race(answer)
    assert answer.error["code"] == story["code"] == "deadline_exceeded"
    assert outcomes(story) == {"S0": "cut off", "E0": "cut off", "G0": "waiting"}
    assert story["parallel"] == 2
    assert field.good.requests == []
    await hung_up(field.silent, field.eager)


def nearest_rank(values: list[float], percent: int) -> float:
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


async def test_delay_of_the_providers_own(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    Its delay is the p90 of its own last times to first *token*, by model once there are
    20 of them; it is a second before there are.
    """
    usual = await make_upstream()
    spare = await make_upstream([0.5, *says("Spare")])
    settings = "[race]\nstrategy = 'hedge'\nhedge_delay = 'p90'"
    me = await serve(settings, usual.table("Usual"), spare.table("Spare"))
    # Headers and a role at once: they are no token.
    usual.scripts = [[HEAD, ROLE, 0.01 * n, *says("Usual")[2:]] for n in range(20)]
    asking = (me.chat("Usual", model="m") for _ in range(19))
    stories = [await me.race(answer) for answer in await asyncio.gather(*asking)]
    assert {story["racers"][0]["delay_ms"] for story in stories} == {1000}
    stories.append(await me.race(await me.chat("Usual", model="m")))
    usual.script = [HEAD, ROLE, ...]

    story = stories[-1]
    while len(story["racers"]) == 1 or story["racers"][0]["id"] == "Spare":
        # Once in a while the spare one goes first, to see how it does.
        story = await me.race(await me.chat("Usual Spare", model="m"))

    took = [
        lane["first_token_ms"] - lane["start_ms"]
        for told in stories
        for lane in told["racers"]
    ]
    first, second = story["racers"]
    assert (first["id"], second["id"], story["winner"]) == ("Usual", "Spare", "Spare")
    assert abs(first["delay_ms"] - nearest_rank(took, 90)) < 0.1
    assert first["delay_ms"] != second["delay_ms"] == 1000
    assert second["start_ms"] - first["start_ms"] >= first["delay_ms"]
    await hung_up(usual)


async def ask_all(me: Client, cases: range) -> list[Any]:
    """Ask each pair, all of them at the same time; return the stories."""

    async def one(case: int) -> Any:
        answer = await me.chat(f"Late{case} Quick{case}", stream=case % 2 == 0)
        assert answer.status == 200
        return await me.race(answer)

    return await asyncio.gather(*(one(case) for case in cases))


async def test_budget(serve: Serve, make_upstream: MakeUpstream) -> None:
    """
    A first racer that is always late makes no more than a tenth of the requests dearer,
    as counted by those who are called; requests that get no hedge wait for its answer.
    """
    late = await make_upstream([0.4, *says("Late")])
    quick = await make_upstream(
        [HEAD, delta(content="Quick"), delta("stop"), DONE, END]
    )
    # Fresh ones for each request, since the first records would change the order.
    tables = [late.table(f"Late{n}") for n in range(100)]
    tables += [quick.table(f"Quick{n}") for n in range(100)]
    settings = "[race]\nstrategy = 'hedge'\nhedge_delay = 0.05\nhedge_budget = 0.1"
    me = await serve(settings, *tables)

    stories: list[Any] = []
    for start in range(0, 100, 20):
        stories += await ask_all(me, range(start, start + 20))

        calls = len(late.requests) + len(quick.requests)
        assert len(late.requests) == len(stories)
        assert calls <= len(stories) + ceil(0.1 * len(stories))

    refused = [story for story in stories if story["hedge_refused"]]
    assert len(quick.requests) >= 5
    assert len(refused) == 100 - len(quick.requests)
    for story in refused:
        assert list(outcomes(story).values()) == ["won", "waiting"]
