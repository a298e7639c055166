"""What a strategy is: all that races, lineups, replays and logs need of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Protocol, Self

from attrs import define, frozen

from .budget import Budget


class Candidate(Protocol):
    """A racer that has not started."""

    @property
    def id(self) -> str: ...

    @property
    def model(self) -> str: ...


class Run(Protocol):
    """One racer that has started: who, when (seconds), and whether it still runs."""

    @property
    def id(self) -> str: ...

    @property
    def started(self) -> float: ...

    @property
    def running(self) -> bool: ...


class Records(Protocol):
    """What is known of earlier calls to the racers."""

    def delay(self, racer: Candidate, percent: float) -> float:
        """Return the seconds in which so many per cent of first tokens have come."""
        ...


@frozen(kw_only=True)
class Policy:
    """
    How a race is to be run: by which strategy, with which of its settings.

    *parallel* is how many run at a time, at most; *delay* what `hedge_delay` says,
    seconds or a quantile of the provider's own times as "p90"; *budget* the extra calls
    per request, at most.
    """

    strategy: str
    delay: float | str = "p90"
    budget: float = 0.1
    parallel: int = 8


@define
class Opening:
    """
    What a race begins with. The *budget* of extra calls is shared by all races.

    Not frozen, as one is made for every request: attrs' frozen records take three times
    as long to make.
    """

    policy: Policy
    racers: Sequence[Candidate]
    records: Records
    budget: Budget


class Strategy(ABC):
    """
    Who starts when. The class is the strategy; an instance is the schedule of one race.

    Times are seconds on any one clock. *runs* are the starts of the current round, in
    their order. *limit* is how many run at a time, at most. The race log shows
    *refused*, whether a budget has kept a racer from starting, *delays*, the seconds
    that racers were given before the next one started, by id, and *hedges*, how many
    extra calls a budget has paid for.
    """

    __slots__ = ()
    name: ClassVar[str]
    # Whether the racer with the best record starts first, whatever order is given.
    by_record: ClassVar[bool] = False
    limit: int
    refused: bool = False
    hedges: int = 0
    delays: Mapping[str, float] = MappingProxyType({})

    @classmethod
    def most_parallel(cls, racers: int) -> int:
        """Return how many of so many *racers* may run at a time."""
        return racers

    @classmethod
    def at_once(cls, policy: Policy) -> int:
        """Return how many start together when a race begins."""
        return policy.parallel

    @classmethod
    @abstractmethod
    def begin(cls, opening: Opening) -> Self:
        """Return the schedule of a new race."""

    @classmethod
    @abstractmethod
    def replay(cls, policy: Policy, starts: Mapping[str, float]) -> Self:
        """Return the schedule that leads to the recorded *starts*, seconds by id."""

    @classmethod
    def same(cls, _: Policy, __: Policy) -> bool:
        """Say whether two policies with this strategy run a race alike."""
        return True

    @classmethod
    def title(cls, _: Policy) -> str:
        """Return what the replay's table calls it, with the settings that count."""
        return cls.name

    @abstractmethod
    def fair(self, racers: int) -> bool:
        """Say whether so many racers are to start in a random order."""

    @abstractmethod
    def next_start(self, runs: Sequence[Run], now: float) -> float | None:
        """Return when the next starts; None: not before one of *runs* fails."""

    def admit(self, _: Sequence[Run]) -> bool:
        """Say whether the next may start, now that its time has come."""
        return True

    def withhold(self, _: Sequence[Run]) -> None:  # noqa: B027 - most have no use for it
        """Note that one that was admitted may not start beside *runs* after all."""


def count_running(runs: Sequence[Run]) -> int:
    return sum(run.running for run in runs)
