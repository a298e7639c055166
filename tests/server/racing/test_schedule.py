"""Who starts when, on a clock of numbers: no race, no waiting."""

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import ceil, floor, inf

import pytest
from attrs import define

from server.racing.strategies import SAVED, Budget, Hedge, Parallel, Strategy
from server.record.simulation import Result, Take, simulate

SHARES = [0.01, 0.1, 0.25, 1 / 3, 0.5, 0.7, 1.0, 1.7, 3.0]
FREE = 1e6


@define
class Running:
    """One that has started."""

    id: str
    started: float
    running: bool = True


def runs(*rows: tuple[str, float, bool]) -> list[Running]:
    return [Running(*row) for row in rows]


def budget(calls: float) -> Budget:
    """Return one that can pay for so many."""
    made = Budget()
    made.deposit(calls)
    return made


def hedge(delays: dict[str, float], calls: float = FREE, limit: int = 8) -> Hedge:
    return Hedge(delays, budget(calls), limit)


def ask(schedule: Strategy, started: Sequence[Running], now: float) -> str | float:
    """Say what the next one is told at *now*: to go, to come again at a time, or no."""
    due = schedule.next_start(started, now)
    if due is None:
        return "wait"
    if due > now:
        return due
    return "go" if schedule.admit(started) else "no"


def test_parallel_starts_all() -> None:
    """As many as may run start at once, and in no order that counts."""
    schedule, started = Parallel(3), runs()
    for name in "abc":
        assert ask(schedule, started, 1.0) == "go"
        started += runs((name, 1.0, True))

    assert ask(schedule, started, 1.0) == "wait"
    assert [schedule.fair(n) for n in (2, 3, 4)] == [True, True, False]


def test_parallel_replaces_those_that_failed() -> None:
    """Each failure makes room for one more, whatever became of the others."""
    schedule = Parallel(2)
    started = runs(("a", 0.0, True), ("b", 0.0, False))

    assert ask(schedule, started, 1.0) == "go"
    assert ask(schedule, [*started, *runs(("c", 1.0, True))], 9.0) == "wait"


def test_one_at_a_time_is_to_fall_back() -> None:
    """The next one starts when the one before has failed, and never for being late."""
    schedule = Parallel(1)

    assert ask(schedule, runs(("a", 0.0, True)), inf) == "wait"
    assert ask(schedule, runs(("a", 0.0, False)), 1.0) == "go"
    assert not schedule.fair(2)


def test_hedge_starts_one_alone() -> None:
    """The first starts at once, the next when that one has had its own delay."""
    schedule = hedge({"a": 0.5, "b": 0.2, "c": 9.0})

    assert ask(schedule, runs(), 1.0) == "go"
    assert ask(schedule, runs(("a", 1.0, True)), 1.0) == 1.5
    assert ask(schedule, runs(("a", 1.0, True)), 1.5) == "go"
    assert ask(schedule, runs(("a", 1.0, True), ("b", 1.5, True)), 1.5) == 1.7
    assert not schedule.fair(2)


def test_hedge_replaces_the_last_at_once() -> None:
    """A failure is not waited out: the next starts before the delay, and for free."""
    schedule = hedge({"a": 60.0, "b": 60.0, "c": 60.0}, calls=0)
    failed = runs(("a", 1.0, False))

    assert ask(schedule, failed, 1.1) == "go"
    failed += runs(("b", 1.1, False))
    assert ask(schedule, failed, 1.2) == "go"
    assert not schedule.refused


def test_hedge_has_replaced_an_earlier_one_already() -> None:
    """A failure behind which another has started long ago makes nobody start sooner."""
    schedule = hedge({"a": 0.5, "b": 0.5})

    assert ask(schedule, runs(("a", 0.0, False), ("b", 0.5, True)), 0.6) == 1.0


def test_hedge_limit() -> None:
    """Never more than so many run at a time, whatever the delay and the budget."""
    schedule = hedge({"a": 0.0, "b": 0.0, "c": 0.0}, limit=2)

    assert ask(schedule, runs(("a", 0.0, True), ("b", 0.0, True)), 9.0) == "wait"
    assert ask(schedule, runs(("a", 0.0, False), ("b", 0.0, True)), 9.0) == "go"
    assert ask(schedule, runs(("a", 0.0, True), ("b", 0.0, False)), 9.0) == "go"


def test_hedge_of_one_at_a_time_is_to_fall_back() -> None:
    """With a limit of one nobody is hedged, and failures are replaced all the same."""
    schedule = hedge({"a": 0.0}, limit=1)

    assert ask(schedule, runs(("a", 0.0, True)), 9.0) == "wait"
    assert ask(schedule, runs(("a", 0.0, False)), 9.0) == "go"


def test_an_empty_bucket_refuses_new_hedges_only() -> None:
    """Who is late stays alone then, is not asked for again, and may still fail."""
    schedule = hedge({"a": 0.5, "b": 0.5}, calls=0)
    started = runs(("a", 0.0, True))

    assert ask(schedule, started, 0.5) == "no"
    assert schedule.refused
    assert ask(schedule, started, 0.5) == "wait"
    schedule.budget.deposit(FREE)
    assert ask(schedule, started, 9.0) == "wait"

    started[0].running = False
    assert ask(schedule, started, 9.0) == "go"
    assert ask(schedule, [*started, *runs(("b", 9.0, True))], 9.6) == "go"
    assert schedule.refused


def test_another_round_asks_the_budget_again() -> None:
    """That it was empty once does not mean that it is in the next round of a race."""
    schedule = hedge({"a": 0.5, "b": 0.5}, calls=0)
    assert ask(schedule, runs(("a", 0.0, True)), 0.5) == "no"
    schedule.budget.deposit(FREE)

    assert ask(schedule, runs(), 1.0) == "go"
    assert ask(schedule, runs(("b", 1.0, True)), 1.5) == "go"


def test_whoever_starts_beside_another_is_paid_for() -> None:
    """A hedge is, and what replaces a failed one; who starts alone is not."""
    schedule = hedge({"a": 0.0, "b": 0.0, "c": 0.0}, calls=2)
    beside = runs(("a", 0.0, True), ("b", 0.0, False))

    assert ask(schedule, runs(), 0.0) == "go"
    assert ask(schedule, runs(("a", 0.0, False)), 0.0) == "go"
    assert ask(schedule, beside[:1], 0.0) == "go"
    assert ask(schedule, beside, 0.0) == "go"
    assert ask(schedule, beside, 0.0) == "no"
    beside[0].running = False
    assert ask(schedule, beside, 0.0) == "go"


def test_no_budget() -> None:
    """With a share of nothing there are no hedges, whatever was saved before."""
    spent = budget(5.0)
    spent.deposit(0.0)

    assert not spent.take()
    assert not Budget().take()


@pytest.mark.parametrize("share", SHARES)
def test_the_first_request_may_hedge(share: float) -> None:
    """However small its share, a budget pays for one hedge to begin with."""
    assert budget(share).take()


@pytest.mark.parametrize("share", SHARES)
def test_who_always_wants_gets_its_share(share: float) -> None:
    """The budget is not only a cap: what is paid in can be spent, to the last call."""
    made, taken = Budget(), 0
    for n in range(1, 2000):
        made.deposit(share)
        while made.take():
            taken += 1
        assert floor(share * n + 1e-6) <= taken <= ceil(share * n - 1e-6)


def wants(seed: int) -> list[int]:
    """Return how many hedges each of many requests would like: in bursts and lulls."""
    chance = random.Random(seed)
    wanted: list[int] = []
    while len(wanted) < 600:
        most = chance.choice([0, 0, 1, 1, 2, 7, 50])
        wanted += [chance.randint(0, most) for _ in range(chance.randint(1, 80))]
    return wanted


def granted(share: float, wanted: list[int]) -> list[int]:
    made = Budget()
    given = []
    for want in wanted:
        made.deposit(share)
        given.append(sum(made.take() for _ in range(want)))
    return given


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("seed", range(5))
def test_hedges_stay_within_their_share(share: float, seed: int) -> None:
    """
    After any number of requests, whatever they wanted, no more than that share of them,
    rounded up; over any window, no more than its share and what was saved: ten.
    """
    given = granted(share, wants(seed))

    for n, taken in enumerate(accumulate(given), 1):
        assert taken <= ceil(share * n - 1e-6)
    over = [taken - share * n for n, taken in enumerate(accumulate([0, *given]))]
    lowest = inf
    for each in over:
        lowest = min(lowest, each)
        assert each - lowest <= SAVED + 1e-6


def raced(chance: random.Random, spender: Budget, racers: int) -> tuple[Result, Hedge]:
    """Run a race on paper whose racers fail, hang, or are late as *chance* has it."""
    names = [f"r{n}" for n in range(racers)]
    takes = {
        name: Take(
            chance.choice([0.1, chance.random(), 5.0]), failed=chance.random() < 0.3
        )
        for name in names
    }
    delays = {name: chance.choice([0.0, 0.2, 1.0]) for name in names}
    schedule = Hedge(delays, spender, chance.randint(1, racers))
    spender.deposit(0.2)
    return simulate(names, takes, schedule), schedule


@pytest.mark.parametrize("racers", [2, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_whole_races(seed: int, racers: int) -> None:
    """
    In any race each start after the first comes when everyone has failed, or beside
    another: at once after the failure of the one before, or after its delay, never too
    many at a time, and paid for.
    """
    chance, spender, hedges = random.Random(seed), Budget(), 0
    for n in range(1, 400):
        result, schedule = raced(chance, spender, racers)
        for at, (before, leg) in enumerate(pairwise(result.legs), 1):
            earlier = result.legs[:at]
            if all(o.take.failed and o.due <= leg.started for o in earlier):
                assert leg.started == max(o.due for o in earlier)
                continue
            hedges += 1
            if before.take.failed and before.due <= leg.started:
                assert leg.started == before.due
            else:
                delay = schedule.delays[before.id]
                assert leg.started >= before.started + delay
        for leg in result.legs:
            beside = [o for o in result.legs if o.started <= leg.started < o.due]
            assert len(beside) <= max(schedule.limit, 1)
        assert hedges <= ceil(0.2 * n - 1e-6)
        everyone_failed = len(result.legs) == racers
        assert result.winner is not None or everyone_failed
