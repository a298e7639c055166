"""Limits that are counted in Redis, exactly, for all workers of all machines."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from secrets import token_hex
from typing import Literal

import orjson
import structlog
from attrs import define, field, frozen

from server.errors import StateUnavailable
from server.stores.shared_redis import PATIENCE, Away, Script, SharedRedis

from .counters import REMEMBERED, Decision, Standing
from .limit import Amounts, Limit, edges
from .scripts import PRESENCE, RENEW, RESERVE, SETTLE
from .store import LEASE, MemoryStore, clock

log = structlog.get_logger(__name__)

# s between two renewals: a lease outlives two that fail.
RENEW_EVERY = 5.0
# s that nobody waits for.
PATIENT = 1.0

reserve_script = Script(RESERVE)
settle_script = Script(SETTLE)
renew_script = Script(RENEW)
presence_script = Script(PRESENCE)
WORKERS = "interference:workers"


@frozen
class Settlement:
    """What a request took, to be counted."""

    client: str
    id: str
    limits: tuple[Limit, ...]
    amounts: Amounts


@define(eq=False)
class RedisStore:
    """
    Counts in Redis; while it is away, as *on_failure* says.

    "local": this worker lets in its share of each limit, as one of *workers*; "open":
    it lets in all; "closed": nobody. What is let in meanwhile is counted in Redis when
    it is back.
    """

    _redis: SharedRedis
    _on_failure: str = "local"
    workers: int = field(default=1, init=False)
    _id: str = field(factory=lambda: token_hex(8), init=False)
    _local: MemoryStore = field(factory=MemoryStore, init=False)
    _open: dict[str, set[str]] = field(factory=dict, init=False)
    _unsettled: dict[str, Settlement] = field(factory=dict, init=False)
    # Whether some of those wait until Redis can be told.
    _behind: bool = field(default=False, init=False)
    _catching_up: asyncio.Task[None] | None = field(default=None, init=False)
    _settling: set[asyncio.Task[None]] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._redis.on_return.append(self._settle_all)

    async def reserve(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> Decision:
        """Raises StateUnavailable."""
        try:
            self._catch_up()
            decided = await self._reserve(client, reservation, limits, amounts)
        except Away:
            decided = self._without_redis(client, reservation, limits, amounts)
        if decided.refused_by is None:
            self._open.setdefault(client, set()).add(reservation)
        return decided

    def settle(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> None:
        self._open.get(client, set()).discard(reservation)
        self._local.settle(client, reservation, limits, amounts)
        self._unsettled[reservation] = Settlement(
            client, reservation, tuple(limits), amounts
        )
        self._behind |= not self._redis.up
        if not self._behind:
            task = asyncio.create_task(self._settle_soon(self._unsettled[reservation]))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    @property
    def state(self) -> Literal["ok", "fallback"]:
        return "ok" if self._redis.up else "fallback"

    async def keep_renewing(self) -> None:
        """
        Renew the leases of all open reservations, and this worker's own, by which the
        others know how many there are; until cancelled.
        """
        while True:
            with suppress(Away):
                await self._renew()
                self._catch_up()
            await asyncio.sleep(RENEW_EVERY)

    async def _renew(self) -> None:
        count = await self._redis.run(presence_script, [WORKERS], self._id, LEASE)
        self.workers = count if isinstance(count, int) and count else 1
        for client, ids in list(self._open.items()):
            if ids:
                await self._redis.run(renew_script, keys(client), LEASE, *ids)
            else:
                self._open.pop(client, None)

    async def aclose(self) -> None:
        """Count what is left to be counted, if Redis is there."""
        if self._redis.up:
            with suppress(Away):
                await self._settle_all()

    async def _reserve(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> Decision:
        request = {
            "id": reservation,
            "lease": LEASE,
            "limits": rows(limits, amounts, clock()),
        }
        reply = await self._redis.run(
            reserve_script, keys(client), orjson.dumps(request)
        )
        return decision(reply, limits)

    def _catch_up(self) -> None:
        """
        Raise Away while Redis has not counted what it could not be told when it was
        used: that comes first.
        """
        if not self._behind:
            return
        if self._catching_up is None and self._redis.up:
            self._catching_up = asyncio.create_task(self._catch_up_now())
        raise Away

    async def _catch_up_now(self) -> None:
        try:
            await self._settle_all()
        except Away:
            pass
        finally:
            self._catching_up = None

    def _without_redis(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> Decision:
        match self._on_failure:
            case "closed":
                raise StateUnavailable(
                    "What this server shares with others can't be reached, and nobody"
                    " is let in meanwhile ([state] on_failure). Try again soon.",
                    headers={"Retry-After": "1"},
                )
            case "open":
                return Decision(())
            case _:
                share = [_share(limit, self.workers) for limit in limits]
                return self._local.reserve_now(client, reservation, share, amounts)

    async def _settle(self, settlement: Settlement, patience: float = PATIENCE) -> None:
        request = {
            "id": settlement.id,
            "remembered": REMEMBERED,
            "limits": rows(settlement.limits, settlement.amounts, clock()),
        }
        await self._redis.run(
            settle_script,
            keys(settlement.client),
            orjson.dumps(request),
            patience=patience,
        )
        self._unsettled.pop(settlement.id, None)

    async def _settle_soon(self, settlement: Settlement) -> None:
        try:
            await self._settle(settlement)
        except Away:  # it is kept for when Redis is back
            self._behind = True

    async def _settle_all(self) -> None:
        """Count what is left to be counted. Raises Away."""
        while self._unsettled:
            await self._settle(next(iter(self._unsettled.values())), PATIENT)
        self._behind = False


def keys(client: str) -> list[str]:
    """Return a client's keys in Redis, all in one slot of a cluster."""
    return [f"interference:{{{client}}}:{part}" for part in _PARTS]


_PARTS = ("used", "open", "held", "settled")


def rows(
    limits: Sequence[Limit], amounts: Amounts, now: int
) -> list[dict[str, object]]:
    """Return what the scripts are told of each limit, at *now* (ms)."""
    return [
        {
            "name": limit.name,
            "span": limit.span,
            "most": limit.most,
            "amount": amounts.of(limit.unit),
            "edges": edges(limit.span, now),
        }
        for limit in limits
    ]


def decision(reply: object, limits: Sequence[Limit]) -> Decision:
    """Return what a reply of `RESERVE` means. Raises Away if it means nothing."""
    if not isinstance(reply, list) or len(reply) != 1 + 2 * len(limits):
        raise Away
    refused_by, *numbers = reply
    standings = tuple(
        Standing(limit, used, resets_in)
        for limit, used, resets_in in zip(
            limits, numbers[::2], numbers[1::2], strict=True
        )
    )
    return Decision(standings, standings[refused_by - 1] if refused_by else None)


def _share(limit: Limit, workers: int) -> Limit:
    return Limit(limit.unit, limit.span, max(limit.most // workers, 1))
