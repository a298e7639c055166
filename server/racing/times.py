"""Times to first token, and their quantiles, also where some were never seen."""

from bisect import insort
from collections import deque

from attrs import define, field

# So many are remembered: enough for a p99 that means something.
REMEMBERED = 200
# So many make a quantile that can be acted upon.
ENOUGH = 20


@define(eq=False)
class Times:
    """
    The last times to first token, in milliseconds.

    Of a racer that was cut off before it spoke it is known that it would have taken
    longer. To leave those out would make every provider that loses look faster than it
    is; `quantile` counts them as what they are (Kaplan and Meier's estimator).
    """

    _last: deque[tuple[float, bool]] = field(
        factory=lambda: deque(maxlen=REMEMBERED), init=False
    )
    _known: dict[float, float] = field(factory=dict, init=False)

    def add(self, ms: float, *, seen: bool) -> None:
        """Add a time; not *seen*: the token would have come after it."""
        self._last.append((ms, seen))
        self._known.clear()

    @property
    def enough(self) -> bool:
        """Whether there are enough of them to act upon."""
        return len(self._last) >= ENOUGH

    def seen(self, percent: float) -> float | None:
        """Return the nearest-rank quantile of those seen; None: there are none."""
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
        Return the time by which so many per cent have come, as far as is known; the
        longest that was waited where too many never did.

        Raises ValueError if there are none.
        """
        known = self._known.get(percent)
        if known is None:
            known = self._known[percent] = self._estimate(1 - percent / 100)
        return known

    def _estimate(self, still_out: float) -> float:
        ordered = sorted(self._last, key=lambda time: (time[0], not time[1]))
        left, waiting = 1.0, len(ordered)
        for ms, seen in ordered:
            if seen:
                left *= 1 - 1 / waiting
                if left <= still_out + 1e-9:
                    return ms
            waiting -= 1
        return max(ordered)[0]
