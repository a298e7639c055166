"""The budget of extra calls, shared by all races of a server."""

from attrs import define

# Calls that a budget saves up at most, and may spend at once: the size that gRPC
# documents for the bucket of its retry throttling (gRFC A6).
SAVED = 10.0
# What rounding may take from a sum of small deposits.
ROUNDING = 1e-9


@define
class Budget:
    """
    Extra calls that hedges may cost: a token bucket, filled by requests, not by time.

    Each request deposits its share; each hedge takes 1 out. So hedges are never more
    than that share of the requests, rounded up, and what was saved before.
    """

    _tokens: float | None = None

    def deposit(self, share: float) -> None:
        """Pay in for one request: *share* is the extra calls per request, at most."""
        # The first request may hedge, if the share is more than nothing.
        saved = max(1.0 - share, 0.0) if self._tokens is None else self._tokens
        self._tokens = min(saved + share, max(SAVED, share)) if share else 0.0

    def take(self) -> bool:
        """Pay for one hedge; return False if there is not enough for it."""
        if self._tokens is None or self._tokens < 1.0 - ROUNDING:
            return False
        self._tokens = max(self._tokens - 1.0, 0.0)
        return True
