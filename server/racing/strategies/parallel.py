"""The strategy "race": all start at once, and the first token wins."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from attrs import define

from .strategy import Opening, Policy, Run, Strategy, count_running


@define
class Parallel(Strategy):
    """*limit* racers run at a time; one that fails is replaced by the next."""

    limit: int
    name: ClassVar[str] = "race"

    @classmethod
    def begin(cls, opening: Opening) -> Self:
        return cls(cls.most_parallel(opening.policy.parallel))

    @classmethod
    def replay(cls, policy: Policy, _: Mapping[str, float]) -> Self:
        return cls(cls.most_parallel(policy.parallel))

    def fair(self, racers: int) -> bool:
        return self.limit >= racers

    def next_start(self, runs: Sequence[Run], now: float) -> float | None:
        return now if count_running(runs) < self.limit else None
