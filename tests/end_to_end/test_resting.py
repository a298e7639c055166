"""Resting providers on a real server: who is passed over, how long, and found again."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from attrs import define, field

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Answer, Client
from tests.rig.upstream import Step, Upstream, answers, says

BROKEN = answers(500, {"error": {"message": "broken"}})
WRONG = answers(400, {"error": {"message": "no such field"}})


def busy(milliseconds: float) -> list[Step]:
    """Return the script of an upstream that asks to be left alone for so long."""
    asked = f"Retry-After-Ms: {milliseconds:g}"
    return answers(429, {"error": {"message": "slow down"}}, [asked])


async def skipped(me: Client, providers: str, **more: Any) -> dict[str, str]:
    """Ask *providers*, one of which answers; return who did not start, and why."""
    answer = await me.chat(providers, **more)
    assert answer.status == 200
    story = await me.race(answer)
    return {each["id"]: each["reason"] for each in story["skipped"]}


async def rested(me: Client, provider: str) -> None:
    """Wait until it rests no longer."""
    while (await me.stats(provider))["status"] == "resting":
        pass


async def test_who_keeps_failing_is_passed_over(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    Three failures in a row, and it rests for 5 s: not called where another can be, but
    where none can. Refusals and hurried time-outs do not count.
    """
    bad, silent = await make_upstream(BROKEN), await make_upstream([...])
    picky, good = await make_upstream(WRONG), await make_upstream(says("Good"))
    tables = {"Bad": bad, "Silent": silent, "Picky": picky, "Good": good}
    me = await serve(*(up.table(name) for name, up in tables.items()))

    for _ in range(4):
        assert (await me.chat("Picky")).status == 400
        hurried = await me.chat("Silent", race={"first_token_timeout": 0.01})
        assert hurried.status == 504
    for n in range(3):
        assert (await me.stats("Bad"))["status"] == "ready"
        assert (await me.chat("Bad", stream=n == 1)).status == 502

    stats = await me.stats("Bad")
    assert (stats["status"], stats["failures"]) == ("resting", 3)
    assert 3 < stats["resting_until"] - time.time() <= 5
    assert await skipped(me, "Bad Good") == {"Bad": "resting"}
    assert await skipped(me, "Good Bad", stream=True) == {"Bad": "resting"}
    assert len(bad.requests) == 3
    assert await skipped(me, "Picky Silent Good") == {}
    assert (await me.chat("Bad")).error["providers"][0]["id"] == "Bad"
    assert len(bad.requests) == 4
    bad.script = says("Good again")
    assert (await me.chat("Bad")).said == "Good again"
    assert (await me.stats("Bad"))["status"] == "ready"


async def test_retry_after_counts_from_when_it_was_said(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """It is honoured at once, also while the answer of another still goes on."""
    speak = asyncio.Event()
    asked = await make_upstream(answers(429, {}, ["Retry-After: 60"]))
    long = await make_upstream([speak, *says("Hello")])
    spare = await make_upstream(says("Spare"))
    tables = {"Busy": asked, "Long": long, "Spare": spare}
    me = await serve(*(up.table(name) for name, up in tables.items()))

    before = time.time()
    asking = asyncio.create_task(me.chat("Busy Long", stream=True))
    async with asyncio.timeout(10):
        while (stats := await me.stats("Busy"))["status"] != "resting":
            assert not asking.done()
    assert await skipped(me, "Spare Busy") == {"Busy": "resting"}
    speak.set()
    assert (await asking).said == "Hello"

    assert abs(stats["resting_until"] - before - 60) < 10
    assert (await me.stats("Busy"))["resting_until"] == pytest.approx(
        stats["resting_until"], abs=0.01
    )


@define
class Ten:
    """
    Ten requests to *shy*, whose rest is over, and to *good*. Both say nothing before
    they are told to.
    """

    client: Client
    shy: Upstream
    good: Upstream
    shy_may: asyncio.Event = field(factory=asyncio.Event)
    good_may: asyncio.Event = field(factory=asyncio.Event)
    asking: list[asyncio.Task[Answer]] = field(factory=list)

    async def ask(self, script: list[Step]) -> None:
        """Ask all at the same time; return when all have come, and one to *shy*."""
        await rested(self.client, "Shy")
        self.shy_may.clear()
        self.good_may.clear()
        self.shy.script = [self.shy_may, *script]
        self.good.script = [self.good_may, *says("Good")]
        self.shy.requests.clear()
        chat = self.client.chat
        self.asking = [asyncio.create_task(chat("Shy Good")) for _ in range(10)]
        async with asyncio.timeout(10):
            await asyncio.gather(
                self.shy.arrived.get(), *(self.good.arrived.get() for _ in range(10))
            )
        assert len(self.shy.requests) == 1

    async def leave(self) -> None:
        for task in self.asking:
            task.cancel()
        await asyncio.wait(self.asking)

    async def first(self) -> str:
        """Let *shy* answer, and return what the first of the ten is told."""
        self.shy_may.set()
        done, _ = await asyncio.wait(
            self.asking, return_when=asyncio.FIRST_COMPLETED, timeout=10
        )
        return done.pop().result().said

    async def all(self) -> Counter[str]:
        """Let *good* answer, and return what they are told."""
        self.good_may.set()
        return Counter([(await task).said for task in self.asking])


async def test_one_try_when_the_rest_is_over(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    Of ten requests at the same time one tries it. If that fails it rests again, if its
    client leaves another one tries, and if it is answered all may ask again.
    """
    shy, good = await make_upstream(busy(100)), await make_upstream()
    me = await serve(shy.table("Shy"), good.table("Good"))
    ten = Ten(me, shy, good)
    assert (await me.chat("Shy")).status == 429
    await shy.arrived.get()

    await ten.ask(busy(100))
    ten.shy_may.set()
    while (await me.stats("Shy"))["failures"] < 2:
        pass
    assert await ten.all() == {"Good": 10}

    await ten.ask([])
    await ten.leave()
    async with asyncio.timeout(5):
        await shy.hung_up.get()

    await ten.ask(says("Shy"))
    assert await ten.first() == "Shy"
    assert await ten.all() == {"Shy": 1, "Good": 9}

    good.script = [...]
    again = [me.chat("Shy Good") for _ in range(5)]
    assert {answer.said for answer in await asyncio.gather(*again)} == {"Shy"}
    assert len(shy.requests) == 6


async def test_a_try_is_over_when_its_race_is_decided(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Who was cut off may be tried again at once, however long the answer goes on."""
    shy, spare = await make_upstream(busy(50)), await make_upstream(says("Spare"))
    long = await make_upstream([*says("Hel")[:3], ...])
    tables = {"Shy": shy, "Long": long, "Spare": spare}
    me = await serve(*(up.table(name) for name, up in tables.items()))
    assert (await me.chat("Shy")).status == 429
    await rested(me, "Shy")
    shy.script = [...]

    async with me.open_chat("Shy Long") as answer:
        assert answer.headers["X-Provider"] == "Long"
        assert await skipped(me, "Shy Spare") == {}
