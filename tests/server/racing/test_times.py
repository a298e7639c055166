"""Quantiles of the times to first token, also of those that nobody waited out."""

import random
from collections.abc import Iterable
from fractions import Fraction
from math import ceil, inf

import pytest

from server.racing.times import ENOUGH, REMEMBERED, Times

PERCENTS = [1, 10, 25, 50, 90, 95, 99, 99.9]

# Weeks to relapse under 6-mercaptopurine, of 21 patients; 12 had none as long as they
# were watched. Freireich et al., Blood 21 (1963), the textbooks' example.
RELAPSED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
WATCHED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
# What Kaplan and Meier's estimator leaves of them after each relapse, as in textbooks.
LEFT = {
    6: 0.857,
    7: 0.807,
    10: 0.753,
    13: 0.690,
    16: 0.627,
    22: 0.538,
    23: 0.448,
}


def times(seen: Iterable[float] = (), waited: Iterable[float] = ()) -> Times:
    """Return the times of tokens *seen*, and of those *waited* for that long."""
    rows = [(ms, True) for ms in seen] + [(ms, False) for ms in waited]
    random.Random(1).shuffle(rows)
    made = Times()
    for ms, was_seen in rows:
        made.add(ms, seen=was_seen)
    return made


def nearest_rank(values: list[float], percent: float) -> float:
    rank = ceil(Fraction(str(percent)) / 100 * len(values))
    return sorted(values)[rank - 1]


@pytest.mark.parametrize("percent", PERCENTS)
@pytest.mark.parametrize("count", [1, 2, 7, 20, 99, 100, REMEMBERED])
def test_all_seen(count: int, percent: float) -> None:
    """Where every token was waited for, a quantile is the one of the nearest rank."""
    chance = random.Random(count)
    values = [round(chance.lognormvariate(6, 1), 1) for _ in range(count)]
    values += values[: count // 3]  # equal ones
    values = values[:REMEMBERED]

    assert times(values).quantile(percent) == nearest_rank(values, percent)
    if percent in (50, 90, 99):
        assert times(values).seen(percent) == nearest_rank(values, percent)


def test_textbook_example() -> None:
    """With some never seen, quantiles are where Kaplan and Meier's curve has them."""
    made = times(map(float, RELAPSED), map(float, WATCHED))

    for week, left in LEFT.items():
        assert made.quantile(100 * (1 - left) - 0.1) == week
        assert made.quantile(100 * (1 - left) + 0.1) > week
    assert made.quantile(50) == 23  # the median that textbooks give
    assert made.quantile(56) == 35  # nobody knows: the longest that was waited


def survivors(rows: list[tuple[float, bool]], still_out: Fraction) -> float:
    """Return the first time after which so many are left: the definition, in full."""
    left = Fraction(1)
    for moment in sorted({ms for ms, _ in rows}):
        waiting = sum(ms >= moment for ms, _ in rows)
        came = sum(ms == moment and seen for ms, seen in rows)
        left *= 1 - Fraction(came, waiting)
        if came and left <= still_out:
            return moment
    return max(ms for ms, _ in rows)


@pytest.mark.parametrize("seed", range(40))
def test_against_the_definition(seed: int) -> None:
    """Whatever was seen and what was not, with ties: as the definition has it."""
    chance = random.Random(seed)
    rows = [
        (float(chance.randint(1, 30)), chance.random() < 0.6)
        for _ in range(chance.randint(1, REMEMBERED))
    ]
    made = times(
        [ms for ms, seen in rows if seen], [ms for ms, seen in rows if not seen]
    )

    for percent in PERCENTS:
        still_out = 1 - Fraction(str(percent)) / 100
        assert made.quantile(percent) == survivors(rows, still_out)


def test_a_loser_does_not_look_faster_than_it_is() -> None:
    """
    One that takes from 1 to 1000 ms and is cut off whenever that is more than 300 has
    the same quantiles, up to there, as if it had always been waited for.
    """
    true = [float(5 * n) for n in range(1, REMEMBERED + 1)]
    chance = random.Random(2)
    patience = [chance.choice([300.0, 2000.0]) for _ in true]

    seen = [ms for ms, limit in zip(true, patience, strict=True) if ms <= limit]
    late = [limit for ms, limit in zip(true, patience, strict=True) if ms > limit]
    made = times(seen, late)

    assert late
    for percent in (10, 25, 30):
        assert made.quantile(percent) == nearest_rank(true, percent)
    for percent in (50, 75, 90):
        assert made.quantile(percent) == pytest.approx(
            nearest_rank(true, percent), rel=0.1
        )
        assert made.quantile(percent) > nearest_rank(seen, percent)


def test_always_cut_off() -> None:
    """Of one that never spoke it is known how long it was waited for, and no more."""
    made = times(waited=[10.0, 250.0, 30.0])

    assert [made.quantile(percent) for percent in PERCENTS] == [250.0] * len(PERCENTS)
    assert [made.seen(percent) for percent in (50, 90, 99)] == [None] * 3


def test_what_was_seen() -> None:
    """The quantiles for people are of the tokens that really came."""
    made = times([100.04, 300.0], waited=[500.0] * 10)

    assert [made.seen(percent) for percent in (50, 99)] == [100.0, 300.0]


def test_nothing_yet() -> None:
    """Without any time there is no quantile, and none is made up."""
    assert Times().seen(50) is None
    with pytest.raises(ValueError, match="empty"):
        Times().quantile(50)


def test_new_times_count_at_once() -> None:
    """A quantile that was asked for before is worked out again for what came since."""
    made = times([1.0])
    assert made.quantile(50) == 1.0

    for _ in range(2):
        made.add(9.0, seen=True)

    assert made.quantile(50) == 9.0


def test_only_the_last_are_remembered() -> None:
    """Old times are forgotten, whether they were seen or not."""
    made = times([1.0] * REMEMBERED, [inf] * REMEMBERED)
    for _ in range(REMEMBERED):
        made.add(5.0, seen=True)

    assert made.quantile(1) == made.quantile(99) == 5.0


def test_enough() -> None:
    """Twenty are enough to act upon, those that were cut off among them."""
    made = times([1.0] * 10, [2.0] * (ENOUGH - 11))
    assert not made.enough

    made.add(3.0, seen=False)

    assert made.enough
