"""One race simulated: the schedules of real races, on simulated time."""

from collections import deque
from collections.abc import Mapping, Sequence
from math import inf

from attrs import define, field, frozen

from server.racing.strategies import Strategy


@frozen
class Take:
    """How many seconds a racer took to its first token or, if *failed*, to fail."""

    seconds: float
    failed: bool = False


@define(eq=False)
class Leg:
    """One racer's part of a simulated race, in seconds after the race's start."""

    id: str
    started: float
    take: Take
    running: bool = True

    @property
    def due(self) -> float:
        return self.started + self.take.seconds


@define
class Result:
    """The winner's id, None if there is none, and when it won; *legs* were started."""

    winner: str | None = None
    seconds: float = inf
    legs: list[Leg] = field(factory=list)


def simulate(
    order: Sequence[str], takes: Mapping[str, Take], schedule: Strategy
) -> Result:
    """Return how a race in this *order* ends if each racer takes what *takes* says."""
    result = Result()
    legs, waiting, now = result.legs, deque(order), 0.0
    while True:
        wake = inf
        while waiting:
            due = schedule.next_start(legs, now)
            if due is None or due > now:
                wake = inf if due is None else due
                break
            if schedule.admit(legs):
                racer = waiting.popleft()
                legs.append(Leg(racer, now, takes[racer]))
        running = [leg for leg in legs if leg.running]
        first = min(running, key=lambda leg: leg.due, default=None)
        if first is None or first.due == wake == inf:
            return result  # all have failed, or will never answer
        if wake < first.due:
            now = wake
            continue
        now, first.running = first.due, False
        if not first.take.failed:
            result.winner, result.seconds = first.id, now
            return result
