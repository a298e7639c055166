"""The strategy "hedge": one racer starts, and the next beside it if it is late."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import ClassVar, Self

from attrs import define, field

from .budget import Budget
from .strategy import Opening, Policy, Run, Strategy, count_running


@define
class Hedge(Strategy):
    """
    The first racer starts alone. The next one starts when the one before it has been
    without a token for its delay (*delays*, seconds by id), or at once when that one
    has failed. A racer that starts beside another is an extra call, for which *budget*
    has to pay.
    """

    delays: Mapping[str, float]
    budget: Budget
    limit: int
    refused: bool = field(default=False, init=False)
    hedges: int = field(default=0, init=False)
    # How many had started in this round when the budget refused the next.
    _refused_at: int = field(default=0, init=False)
    name: ClassVar[str] = "hedge"
    by_record: ClassVar[bool] = True

    @classmethod
    def at_once(cls, _: Policy) -> int:
        return 1

    @classmethod
    def begin(cls, opening: Opening) -> Self:
        policy, racers = opening.policy, opening.racers
        opening.budget.deposit(policy.budget)
        delay = policy.delay
        if isinstance(delay, str):
            percent = float(delay.removeprefix("p"))
            delays = {
                racer.id: opening.records.delay(racer, percent) for racer in racers
            }
        else:
            delays = {racer.id: delay for racer in racers}
        return cls(delays, opening.budget, policy.parallel)

    @classmethod
    def replay(cls, policy: Policy, starts: Mapping[str, float]) -> Self:
        gaps = [later - start for start, later in pairwise(starts.values())]
        delays = dict(zip(starts, [*gaps, inf], strict=True))
        budget = Budget()
        budget.deposit(float(len(starts)))
        return cls(delays, budget, policy.parallel)

    @classmethod
    def same(cls, one: Policy, other: Policy) -> bool:
        return (one.delay, one.budget) == (other.delay, other.budget)

    @classmethod
    def title(cls, policy: Policy) -> str:
        return f"{cls.name}, delay {policy.delay}, budget {policy.budget:g}"

    def fair(self, _: int) -> bool:
        return False  # the one with the best record starts first

    def next_start(self, runs: Sequence[Run], now: float) -> float | None:
        running = count_running(runs)
        if not running:
            return now
        if running >= self.limit or self._refused_at == len(runs):
            return None
        last = runs[-1]
        return last.started + self.delays[last.id] if last.running else now

    def admit(self, runs: Sequence[Run]) -> bool:
        alone = not count_running(runs)
        if alone or self.budget.take():
            self.hedges += not alone
            self._refused_at = 0
            return True
        self.withhold(runs)
        return False

    def withhold(self, runs: Sequence[Run]) -> None:
        self.refused, self._refused_at = True, len(runs)
