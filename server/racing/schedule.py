"""Who starts when: race, fallback, hedge. Pure: given times, it answers times."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import define, field, frozen

# Calls that a budget saves up at most, for a bad moment to spend at once: the bucket of
# gRPC's retry throttling (gRFC A6) in its documented size.
SAVED = 10.0
# What rounding may take from a sum of small deposits.
ROUNDING = 1e-9


class Run(Protocol):
    """One racer that has started: who, when (seconds), and whether it still runs."""

    @property
    def id(self) -> str: ...

    @property
    def started(self) -> float: ...

    @property
    def running(self) -> bool: ...


class Schedule(Protocol):
    """
    When the next in line starts; one instance a race.

    Times are seconds on any one clock. *runs* are those of this round in the order of
    their starts.
    """

    @property
    def limit(self) -> int:
        """How many run at a time, at most."""
        ...

    def fair(self, racers: int) -> bool:
        """Say whether the order of so many racers is to mean nothing."""
        ...

    def next_start(self, runs: Sequence[Run], now: float) -> float | None:
        """Return when the next starts; None: not before one of *runs* fails."""
        ...

    def admit(self, runs: Sequence[Run]) -> bool:
        """Say whether the next may start, now that its time has come."""
        ...


@frozen
class Parallel:
    """*limit* at a time: all of them race, one alone falls back on the next."""

    limit: int

    def fair(self, racers: int) -> bool:
        return self.limit >= racers

    def next_start(self, runs: Sequence[Run], now: float) -> float | None:
        return now if _running(runs) < self.limit else None

    def admit(self, runs: Sequence[Run]) -> bool:  # noqa: ARG002 - it is free
        return True


@define
class Budget:
    """
    Extra calls that hedges may cost: a token bucket, filled by requests, not by time.

    Each request pays its share in; each hedge takes 1 out. Over any number of requests
    the hedges stay within that share of them, rounded up, and what was saved before.
    """

    _tokens: float | None = None

    def deposit(self, share: float) -> None:
        """Pay in for one request: *share* is the extra calls per request, at most."""
        # So that the first request may hedge, where any may.
        saved = max(1.0 - share, 0.0) if self._tokens is None else self._tokens
        self._tokens = min(saved + share, max(SAVED, share)) if share else 0.0

    def take(self) -> bool:
        """Pay for one hedge; False: there is nothing left to pay it with."""
        if self._tokens is None or self._tokens < 1.0 - ROUNDING:
            return False
        self._tokens = max(self._tokens - 1.0, 0.0)
        return True


@define
class Hedge:
    """
    The first alone; the next when the one before has had its *delays* (seconds, by id)
    without a token, or at once when that one has failed. Whoever starts beside another
    is an extra call, for which *budget* has to pay; who starts alone is none.

    *limit* is how many run at a time, at most; *refused*, whether the budget has kept a
    hedge from starting.
    """

    delays: Mapping[str, float]
    budget: Budget
    limit: int
    refused: bool = field(default=False, init=False)
    # How many had started in this round when that was so.
    _refused_at: int = field(default=0, init=False)

    def fair(self, racers: int) -> bool:  # noqa: ARG002 - the best goes first
        return False

    def next_start(self, runs: Sequence[Run], now: float) -> float | None:
        running = _running(runs)
        if not running:
            return now
        if running >= self.limit or self._refused_at == len(runs):
            return None
        last = runs[-1]
        return last.started + self.delays[last.id] if last.running else now

    def admit(self, runs: Sequence[Run]) -> bool:
        if not _running(runs) or self.budget.take():
            self._refused_at = 0
            return True
        self.refused, self._refused_at = True, len(runs)
        return False


def _running(runs: Sequence[Run]) -> int:
    return sum(run.running for run in runs)
