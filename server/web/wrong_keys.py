"""Addresses that keep sending wrong keys: each further one is answered later."""

from time import monotonic

from attrs import define, field

# Wrong keys that are answered at once: a client is being set up.
AT_ONCE = 10
# Seconds after which one wrong key is forgotten.
FORGOTTEN = 6.0
# Seconds by which the first answers after those are late, and the longest wait.
FIRST, LONGEST = 0.1, 2.0
# Addresses that are remembered: who has more of them is not kept from guessing.
REMEMBERED = 10_000


@define(eq=False)
class WrongKeys:
    """
    How many wrong keys each address has sent lately.

    A right key is never made to wait: others may share the address, behind a proxy.
    """

    # By address: the time up to which all that it has sent is forgotten.
    _until: dict[str, float] = field(factory=dict, init=False)

    def delay(self, address: str) -> float:
        """Count one more from *address*; return the seconds that its answer waits."""
        now = monotonic()
        until = max(self._until.pop(address, now), now) + FORGOTTEN
        lately = (until - now) / FORGOTTEN
        most = AT_ONCE + 2 * LONGEST / FIRST
        self._until[address] = now + min(lately, most) * FORGOTTEN
        if len(self._until) > REMEMBERED:
            del self._until[next(iter(self._until))]
        return min(max(lately - AT_ONCE, 0.0) * FIRST, LONGEST)
