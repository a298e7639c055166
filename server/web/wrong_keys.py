"""Addresses that keep sending wrong keys: their answers are delayed."""

from time import monotonic

from attrs import define, field

# Wrong keys that are answered at once: somebody may be setting up a client.
AT_ONCE = 10
# Seconds after which one wrong key is forgotten.
FORGOTTEN = 6.0
# Seconds by which the first answer after those is late, and the longest delay.
FIRST, LONGEST = 0.1, 2.0
# Addresses that are remembered; who uses more of them is not slowed down.
REMEMBERED = 10_000


@define(eq=False)
class WrongKeys:
    """
    How many wrong keys each address has sent lately.

    Requests with right keys never wait: behind a proxy, others may share the address.
    """

    # By address: when all the wrong keys that it has sent will be forgotten.
    _until: dict[str, float] = field(factory=dict, init=False)

    def delay(self, address: str) -> float:
        """Count a wrong key; return the seconds by which to delay its answer."""
        now = monotonic()
        until = max(self._until.pop(address, now), now) + FORGOTTEN
        lately = (until - now) / FORGOTTEN
        most = AT_ONCE + 2 * LONGEST / FIRST
        self._until[address] = now + min(lately, most) * FORGOTTEN
        if len(self._until) > REMEMBERED:
            del self._until[next(iter(self._until))]
        return min(max(lately - AT_ONCE, 0.0) * FIRST, LONGEST)
