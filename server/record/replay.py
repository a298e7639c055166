"""Recorded races, run again with another policy: how fast, for how many calls."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Self

from attrs import define, field, frozen

from providers import ProviderError, ProviderProtocolError
from server.racing.health import Health
from server.racing.lanes import Outcome
from server.racing.strategies import STRATEGIES, Budget, Opening, Policy

from .races_file import Known, Recorded
from .simulation import Result, Take, simulate


@frozen
class _Past:
    """How one simulated start ended, for the records."""

    id: str
    model: str
    outcome: Outcome
    started: float
    ttft: float | None
    seconds: float
    error: ProviderError | None
    hurried: bool = False
    answered_in: float | None = None
    notes: Sequence[str] = ()


@define
class Tally:
    """The result of a policy: seconds to the first token, calls, and winners."""

    seconds: list[float] = field(factory=list)
    calls: int = 0
    failed: int = 0
    winners: list[str | None] = field(factory=list)

    @classmethod
    def recorded(cls, races: Sequence[Recorded]) -> Self:
        """Return what the races came to when they were run."""
        tally = cls()
        for race in races:
            tally.add(race.winner, race.seconds, race.calls)
        return tally

    def add(self, winner: str | None, seconds: float, calls: int) -> None:
        self.calls += calls
        self.winners.append(winner)
        if winner is None:
            self.failed += 1
        else:
            self.seconds.append(seconds)

    def quantile(self, percent: int) -> float | None:
        """Return the nearest-rank quantile of the times to first token, in seconds."""
        ordered = sorted(self.seconds)
        rank = -(-len(ordered) * percent // 100)
        return ordered[rank - 1] if ordered else None


@define
class Replay:
    """
    Runs *races* again, as *policy* says.

    The log can't tell how long a racer would have taken that was cut off or never
    started. Such times are drawn from the same provider's times in other races, by a
    generator with a *seed*: *drawn* counts them, *known* those from the log. Providers
    without any time in the log are left out: *unknown*.
    """

    races: Sequence[Recorded]
    policy: Policy
    seed: int = 0
    drawn: int = field(default=0, init=False)
    known: int = field(default=0, init=False)
    unknown: set[str] = field(factory=set, init=False)
    _health: Health = field(init=False)
    _budget: Budget = field(factory=Budget, init=False)
    _takes: dict[tuple[str, str], list[Take]] = field(init=False)
    _chance: random.Random = field(init=False)

    def run(self) -> Tally:
        """Return the result of the policy."""
        self._chance = random.Random(self.seed)
        self._health = Health(random.Random(self.seed))
        self._takes = _pool(self.races)
        tally = Tally()
        for race in self.races:
            again = self._same if race.ran_as(self.policy) else self._other
            result = again(race)
            self._learn(race, result)
            tally.add(result.winner, result.seconds, len(result.legs))
        return tally

    def _same(self, race: Recorded) -> Result:
        """Run it as recorded: the same racers start at the same times."""
        started = [racer for racer in race.racers if racer.start is not None]
        starts = {racer.id: racer.start or 0.0 for racer in started}
        takes = {racer.id: self._take(racer) for racer in started}
        policy = race.policy
        schedule = STRATEGIES[policy.strategy].replay(policy, starts)
        return simulate(list(starts), takes, schedule)

    def _other(self, race: Recorded) -> Result:
        policy, health = self.policy, self._health
        strategy = STRATEGIES[policy.strategy]
        racers: Sequence[Known] = [r for r in race.racers if self._is_known(r)]
        if strategy.by_record:
            racers = health.best_first(racers)
        schedule = strategy.begin(Opening(policy, racers, health, self._budget))
        takes = {racer.id: self._take(racer) for racer in racers}
        return simulate([racer.id for racer in racers], takes, schedule)

    def _is_known(self, racer: Known) -> bool:
        """Say whether the log has any time of its provider."""
        itself = racer.take is not None or bool(racer.at_least)
        known = itself or bool(self._takes[racer.id, ""])
        if not known:
            self.unknown.add(racer.id)
        return known

    def _take(self, racer: Known) -> Take:
        """Return how long *racer* took, or one that it might have taken."""
        if racer.take is not None:
            self.known += 1
            return racer.take
        self.drawn += 1
        pool = self._takes[racer.id, racer.model] or self._takes[racer.id, ""]
        longer = [take for take in pool if take.seconds > racer.at_least]
        # If none took longer, the time at which it was cut off is the best estimate.
        return self._chance.choice(longer) if longer else Take(racer.at_least)

    def _learn(self, race: Recorded, result: Result) -> None:
        """Update the records as the policy would have seen them."""
        models = {racer.id: racer.model for racer in race.racers}
        end = result.seconds
        for leg in result.legs:
            won = leg.id == result.winner
            failed = not won and leg.take.failed and leg.due <= end
            outcome: Outcome = "won" if won else "failed" if failed else "cut off"
            self._health.add(
                _Past(
                    id=leg.id,
                    model=models[leg.id],
                    outcome=outcome,
                    started=leg.started,
                    ttft=leg.due - leg.started if won else None,
                    seconds=min(leg.due, end) - leg.started,
                    error=ProviderProtocolError("failed") if failed else None,
                )
            )


def _pool(races: Iterable[Recorded]) -> dict[tuple[str, str], list[Take]]:
    """Return all times in the log, by provider and model; the model "" has all."""
    pool: dict[tuple[str, str], list[Take]] = defaultdict(list)
    for race in races:
        for racer in race.racers:
            if racer.take is not None:
                pool[racer.id, racer.model].append(racer.take)
                pool[racer.id, ""].append(racer.take)
    return pool
