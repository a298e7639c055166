"""Where limits are counted: in this process, or in a Redis that machines share."""

from collections.abc import Sequence
from time import time
from typing import Literal, Protocol

from attrs import define, field

from .counters import Counters, Decision
from .limit import Amounts, Limit

# ms for which a reservation holds unless it is renewed: what a machine that died had
# reserved comes back after it.
LEASE = 15_000
# ms, a year: longer than any request.
FOREVER = 365 * 24 * 3_600_000


class LimitStore(Protocol):
    """
    Counts what each client (by the id of its key) has used of its limits. *state* says
    whether what machines share is there; None: nothing is shared.
    """

    @property
    def state(self) -> Literal["ok", "fallback"] | None: ...

    async def reserve(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> Decision:
        """Take *amounts* of all *limits* under this id, or of none of them."""
        ...

    def settle(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> None:
        """Replace what *reservation* has reserved by what it took. It never waits."""
        ...


@define
class MemoryStore:
    """
    Counts in this process. A reservation holds for *lease* ms unless it is renewed,
    which what is reserved here need not: it dies with its counts.
    """

    lease: int = FOREVER
    _clients: dict[str, Counters] = field(factory=dict, init=False)

    @property
    def state(self) -> None:
        return None

    async def reserve(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> Decision:
        return self.reserve_now(client, reservation, limits, amounts)

    def reserve_now(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> Decision:
        return self._counters(client).reserve(
            reservation, limits, amounts, clock(), self.lease
        )

    def settle(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> None:
        self._counters(client).settle(reservation, limits, amounts, clock())

    def renew(self, client: str, reservations: Sequence[str]) -> None:
        """Let the leases of these begin anew."""
        self._counters(client).renew(reservations, clock(), self.lease)

    def _counters(self, client: str) -> Counters:
        counters = self._clients.get(client)
        if counters is None:
            counters = self._clients[client] = Counters()
        return counters


def clock() -> int:
    """Return the time in ms since the epoch."""
    return int(time() * 1000)
