"""Limits of several workers of one machine, which the process that started them counts.

A message is an array: what is to be done, the key's id, and what that takes.
"""

import asyncio
from collections.abc import Sequence

import orjson
from attrs import define, field

from server.json_types import JSON
from server.record.channel import LIMITS, Channel, Keeper

from .counters import Decision, Standing
from .limit import Amounts, Limit, Span, Unit
from .store import LEASE, MemoryStore

# s between two renewals: a lease outlives two that are late.
RENEW_EVERY = 5.0


@define(eq=False)
class ChannelStore:
    """
    Counts where all workers do. Without an answer in time this worker counts alone: the
    process that counts for all is gone, and so will this one be soon.
    """

    _channel: Channel
    _alone: MemoryStore = field(factory=MemoryStore, init=False)
    _open: dict[str, set[str]] = field(factory=dict, init=False)

    @property
    def state(self) -> None:
        return None

    async def reserve(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> Decision:
        question = _packed("reserve", client, reservation, limits, amounts)
        answer = await self._channel.ask(LIMITS, question)
        if answer is None:
            decided = self._alone.reserve_now(client, reservation, limits, amounts)
        else:
            decided = _decision(orjson.loads(answer), limits)
        if decided.refused_by is None:
            self._open.setdefault(client, set()).add(reservation)
        return decided

    def settle(
        self, client: str, reservation: str, limits: Sequence[Limit], amounts: Amounts
    ) -> None:
        self._open.get(client, set()).discard(reservation)
        message = _packed("settle", client, reservation, limits, amounts)
        self._channel.publish(LIMITS, message)

    async def keep_renewing(self) -> None:
        """Renew the leases of all open reservations, until cancelled."""
        while True:
            await asyncio.sleep(RENEW_EVERY)
            for client, reservations in list(self._open.items()):
                if reservations:
                    message = orjson.dumps(("renew", client, [*reservations]))
                    self._channel.publish(LIMITS, message)
                else:
                    del self._open[client]


def keep_limits(keeper: Keeper) -> None:
    """Have *keeper* count for all workers."""
    store = MemoryStore(LEASE)

    def hear(message: bytes) -> None:
        match orjson.loads(message):
            case "settle", client, reservation, limits, amounts:
                store.settle(client, reservation, _limits(limits), Amounts(*amounts))
            case "renew", client, reservations:
                store.renew(client, reservations)

    async def reply(message: bytes) -> bytes:
        _, client, reservation, packed, amounts = orjson.loads(message)
        limits = _limits(packed)
        decision = await store.reserve(client, reservation, limits, Amounts(*amounts))
        refused = decision.refused_by
        return orjson.dumps(
            (
                None if refused is None else limits.index(refused.limit),
                [(each.used, each.resets_in) for each in decision.standings],
            )
        )

    keeper.listen(LIMITS, hear)
    keeper.answer(LIMITS, reply)


def _packed(
    what: str,
    client: str,
    reservation: str,
    limits: Sequence[Limit],
    amounts: Amounts,
) -> bytes:
    packed = [(limit.unit, limit.span, limit.most) for limit in limits]
    taken = (amounts.requests, amounts.tokens, amounts.nanodollars)
    return orjson.dumps((what, client, reservation, packed, taken))


def _limits(packed: JSON) -> tuple[Limit, ...]:
    return tuple(Limit(Unit(unit), Span(span), most) for unit, span, most in packed)


def _decision(answer: JSON, limits: Sequence[Limit]) -> Decision:
    refused, numbers = answer
    standings = tuple(
        Standing(limit, used, resets_in)
        for limit, (used, resets_in) in zip(limits, numbers, strict=True)
    )
    return Decision(standings, None if refused is None else standings[refused])
