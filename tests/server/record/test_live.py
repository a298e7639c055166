"""What is told live: who hears of which races, how far behind one may be, the steps."""

import asyncio
from collections.abc import Sequence

import orjson
import pytest

from providers import ChatRequest, Choice, Chunk, ProviderProtocolError
from server.config.settings import KeySettings
from server.racing.race import Race
from server.racing.strategies import Fallback, Parallel, Strategy
from server.record.channel import OnlyProcess
from server.record.live import (
    BEHIND,
    ENDED,
    Follower,
    Listener,
    LiveEvent,
    LiveRaces,
)
from tests.rig.fakes import HELLO, PATIENCE, ROLE, ScriptedRacer, happened, says


def key(name: str, *, admin: bool = False) -> KeySettings:
    return KeySettings(name=name, sha256="0" * 64, admin=admin)


MINE, ADMIN = key("mine"), key("admin", admin=True)


def story(name: str, owner: str | None = None) -> LiveEvent:
    return LiveEvent(ENDED, owner, name.encode())


def progress(name: str) -> LiveEvent:
    return LiveEvent("racer.headers", None, name.encode())


async def heard(listener: Listener, count: int) -> list[str]:
    """Return the data of the next so many events that *listener* hears."""
    async with asyncio.timeout(PATIENCE):
        return [(await anext(listener)).data.decode() for _ in range(count)]


async def rest(listener: Listener) -> list[LiveEvent]:
    """Return all that is left to hear, to its end."""
    async with asyncio.timeout(PATIENCE):
        return [event async for event in listener]


async def test_listeners_hear_what_they_may_see() -> None:
    """Each hears what happens from now on, in that order: its own, or all."""
    live = LiveRaces(OnlyProcess())
    live.tell(story("4"))
    with (
        live.listen(MINE) as mine,
        live.listen(ADMIN) as admin,
        live.listen(None) as all_,
    ):
        for name, owner in (("5", "other"), ("6", "mine"), ("7", None), ("8", "mine")):
            live.tell(story(name, owner))

        assert await heard(mine, 2) == ["6", "8"]
        assert await heard(admin, 4) == ["5", "6", "7", "8"]
        assert await heard(all_, 4) == ["5", "6", "7", "8"]


async def test_listener_waits() -> None:
    """One that has heard all is woken up by the next event."""
    live = LiveRaces(OnlyProcess())
    with live.listen(None) as listener:
        for name in "12":
            hearing = asyncio.create_task(heard(listener, 1))
            await asyncio.sleep(0)
            assert not hearing.done()
            live.tell(story(name))
            assert await hearing == [name]


@pytest.mark.parametrize(
    ("stories", "kept"), [(10, 10), (BEHIND - 1, BEHIND // 2), (0, 0)]
)
async def test_listener_that_is_behind(stories: int, kept: int) -> None:
    """
    A client that does not read fills no memory: it misses progress first, then the
    oldest stories, is told how many events that were, and hears what comes after.
    """
    live = LiveRaces(OnlyProcess())
    with live.listen(None) as listener:
        for n in range(BEHIND):
            live.tell(story(str(n)) if n < stories else progress(str(n)))
        live.tell(progress("the next"))
        live.close()
        live.tell(story("after the end"))

        first, *left = await rest(listener)

    assert (first.name, orjson.loads(first.data)) == (
        "resync",
        {"missed": BEHIND - kept},
    )
    stories_left = [str(n) for n in range(stories - kept, stories)]
    assert [event.data.decode() for event in left] == [*stories_left, "the next"]


async def test_listener_that_left() -> None:
    """It hears of nothing any more, and the others go on; nobody left, none cares."""
    live = LiveRaces(OnlyProcess())
    with live.listen(None) as stays:
        with live.listen(None) as leaves:
            live.tell(story("1"))
        live.tell(story("2"))
        followed_by_one = live.followed
        live.dismiss()

        assert [event.data for event in await rest(stays)] == [b"1", b"2"]
    assert await heard(leaves, 1) == ["1"]
    assert (followed_by_one, live.followed) == (True, False)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(leaves)


async def test_end() -> None:
    """The end dismisses who listens, after what there is to hear, and who comes."""
    live = LiveRaces(OnlyProcess())
    with live.listen(None) as listener:
        waiting = asyncio.create_task(rest(listener))
        await asyncio.sleep(0)
        live.tell(story("1"))
        live.close()

        assert await waiting == [story("1")]
    with live.listen(None) as late:
        live.tell(story("2"))
        assert await rest(late) == []


async def test_dismissed() -> None:
    """Who listens can be sent away, and may come back."""
    live = LiveRaces(OnlyProcess())
    with live.listen(None) as listener:
        live.dismiss()
        assert await rest(listener) == []

    with live.listen(None) as listener:
        live.tell(story("1"))
        assert await heard(listener, 1) == ["1"]


Told = list[tuple[str, dict[str, object]]]


async def followed(
    racers: Sequence[ScriptedRacer], schedule: Strategy
) -> tuple[Race[ChatRequest, Chunk], Told]:
    """Run a race that somebody follows; return it, and all that was told of it."""
    live = LiveRaces(OnlyProcess())
    race = Race(racers, HELLO, schedule)
    with live.listen(None) as listener:
        follower = Follower(live, "the-race", None, race.started)
        follower.begin("m", "race", racers)
        race.tell = follower
        await race.run()
        live.dismiss()
        events = await rest(listener)
    return race, [(event.name, orjson.loads(event.data)) for event in events]


def steps(told: Told) -> dict[str, list[str]]:
    """Return the names of what was told, by racer."""
    found: dict[str, list[str]] = {}
    for name, data in told[1:]:
        found.setdefault(str(data["racer"]), []).append(name)
    return found


async def test_steps_of_a_race() -> None:
    """Each racer's start, end and first token are told, in their order and in ms."""
    slow = ScriptedRacer("Slow", [ROLE, ...])
    broken = ScriptedRacer("Broken", [ProviderProtocolError("nonsense")])
    gate = asyncio.Event()
    fast = ScriptedRacer("Fast", [gate, says("Hello")])

    async def let_go() -> None:
        await happened(slow.begun)
        gate.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(let_go())
        race, told = await followed([slow, broken, fast], Parallel(3))

    assert told[0] == (
        "race.started",
        {
            "id": "the-race",
            "model": "m",
            "strategy": "race",
            "racers": [{"id": r.id, "model": "m"} for r in (slow, broken, fast)],
        },
    )
    assert steps(told) == {
        "Slow": ["racer.started", "racer.cut_off"],
        "Broken": ["racer.started", "racer.failed"],
        "Fast": ["racer.started", "racer.token", "race.decided"],
    }
    by_name = dict(told)
    assert by_name["racer.failed"]["reason"] == "bad_response"
    assert by_name["race.decided"]["winner"] == "Fast"
    lane = race.winning_lane
    assert lane is not None
    assert lane.first_token is not None
    at = round((lane.first_token - race.started) * 1000, 2)
    assert by_name["race.decided"]["ms"] == by_name["racer.token"]["ms"] == at
    assert {data["id"] for _, data in told} == {"the-race"}


async def test_an_answer_without_a_word() -> None:
    """It has no first token, but may win; and is out as soon as another has one."""
    silent = ScriptedRacer("Silent", [Chunk(choices=(Choice(finish_reason="stop"),))])

    race, told = await followed([silent], Fallback(1))
    assert steps(told) == {"Silent": ["racer.started", "race.decided"]}

    race, told = await followed(
        [silent, ScriptedRacer("Other", [says("Hello")])], Fallback(1)
    )
    assert race.winner is not None
    assert steps(told) == {
        "Silent": ["racer.started", "racer.cut_off"],
        "Other": ["racer.started", "racer.token", "race.decided"],
    }
