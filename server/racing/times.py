"""Times to first token, and their quantiles, also where some were never seen."""

from bisect import insort
from collections import deque
from collections.abc import Iterable
from typing import Self

from attrs import define, field

# So many times are remembered: enough for a p99 that means something.
REMEMBERED = 200
# So many times make a quantile that decisions may depend on.
ENOUGH = 20


@define(eq=False)
class Times:
    """
    The last times to first token, in milliseconds.

    Of a racer that was cut off before its first token, it is known only that it would
    have taken longer. Without those, every provider that loses would look faster than
    it is; `quantile` counts them as what they are (Kaplan and Meier's estimator).
    """

    _last: deque[tuple[float, bool]] = field(
        factory=lambda: deque(maxlen=REMEMBERED), init=False
    )
    _quantiles: dict[float, float] = field(factory=dict, init=False)

    @classmethod
    def of(cls, seen: Iterable[float]) -> Self:
        """Return times to first tokens that were all seen, however many."""
        made = cls()
        made._last = deque((ms, True) for ms in seen)
        return made

    def add(self, ms: float, *, seen: bool) -> None:
        """Add a time; not *seen*: the first token had not come by then."""
        self._last.append((ms, seen))
        self._quantiles.clear()

    @property
    def enough(self) -> bool:
        """Whether there are enough times for decisions."""
        return len(self._last) >= ENOUGH

    def all_seen(self) -> list[float]:
        """Return the times of the first tokens that were seen."""
        return [ms for ms, seen in self._last if seen]

    def seen(self, percent: float) -> float | None:
        """Return the nearest-rank quantile of first tokens seen; None: none were."""
        ordered: list[float] = []
        for ms, seen in self._last:
            if seen:
                insort(ordered, ms)
        if not ordered:
            return None
        rank = -(-len(ordered) * percent // 100)
        return round(ordered[int(rank) - 1], 1)

    def quantile(self, percent: float) -> float:
        """
        Return an estimate of the time by which so many per cent of first tokens have
        come; the longest time known, if fewer ever came.

        Raises ValueError if there are no times.
        """
        estimate = self._quantiles.get(percent)
        if estimate is None:
            estimate = self._quantiles[percent] = self._estimate(1 - percent / 100)
        return estimate

    def _estimate(self, still_out: float) -> float:
        ordered = sorted(self._last, key=lambda time: (time[0], not time[1]))
        share, waiting = 1.0, len(ordered)
        for ms, seen in ordered:
            if seen:
                share *= 1 - 1 / waiting
                if share <= still_out + 1e-9:
                    return ms
            waiting -= 1
        return max(ordered)[0]
