"""Races in which a limit of the client's may keep a racer from starting."""

import asyncio
from math import inf

import pytest

from providers import ChatRequest, Chunk, ProviderBusy
from server.racing.errors import NobodyWon
from server.racing.race import Race
from server.racing.strategies import Budget, Hedge, Parallel
from tests.rig.fakes import HELLO, ROLE, ScriptedRacer, says

SOON = 0.01
NO = ProviderBusy("no")


def hedging(*racers: ScriptedRacer) -> Race[ChatRequest, Chunk]:
    budget = Budget()
    budget.deposit(inf)
    return Race(racers, HELLO, Hedge(dict.fromkeys("abc", SOON), budget, 8))


async def test_a_hedge_without_a_permit_is_not_sent() -> None:
    """The first runs on alone; the story has no lane of the other."""
    refused = asyncio.Event()

    async def permit(running: int) -> bool:
        if running > 1:
            refused.set()
        return running <= 1

    first = ScriptedRacer("a", [ROLE, refused, says("a")])
    second = ScriptedRacer("b", [says("b")])
    race = hedging(first, second)
    race.permit = permit

    winner = await race.run()

    assert winner.id == "a"
    assert not second.started
    assert [lane.id for lane in race.lanes] == ["a"]
    assert race.schedule.refused


async def test_who_was_kept_back_starts_when_the_first_has_failed() -> None:
    """No permit is needed for one alone, so nobody is lost to the limit."""
    refused = asyncio.Event()

    async def permit(running: int) -> bool:
        if running > 1:
            refused.set()
        return running <= 1

    first = ScriptedRacer("a", [ROLE, refused, NO])
    second = ScriptedRacer("b", [says("b")])
    race = hedging(first, second)
    race.permit = permit

    winner = await race.run()

    assert winner.id == "b"
    assert [(lane.id, lane.outcome) for lane in race.lanes] == [
        ("a", "failed"),
        ("b", "won"),
    ]


async def test_a_permit_that_comes_too_late_sends_nothing() -> None:
    """Who waits for it when another wins is no racer, and is hung up on by nobody."""
    waiting = asyncio.Event()

    async def permit(running: int) -> bool:
        if running > 1:
            waiting.set()
            await asyncio.Event().wait()
        return True

    first = ScriptedRacer("a", [ROLE, waiting, says("a")])
    second = ScriptedRacer("b", [says("b")])
    race = hedging(first, second)
    race.permit = permit

    winner = await race.run()

    assert winner.id == "a"
    assert not second.started
    assert [lane.id for lane in race.lanes] == ["a"]


async def test_all_fail_though_one_was_kept_back() -> None:
    """It has had its try by then, and the error tells of both."""
    race = hedging(ScriptedRacer("a", [NO]), ScriptedRacer("b", [NO]))

    async def permit(running: int) -> bool:
        return running <= 1

    race.permit = permit
    with pytest.raises(NobodyWon) as raised:
        await race.run()
    assert [loss.id for loss in raised.value.losses] == ["a", "b"]


async def test_a_race_of_all_asks_for_each() -> None:
    """It is told how many then run: what is reserved for those is reserved."""
    numbers: list[int] = []

    async def permit(running: int) -> bool:
        numbers.append(running)
        return True

    racers = [ScriptedRacer(name, [says(name)]) for name in "abc"]
    race = Race(racers, HELLO, Parallel(8))
    race.permit = permit
    await race.run()
    assert numbers
    assert set(numbers) <= {1, 2, 3}
