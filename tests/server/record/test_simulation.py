"""Races on paper: who wins when, with the schedules of real races."""

from math import inf

import pytest

from server.racing.strategies import Budget, Hedge, Parallel, Strategy
from server.record.simulation import Take, simulate

FAST, SLOW, BROKEN = Take(0.1), Take(1.0), Take(0.05, failed=True)


def hedge(delay: float, tokens: int = 9) -> Hedge:
    budget = Budget()
    budget.deposit(float(tokens))
    return Hedge(dict.fromkeys("ABC", delay), budget, 8)


@pytest.mark.parametrize(
    ("takes", "schedule", "winner", "seconds", "started"),
    [
        ({"A": SLOW, "B": FAST}, Parallel(8), "B", 0.1, "AB"),
        ({"A": SLOW, "B": FAST}, Parallel(1), "A", 1.0, "A"),
        ({"A": BROKEN, "B": FAST}, Parallel(1), "B", 0.15, "AB"),
        ({"A": BROKEN, "B": BROKEN}, Parallel(1), None, inf, "AB"),
        ({"A": BROKEN, "B": SLOW, "C": FAST}, Parallel(2), "C", 0.15, "ABC"),
        ({"A": SLOW, "B": FAST}, hedge(0.5), "B", 0.6, "AB"),
        ({"A": SLOW, "B": FAST}, hedge(0.5, tokens=0), "A", 1.0, "A"),
        ({"A": FAST, "B": FAST}, hedge(0.5), "A", 0.1, "A"),
        ({"A": BROKEN, "B": FAST}, hedge(0.5, tokens=0), "B", 0.15, "AB"),
        ({"A": SLOW, "B": SLOW, "C": FAST}, hedge(0.25), "C", 0.6, "ABC"),
        ({"A": Take(inf), "B": BROKEN}, Parallel(8), None, inf, "AB"),
    ],
)
def test_simulate(
    takes: dict[str, Take],
    schedule: Strategy,
    winner: str | None,
    seconds: float,
    started: str,
) -> None:
    """The first token wins, at its time, among those whom the schedule has started."""
    result = simulate("".join(takes), takes, schedule)

    assert result.winner == winner
    assert result.seconds == pytest.approx(seconds)
    assert "".join(leg.id for leg in result.legs) == started
