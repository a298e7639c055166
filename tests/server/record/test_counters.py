"""Counters: the same places in all processes, and sums that never fall."""

from collections.abc import Sequence
from pathlib import Path

from server.racing.strategies import Budget
from server.record.counters import CounterSlots, counters_of_worker
from server.record.register import MOST, OTHER
from server.record.shared_budget import SharedBudget


def sums(counters: CounterSlots) -> dict[tuple[str, ...], list[float]]:
    return {
        (series.name, *series.labels): [sum(each) for each in zip(*parts, strict=True)]
        for series, parts in counters.numbers()
    }


def test_all_processes_see_all(tmp_path: Path) -> None:
    """Whoever adds a series, it has one place, and every process sees each number."""
    one, two = counters_of_worker(tmp_path, 1, 2), counters_of_worker(tmp_path, 2, 2)
    for counters, label, amount in ((one, "a", 1), (two, "b", 2), (two, "a", 4)):
        counters.slots[counters.slot("x", (label,), 2) + 1] += amount
    assert one.slot("x", ("b",), 2) == two.slot("x", ("b",), 2)

    for counters in (one, two):
        assert sums(counters) == {("x", "a"): [0, 5], ("x", "b"): [0, 2]}


def test_a_follower_goes_on_where_the_last_one_died(tmp_path: Path) -> None:
    """What a worker has counted stays, though it said nothing; gauges begin anew."""
    first = counters_of_worker(tmp_path, 1, 2)
    first.slots[first.slot("count")] += 3
    first.slots[first.slot("open")] += 3
    other = counters_of_worker(tmp_path, 2, 2)
    assert sums(other) == {("count",): [3], ("open",): [3]}

    follower = counters_of_worker(tmp_path, 1, 2)
    follower.reset({"open"})
    follower.slots[follower.slot("count")] += 1

    assert sums(other) == {("count",): [4], ("open",): [0]}


def test_a_line_that_was_begun_is_dropped(tmp_path: Path) -> None:
    """A worker that was killed while it wrote takes no place away from others."""
    first = counters_of_worker(tmp_path, 1, 2)
    first.slot("x")
    with (tmp_path / "names").open("ab") as names:
        names.write(b'["y",[')

    other = counters_of_worker(tmp_path, 2, 2)
    other.slots[other.slot("z")] += 1

    assert sums(first) == {("x",): [0], ("z",): [1]}


def test_bounded_labels(tmp_path: Path) -> None:
    """A name has a bounded number of sets of labels; the rest is counted as one."""
    shared: Sequence[CounterSlots] = [
        counters_of_worker(tmp_path, n, 2) for n in (1, 2)
    ]
    for counters in ([CounterSlots()] * 2, shared):
        for i in range(2 * MOST):
            each = counters[i % 2]
            each.slots[each.slot("x", (str(i), "y"))] += 1

        counted = sums(counters[0])
        assert len(counted) == MOST
        assert counted["x", OTHER, OTHER] == [MOST + 1]
        assert sum(number for (number,) in counted.values()) == 2 * MOST


def test_one_budget_for_all(tmp_path: Path) -> None:
    """What requests of one worker save, hedges of another spend, and no more."""
    one, two = (SharedBudget(counters_of_worker(tmp_path, n, 2)) for n in (1, 2))
    alone = Budget()
    for i in range(200):
        both = (one, two)[i % 2], (two, one)[i % 2]
        both[0].deposit(0.3)
        alone.deposit(0.3)
        if i % 50 > 20:
            assert both[1].take() == alone.take()
    one.deposit(0.0)
    assert not two.take()
