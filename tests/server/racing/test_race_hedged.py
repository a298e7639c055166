"""Hedged races: the next racer starts late or in place of one that failed, or never."""

import asyncio
import gc
import weakref
from itertools import pairwise
from math import inf

import pytest

from providers import ChatRequest, Chunk, ProviderBusy, ProviderTimeout
from server.racing.errors import NobodyWon
from server.racing.race import Race, Winner
from server.racing.strategies import Budget, Hedge
from tests.rig.fakes import HELLO, PATIENCE, ROLE, ScriptedRacer, happened, says

ChatRace = Race[ChatRequest, Chunk]

# Seconds: what is long enough to be told from none, and what no test waits for.
SOON, NEVER = 0.03, 60.0
NO = ProviderBusy("no")


def hedging(
    *racers: ScriptedRacer, delay: float = NEVER, calls: float = inf, limit: int = 8
) -> ChatRace:
    """Return a race in which each has *delay* seconds, and *calls* can be paid for."""
    budget = Budget()
    budget.deposit(calls)
    delays = {racer.id: delay for racer in racers}
    return Race(racers, HELLO, Hedge(delays, budget, limit))


async def started(
    race: ChatRace, *racers: ScriptedRacer
) -> asyncio.Task[Winner[Chunk]]:
    running = asyncio.create_task(race.run())
    for racer in racers:
        await happened(racer.begun)
    return running


def outcomes(race: ChatRace) -> dict[str, str]:
    return {lane.id: lane.outcome for lane in race.lanes}


def gaps(race: ChatRace) -> list[float]:
    """Return the seconds between one start and the next."""
    starts = [lane.started for lane in race.lanes]
    return [after - before for before, after in pairwise(starts)]


async def nothing_more_happens() -> None:
    """Wait until a timer that was left behind would have fired."""
    await asyncio.sleep(2 * SOON)


async def test_the_next_starts_after_the_delay() -> None:
    """One by one they start, each when the one before has had its time."""
    silent = [ScriptedRacer(name, [ROLE, ...]) for name in "ab"]
    speaker = ScriptedRacer("c", [says("c"), ...])
    race = hedging(*silent, speaker, delay=SOON)

    winner = await race.run()

    assert winner.id == "c"
    assert all(SOON <= gap < PATIENCE for gap in gaps(race))
    assert outcomes(race) == {"a": "cut off", "b": "cut off", "c": "won"}
    assert [racer.closed for racer in (*silent, speaker)] == [True, True, False]


async def test_each_has_its_own_delay() -> None:
    """Who is slow by nature is given more time than who is fast."""
    racers = [ScriptedRacer("a", [...]), ScriptedRacer("b", [...])]
    last = ScriptedRacer("c", [says("c")])
    race = hedging(*racers, last)
    race.schedule = Hedge({"a": 0.0, "b": 3 * SOON, "c": 0.0}, Budget(3.0), 8)

    await race.run()

    assert gaps(race)[1] >= 3 * SOON


async def test_the_first_may_still_win() -> None:
    """A hedge is a second chance, and takes the first one's away from nobody."""
    gate = asyncio.Event()
    slow = ScriptedRacer("slow", [gate, says("a")])
    hedge = ScriptedRacer("hedge", [...])
    race = hedging(slow, hedge, delay=0.0)
    running = await started(race, slow, hedge)
    gate.set()

    assert (await running).id == "slow"
    assert hedge.closed


async def test_no_hedge_for_who_is_in_time() -> None:
    """A token before the delay is up, and nobody else is ever asked."""
    second = ScriptedRacer("second", [says("b")])
    race = hedging(ScriptedRacer("first", [says("a"), ...]), second, delay=SOON)

    winner = await race.run()
    await nothing_more_happens()

    assert winner.id == "first"
    assert not second.streams
    assert outcomes(race) == {"first": "won"}


async def test_nobody_starts_after_a_winner() -> None:
    """A win while the next one's timer runs is the end of that, too."""
    gate = asyncio.Event()
    first = ScriptedRacer("first", [gate, says("a"), ...])
    others = [ScriptedRacer(name, [...]) for name in "bc"]
    race = hedging(first, *others, delay=SOON)
    running = await started(race, first, others[0])
    gate.set()

    await running
    await nothing_more_happens()

    assert not others[1].streams


async def test_failure_is_not_waited_out() -> None:
    """The next starts at once, long before the delay of the one that failed."""
    last = ScriptedRacer("c", [says("c")])
    race = hedging(ScriptedRacer("a", [NO]), ScriptedRacer("b", [ROLE, NO]), last)

    async with asyncio.timeout(PATIENCE):
        winner = await race.run()

    assert winner.id == "c"
    assert outcomes(race) == {"a": "failed", "b": "failed", "c": "won"}


async def test_replacements_are_free_and_hedges_are_not() -> None:
    """With an empty bucket nobody is hedged, but whoever fails is replaced."""
    gate = asyncio.Event()
    first = ScriptedRacer("first", [gate, NO])
    second = ScriptedRacer("second", [says("b")])
    race = hedging(first, second, delay=SOON, calls=0)
    running = await started(race, first)
    await nothing_more_happens()
    assert not second.streams
    gate.set()

    assert (await running).id == "second"


async def test_a_hedge_in_flight_is_not_stopped_by_an_empty_bucket() -> None:
    """What is paid for runs to its end; only the one after it does not start."""
    silent, third = ScriptedRacer("first", [...]), ScriptedRacer("third", [says("c")])
    gate = asyncio.Event()
    second = ScriptedRacer("second", [gate, says("b")])
    race = hedging(silent, second, third, delay=SOON, calls=1)
    running = await started(race, silent, second)
    await nothing_more_happens()
    gate.set()

    assert (await running).id == "second"
    assert not third.streams


async def test_limit_of_racers() -> None:
    """No third runs beside two, but in the place of one of them it may."""
    gate = asyncio.Event()
    first = ScriptedRacer("first", [...])
    second = ScriptedRacer("second", [gate, NO])
    third = ScriptedRacer("third", [says("c")])
    race = hedging(first, second, third, delay=0.0, limit=2)
    running = await started(race, first, second)
    await nothing_more_happens()
    assert not third.streams
    gate.set()

    assert (await running).id == "third"


async def test_all_fail() -> None:
    """If nobody speaks, each has been tried once, and the error names them all."""
    racers = [ScriptedRacer(name, [NO]) for name in "abc"]

    with pytest.raises(NobodyWon) as caught:
        await hedging(*racers).run()

    assert [loss.id for loss in caught.value.losses] == ["a", "b", "c"]
    assert [len(racer.streams) for racer in racers] == [1, 1, 1]


async def test_cancelled_while_the_timer_runs() -> None:
    """A client that leaves then leaves no timer and no task, and nobody starts."""
    first, second = ScriptedRacer("first", [...]), ScriptedRacer("second", [...])
    race = hedging(first, second, delay=SOON)
    running = await started(race, first)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await nothing_more_happens()

    assert first.closed
    assert not second.streams
    assert outcomes(race) == {"first": "cut off"}
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_cancelled_as_the_first_fails(cancelled_first: bool) -> None:
    """In the same turn, whichever comes first: nobody is asked for who has left."""
    gate = asyncio.Event()
    first = ScriptedRacer("first", [gate, NO])
    second = ScriptedRacer("second", [...])
    race = hedging(first, second)
    running = await started(race, first)

    if cancelled_first:
        running.cancel()
    gate.set()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert first.closed
    assert not second.streams
    assert len(race.lanes) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_cancelled_as_the_timer_fires(cancelled_first: bool) -> None:
    """In the same turn: who has not been asked is not, and who has is hung up on."""
    first, second = ScriptedRacer("first", [...]), ScriptedRacer("second", [...])
    race = hedging(first, second, delay=3 * SOON)
    running = await started(race, first)

    loop, due = asyncio.get_running_loop(), race.lanes[0].started + 3 * SOON
    loop.call_at(due + (-0.01 if cancelled_first else 0.01), running.cancel)
    while loop.time() < due + SOON:
        pass  # so that both are due when the loop looks at its clock again
    with pytest.raises(asyncio.CancelledError):
        await running

    assert len(second.streams) == (0 if cancelled_first else 1)
    assert second.closed
    assert set(outcomes(race).values()) == {"cut off"}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_timer_fires_as_somebody_wins() -> None:
    """In the same turn, after the token: nobody is asked any more."""
    gate = asyncio.Event()
    first, second = ScriptedRacer("a", [gate, says("a")]), ScriptedRacer("b", [...])
    race = hedging(first, second, delay=SOON)
    running = await started(race, first)

    gate.set()
    while asyncio.get_running_loop().time() < race.lanes[0].started + 2 * SOON:
        pass  # so that the timer is due when the token is looked at
    async with asyncio.timeout(PATIENCE):
        winner = await running

    assert winner.id == "a"
    assert not second.streams


@pytest.mark.parametrize("won", [True, False])
async def test_nothing_is_kept_until_the_timer_would_have_fired(won: bool) -> None:
    """A race that is over is forgotten at once, however much of a delay is left."""
    gate = asyncio.Event()
    race = hedging(ScriptedRacer("a", [gate, says("a")]), ScriptedRacer("b", [...]))
    running = asyncio.create_task(race.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if won:
        gate.set()
    else:
        running.cancel()
    await asyncio.wait({running})
    kept = weakref.ref(race)

    del race, running
    gc.collect()

    assert kept() is None


async def test_a_bug_while_the_timer_runs() -> None:
    """It ends the race at once, whoever is still to start."""
    gate = asyncio.Event()
    broken = ScriptedRacer("broken", [gate, ZeroDivisionError()])
    second = ScriptedRacer("second", [...])
    race = hedging(broken, second, delay=SOON)
    running = await started(race, broken)
    gate.set()

    with pytest.raises(ExceptionGroup) as caught:
        await running
    await nothing_more_happens()

    assert caught.group_contains(ZeroDivisionError)
    assert not second.streams


async def test_another_round() -> None:
    """When the winner's answer breaks off, those left race again, hedged as before."""
    hasty = ScriptedRacer("hasty", [says("a"), ProviderTimeout("silent")])
    silent, last = ScriptedRacer("silent", [...]), ScriptedRacer("last", [says("c")])
    race = hedging(hasty, silent, last, delay=SOON)
    broken = await race.run()
    with pytest.raises(ProviderTimeout) as caught:
        await anext(broken.rest)
    broken.fail(caught.value)

    winner = await race.run()

    assert winner.id == "last"
    assert gaps(race)[1] >= SOON
    assert outcomes(race) == {"hasty": "failed", "silent": "cut off", "last": "won"}
