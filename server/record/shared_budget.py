"""The budget of extra calls, one for all processes of a server."""

from server.racing.strategies.budget import ROUNDING, SAVED, Budget

from .counters import CounterSlots

SAVINGS = "hedge_savings"


class SharedBudget(Budget):
    """
    A budget to whose balance each process has a part, which it alone changes.

    Two processes that take the last call at the same moment overdraw it by one, and
    the requests that follow pay for that.
    """

    def __init__(self, counters: CounterSlots) -> None:
        super().__init__()
        self._counters = counters
        self._place = counters.slot(SAVINGS, (), 2)

    def deposit(self, share: float) -> None:
        balance, deposits = self._sum(0), self._sum(1)
        saved = balance if deposits else max(1.0 - share, 0.0)
        now = min(saved + share, max(SAVED, share)) if share else 0.0
        self._counters.slots[self._place] += now - balance
        self._counters.slots[self._place + 1] += 1.0

    def take(self) -> bool:
        if self._sum(0) < 1.0 - ROUNDING:
            return False
        self._counters.slots[self._place] -= 1.0
        return True

    def _sum(self, number: int) -> float:
        place = self._place + number
        return sum(slots[place] for slots in self._counters.shares())
