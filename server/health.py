"""Each provider's record, from this server's own traffic: what it was asked and did."""

from bisect import insort
from collections import deque
from collections.abc import Iterable
from math import inf
from typing import Any

from attrs import define, field

from .race import Lane

# So many times to first token are remembered: enough for a p99 that means something.
REMEMBERED = 200
PERCENTILES = (50, 90, 99)
# What a provider that has no record yet is taken for, so that it is tried: good.
UNTRIED = 0.0


@define(eq=False)
class Record:
    """
    What became of one provider's starts.

    A racer that was cut off has lost, but not failed: nobody knows what it would have
    said. One whose client went away is not counted at all.
    """

    requests: int = 0
    wins: int = 0
    losses: int = 0
    failures: int = 0
    last_error: str | None = None
    _ttft: deque[float] = field(factory=lambda: deque(maxlen=REMEMBERED))
    _recent: deque[bool] = field(factory=lambda: deque(maxlen=20))

    def add(self, lane: Lane) -> None:
        self.requests += 1
        if lane.outcome == "won":
            self.wins += 1
        elif lane.outcome == "cut off":
            self.losses += 1
        if lane.ttft is not None:
            self._ttft.append(lane.ttft * 1000)
        if lane.error is not None:
            self.failures += 1
            self.last_error = f"{lane.error.code}: {lane.error}"
        if lane.outcome != "cut off":
            self._recent.append(lane.error is None)

    def ttft_ms(self) -> dict[str, float | None]:
        """Return quantiles of the time to first token, in milliseconds."""
        ordered: list[float] = []
        for value in self._ttft:
            insort(ordered, value)
        return {f"p{percent}": _quantile(ordered, percent) for percent in PERCENTILES}

    def rank(self) -> tuple[float, float]:
        """Return a key that sorts the best record first: reliable, then fast."""
        failed = 1 - sum(self._recent) / len(self._recent) if self._recent else UNTRIED
        slow = inf if self.losses else UNTRIED  # it never came in first
        return round(failed, 1), self.ttft_ms()["p50"] or slow

    def payload(self) -> dict[str, Any]:
        return {
            "status": "ready",
            "requests": self.requests,
            "wins": self.wins,
            "losses": self.losses,
            "failures": self.failures,
            "ttft_ms": self.ttft_ms(),
            "last_error": self.last_error,
            "resting_until": None,
        }


class Health:
    """The records of all providers, by id; they outlive a reload."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}

    def of(self, provider: str) -> Record:
        return self._records.setdefault(provider, Record())

    def add(self, lanes: Iterable[Lane]) -> None:
        """Take in a race that has ended; with no winner, nobody lost it."""
        lanes = list(lanes)
        decided = any(lane.first_token is not None for lane in lanes)
        for lane in lanes:
            if decided or lane.outcome == "failed":
                self.of(lane.racer.id).add(lane)


def _quantile(ordered: list[float], percent: int) -> float | None:
    """Return the nearest-rank quantile of sorted values."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return round(ordered[rank - 1], 1)
