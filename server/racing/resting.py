"""When a provider that keeps failing is left alone, and for how long."""

from collections.abc import Callable

from attrs import define, field

# Failures in a row after which it rests.
PATIENCE = 3
# Seconds of the first rest; each that follows without a success is twice as long.
FIRST = 5.0
LONGEST = 300.0
# Rests in a row that are counted: LONGEST is reached with fewer.
MOST_RESTS = 16
# The longest Retry-After that counts: a probe an hour costs next to nothing.
LONGEST_RETRY_AFTER = 3600.0
# Seconds for which another process's try is waited for: it may have died.
LEASE = 60.0


@define(eq=False)
class Rest:
    """
    One provider's rest. Times are seconds on the clock of its lanes.

    It ends by itself at *until*. Then one request tries the provider, and all others
    pass it over meanwhile: after a success, it counts as any other; after a failure, it
    rests for longer. *changed* is called when other processes have to know of it; what
    they tell is adopted.
    """

    until: float = 0.0
    changed: "Callable[[Rest], None]" = field(default=lambda _: None)
    probe: "Probe | None" = field(default=None, init=False)
    _failed: int = field(default=0, init=False)
    _rests: int = field(default=0, init=False)
    # Until when a try goes on: this process's own, and another's.
    _lease: float = field(default=0.0, init=False)
    _tried_until: float = field(default=0.0, init=False)

    def available(self, now: float) -> bool:
        if self.probe is not None or now < self.until:
            return False
        return now >= self._tried_until

    def state(self) -> tuple[float, int, float]:
        """Return until when it goes on, how many there were, and the try's lease."""
        return self.until, self._rests, self._lease if self.probe else 0.0

    def adopt(self, until: float, rests: int, tried_until: float) -> None:
        """Take over another process's state."""
        self.until, self._rests, self._tried_until = until, rests, tried_until
        self._failed = 0

    def claim(self, now: float) -> "Probe | None":
        """Claim the first try after a rest; None: there is none to be had."""
        if self._rests and self.available(now):
            self.probe, self._lease = Probe(self), now + LEASE
            self.changed(self)
            return self.probe
        return None

    def succeed(self) -> None:
        rested = self._rests
        self.until, self.probe, self._failed, self._rests = 0.0, None, 0, 0
        if rested:
            self.changed(self)

    def fail(self, started: float, now: float, retry_after: float | None) -> float:
        """
        Note the failure of a call that began at *started*; return the seconds of
        the rest that this begins, if it does.

        *retry_after* is what the provider's Retry-After says, which is reason enough.
        """
        if started < self.until:
            return 0.0  # the call began before the rest ended: no news
        self._failed += 1
        if not retry_after and not self._rests and self._failed < PATIENCE:
            return 0.0
        grown = FIRST * 2**self._rests
        seconds = (
            min(retry_after, LONGEST_RETRY_AFTER)
            if retry_after
            else min(grown, LONGEST)
        )
        self._rests = min(self._rests + 1, MOST_RESTS)
        self.until = now + seconds
        self.changed(self)
        return seconds


@define(eq=False)
class Probe:
    """One request's claim to try a provider whose rest is over, before all others."""

    rest: Rest

    def release(self) -> None:
        """Give up the claim: the call is over, or never began. May be called twice."""
        if self.rest.probe is self:
            self.rest.probe = None
            self.rest.changed(self.rest)
