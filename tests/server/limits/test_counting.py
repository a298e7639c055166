"""What is reserved, settled and given back, in memory and in Redis alike."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import orjson
import pytest
from redis.asyncio import Redis

from server.limits.counters import REMEMBERED, Counters, Decision
from server.limits.limit import MINUTE, NANODOLLARS, Amounts, Limit, Span, Unit
from server.limits.redis_store import decision, keys, rows
from server.limits.scripts import RENEW, RESERVE, SETTLE
from tests.rig.redis_server import redis_server

LEASE = 15_000
NOON = int(datetime(2026, 3, 31, 12, tzinfo=UTC).timestamp()) * 1000
MIDNIGHT = NOON + 12 * 60 * MINUTE

REQUESTS = Limit(Unit.REQUESTS, Span.MINUTE, 3)
TOKENS = Limit(Unit.TOKENS, Span.MINUTE, 100)
DAILY = Limit(Unit.TOKENS, Span.DAY, 1000)
DOLLARS = Limit(Unit.MONEY, Span.MONTH, 2 * NANODOLLARS)
STREAMS = Limit(Unit.STREAMS, Span.OPEN, 2)
ALL = (REQUESTS, TOKENS, DAILY, DOLLARS, STREAMS)


class Counting(Protocol):
    """One of the two: what they are told is the same."""

    async def reserve(
        self, reservation: str, limits: tuple[Limit, ...], amounts: Amounts, now: int
    ) -> Decision: ...

    async def renew(self, reservation: str, now: int) -> None: ...

    async def settle(
        self, reservation: str, limits: tuple[Limit, ...], amounts: Amounts, now: int
    ) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.counters = Counters()

    async def reserve(
        self, reservation: str, limits: tuple[Limit, ...], amounts: Amounts, now: int
    ) -> Decision:
        return self.counters.reserve(reservation, limits, amounts, now, LEASE)

    async def renew(self, reservation: str, now: int) -> None:
        self.counters.renew([reservation], now, LEASE)

    async def settle(
        self, reservation: str, limits: tuple[Limit, ...], amounts: Amounts, now: int
    ) -> None:
        self.counters.settle(reservation, limits, amounts, now)


class InRedis:
    """The scripts as they are, but for the clock: the test says what time it is."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    async def _run(
        self, script: str, now: int, *arguments: str | bytes | int
    ) -> object:
        seconds, ms = divmod(now, 1000)
        text = script.replace("redis.call('TIME')", f"{{{seconds}, {ms * 1000}}}")
        assert text != script
        return await self.redis.eval(text, 4, *keys("client"), *arguments)

    async def reserve(
        self, reservation: str, limits: tuple[Limit, ...], amounts: Amounts, now: int
    ) -> Decision:
        request = {
            "id": reservation,
            "lease": LEASE,
            "limits": rows(limits, amounts, now),
        }
        return decision(await self._run(RESERVE, now, orjson.dumps(request)), limits)

    async def renew(self, reservation: str, now: int) -> None:
        await self._run(RENEW, now, LEASE, reservation)

    async def settle(
        self, reservation: str, limits: tuple[Limit, ...], amounts: Amounts, now: int
    ) -> None:
        request = {
            "id": reservation,
            "remembered": REMEMBERED,
            "limits": rows(limits, amounts, now),
        }
        await self._run(SETTLE, now, orjson.dumps(request))


Make = Callable[[], Awaitable[Counting]]


@pytest.fixture(params=["memory", "redis"])
async def counting(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Counting]:
    if request.param == "memory":
        yield InMemory()
        return
    async with redis_server(tmp_path) as server:
        redis = Redis.from_url(server.url)
        yield InRedis(redis)
        await redis.aclose()


def used(decision: Decision) -> dict[str, int]:
    return {each.limit.name: each.used for each in decision.standings}


async def test_all_limits_are_taken_or_none(counting: Counting) -> None:
    """A request that one limit refuses takes nothing of the others."""
    first = await counting.reserve("a", ALL, Amounts(tokens=60), NOON)
    assert first.refused_by is None
    refused = await counting.reserve("b", ALL, Amounts(tokens=60), NOON)
    assert refused.refused_by is not None
    assert refused.refused_by.limit is TOKENS
    assert used(refused) == used(first)
    small = await counting.reserve("c", ALL, Amounts(tokens=40), NOON)
    assert small.refused_by is None
    assert used(small) == {
        "requests_per_minute": 2,
        "tokens_per_minute": 100,
        "tokens_per_day": 100,
        "dollars_per_month": 0,
        "streams": 2,
    }


async def test_never_one_too_many_and_none_lost(counting: Counting) -> None:
    """Three a minute are three in a minute from the first, and three in the next."""
    for minute in range(3):
        now = NOON + minute * MINUTE
        outcomes = [
            await counting.reserve(f"{minute}.{i}", (REQUESTS,), Amounts(), now + i)
            for i in range(5)
        ]
        refused = [outcome.refused_by is not None for outcome in outcomes]
        assert refused == [False, False, False, True, True]
        assert outcomes[3].standings[0].resets_in == MINUTE - 3


async def test_settling_gives_back_what_was_too_much(counting: Counting) -> None:
    limits = (TOKENS, DAILY)
    await counting.reserve("a", limits, Amounts(tokens=90), NOON)
    await counting.settle("a", limits, Amounts(tokens=20), NOON + 1)
    after = await counting.reserve("b", limits, Amounts(tokens=80), NOON + 2)
    assert after.refused_by is None
    assert used(after) == {"tokens_per_minute": 100, "tokens_per_day": 100}


async def test_settling_twice_counts_once(counting: Counting) -> None:
    """A settlement that is sent again, since its reply was lost, changes nothing."""
    await counting.reserve("a", (TOKENS,), Amounts(tokens=90), NOON)
    for _ in range(3):
        await counting.settle("a", (TOKENS,), Amounts(tokens=20), NOON + 1)
    after = await counting.reserve("b", (TOKENS,), Amounts(tokens=1), NOON + 2)
    assert used(after) == {"tokens_per_minute": 21}


async def test_more_than_was_reserved_counts_too(counting: Counting) -> None:
    await counting.reserve("a", (TOKENS,), Amounts(tokens=10), NOON)
    await counting.settle("a", (TOKENS,), Amounts(tokens=150), NOON + 1)
    after = await counting.reserve("b", (TOKENS,), Amounts(tokens=1), NOON + 2)
    assert after.refused_by is not None
    assert after.refused_by.used == 150


async def test_what_was_let_in_elsewhere_counts_when_it_is_settled(
    counting: Counting,
) -> None:
    """Who was let in while the store was away has no reservation, and is counted."""
    await counting.settle("a", (REQUESTS, TOKENS), Amounts(tokens=70), NOON)
    after = await counting.reserve("b", (REQUESTS, TOKENS), Amounts(tokens=1), NOON + 1)
    assert used(after) == {"requests_per_minute": 2, "tokens_per_minute": 71}


async def test_nothing_is_lost_at_midnight(counting: Counting) -> None:
    """
    A small reservation before midnight that is settled by much after it counts on the
    new day; what was reserved too much before is not given to the new day.
    """
    before = MIDNIGHT - 1000
    await counting.reserve("long", (DAILY,), Amounts(tokens=10), before)
    await counting.reserve("short", (DAILY,), Amounts(tokens=900), before)
    await counting.settle("long", (DAILY,), Amounts(tokens=400), MIDNIGHT + 1000)
    await counting.settle("short", (DAILY,), Amounts(tokens=5), MIDNIGHT + 1000)
    after = await counting.reserve("b", (DAILY,), Amounts(tokens=1), MIDNIGHT + 2000)
    assert used(after) == {"tokens_per_day": 391}
    assert after.standings[0].resets_in == 24 * 60 * MINUTE - 2000


async def test_a_month_ends_with_its_last_day(counting: Counting) -> None:
    """March is paid for until its last midnight; April begins at nothing."""
    dollars = Amounts(nanodollars=NANODOLLARS)
    for reservation in "ab":
        march = await counting.reserve(reservation, (DOLLARS,), dollars, MIDNIGHT - 1)
        assert march.refused_by is None
        assert march.standings[0].resets_in == 1
        await counting.settle(reservation, (DOLLARS,), dollars, MIDNIGHT - 1)
    full = await counting.reserve("c", (DOLLARS,), dollars, MIDNIGHT - 1)
    assert full.refused_by is not None
    april = await counting.reserve("d", (DOLLARS,), dollars, MIDNIGHT)
    assert april.refused_by is None
    assert used(april) == {"dollars_per_month": NANODOLLARS}


async def test_streams_are_those_that_are_open(counting: Counting) -> None:
    await counting.reserve("a", (STREAMS,), Amounts(), NOON)
    await counting.reserve("b", (STREAMS,), Amounts(), NOON)
    full = await counting.reserve("c", (STREAMS,), Amounts(), NOON)
    assert full.refused_by is not None
    await counting.settle("a", (STREAMS,), Amounts(), NOON)
    free = await counting.reserve("c", (STREAMS,), Amounts(), NOON)
    assert free.refused_by is None


async def test_a_hedge_adds_to_its_request(counting: Counting) -> None:
    """It takes tokens, and neither a request nor an answer at once."""
    limits = (REQUESTS, TOKENS, STREAMS)
    await counting.reserve("a", limits, Amounts(tokens=30), NOON)
    hedge = Amounts(requests=0, tokens=30)
    both = await counting.reserve("a", limits, hedge, NOON + 1)
    assert used(both) == {
        "requests_per_minute": 1,
        "tokens_per_minute": 60,
        "streams": 1,
    }
    await counting.reserve("a", limits, hedge, NOON + 2)
    refused = await counting.reserve("a", limits, hedge, NOON + 3)
    assert refused.refused_by is not None
    await counting.settle("a", limits, Amounts(tokens=40), NOON + 4)
    after = await counting.reserve("b", limits, Amounts(tokens=1), NOON + 5)
    assert used(after)["tokens_per_minute"] == 41


async def test_the_dead_give_back_what_they_reserved(counting: Counting) -> None:
    """A lease that nobody renews ends; who renews keeps what is his."""
    limits = (TOKENS, STREAMS)
    await counting.reserve("dead", limits, Amounts(tokens=60), NOON)
    await counting.reserve("alive", limits, Amounts(tokens=40), NOON)
    for passed in range(5000, LEASE + 1, 5000):
        await counting.renew("alive", NOON + passed)
    after = await counting.reserve("c", limits, Amounts(tokens=50), NOON + LEASE + 1)
    assert after.refused_by is None
    assert used(after) == {"tokens_per_minute": 90, "streams": 2}


async def test_leases_outlive_the_time_in_which_the_store_was_away(
    counting: Counting,
) -> None:
    """After a minute in which nobody could renew, nobody has lost what is his."""
    limits = (DAILY, STREAMS)
    await counting.reserve("a", limits, Amounts(tokens=60), NOON)
    later = NOON + MINUTE
    after = await counting.reserve("b", limits, Amounts(tokens=40), later)
    assert used(after) == {"tokens_per_day": 100, "streams": 2}
    for passed in range(5000, LEASE + 1, 5000):
        await counting.renew("b", later + passed)
    end = await counting.reserve("b", limits, Amounts(0), later + LEASE + 1)
    assert used(end) == {"tokens_per_day": 40, "streams": 1}


async def test_a_lower_limit_counts_from_now_on(counting: Counting) -> None:
    """After a reload what is used stays, and the new limit holds."""
    await counting.reserve("a", (TOKENS,), Amounts(tokens=60), NOON)
    lower = (Limit(Unit.TOKENS, Span.MINUTE, 50),)
    refused = await counting.reserve("b", lower, Amounts(tokens=1), NOON + 1)
    assert refused.refused_by is not None
    assert refused.refused_by.remaining == 0
