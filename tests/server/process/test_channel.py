"""The channel between workers and their supervisor, over real sockets, in one loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, closing

import pytest

from server.process.channel_hub import Hub
from server.process.channel_link import WAITING
from server.process.channel_member import Member
from server.record.channel import LIVE, RACES, RESTS, STATS, USAGE, OnlyProcess

Join = Callable[[], Member]


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    with closing(Hub()) as hub:
        yield hub


@pytest.fixture
async def join(hub: Hub) -> AsyncIterator[Join]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Member(hub.connect())))


class Ear:
    """Keeps what it hears, and waits for more."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._some = asyncio.Event()

    def __call__(self, payload: bytes) -> None:
        self.heard.append(payload)
        self._some.set()

    async def hears(self, count: int) -> list[bytes]:
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                self._some.clear()
                await self._some.wait()
        return self.heard


async def settle(*members: Member) -> None:
    """Return once the hub has taken in all that these have said, and they its words."""
    for _ in range(2):
        for member in members:
            await member.ask(STATS)


async def test_messages_reach_the_keeper_and_the_others(hub: Hub, join: Join) -> None:
    """The keeper and all who listen hear it, in order; who says it does not."""
    keeper, own, other = Ear(), Ear(), Ear()
    hub.keeper.listen(RACES, keeper)
    speaker, listener, _ = join(), join(), join()
    speaker.listen(RACES, own)
    listener.listen(RACES, other)
    await settle(speaker, listener)

    speaker.publish(RACES, b'{"one": 1}')
    speaker.publish(RACES, b'{"two": 2}')

    assert await keeper.hears(2) == [b'{"one": 1}', b'{"two": 2}']
    assert await other.hears(2) == keeper.heard
    assert not own.heard


async def test_who_comes_later_hears_the_last_word(hub: Hub, join: Join) -> None:
    """Of a lasting topic, the last message of each key is there for who comes later."""
    speaker = join()
    for key, payload in (("A", b"1"), ("B", b"2"), ("A", b"3")):
        speaker.publish(RESTS, payload, key)
    await settle(speaker)

    late, ear = join(), Ear()
    late.listen(RESTS, ear)

    assert await ear.hears(2) == [b"3", b"2"]
    assert not hub.keeper.listens_to(RESTS)


async def test_what_nobody_wants_is_known(hub: Hub, join: Join) -> None:
    """A topic is wanted while another listens, and always where the keeper does."""
    hub.keeper.listen(USAGE, Ear())
    one, other = join(), join()
    await settle(one, other)
    assert [one.wanted(topic) for topic in (LIVE, USAGE, RESTS)] == [False, True, True]

    leave = other.listen(LIVE, Ear())
    await settle(other, one)
    assert one.wanted(LIVE)
    assert not other.wanted(LIVE)

    leave()
    await settle(other, one)
    assert not one.wanted(LIVE)

    other.listen(LIVE, Ear())
    await settle(other, one)
    other.close()
    await settle(one)
    assert not one.wanted(LIVE)


async def test_questions_are_answered_or_given_up(hub: Hub, join: Join) -> None:
    """A question gets the keeper's answer; None if it has none, fails, or hangs."""

    async def double(question: bytes) -> bytes:
        return question * 2

    async def fail(_: bytes) -> bytes:
        raise ValueError("broken")

    async def hang(_: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    hub.keeper.answer(STATS, double)
    hub.keeper.answer(USAGE, fail)
    hub.keeper.answer(LIVE, hang)
    member = join()

    assert await member.ask(STATS, b"12") == b"1212"
    assert await member.ask(USAGE) is None
    assert await member.ask(LIVE) is None
    assert await member.ask(RACES) is None


async def test_the_keeper_knows_what_was_said_before_it_is_asked(
    hub: Hub, join: Join
) -> None:
    """What one worker has said is in the answer to another that asks afterwards."""
    ear = Ear()

    async def count(_: bytes) -> bytes:
        return b"%d" % len(ear.heard)

    hub.keeper.listen(RACES, ear)
    hub.keeper.answer(RACES, count)
    asking, *speaking = (join() for _ in range(8))
    await settle(asking, *speaking)

    for i in range(1, 50):
        for speaker in speaking:
            speaker.publish(RACES, b"{}")
        assert await asking.ask(RACES) == b"%d" % (i * len(speaking))


async def test_all_others_are_asked(hub: Hub, join: Join) -> None:
    """Answers are gathered from the others alone, without those that give none."""
    one, two, three, mute = join(), join(), join(), join()
    one.answer(STATS, lambda question: b"1" + question)
    two.answer(STATS, lambda question: b"2" + question)
    three.answer(STATS, lambda question: b"3" + question)
    assert sorted(await one.gather(STATS, b"0")) == sorted(b"[20,30]")
    mute.close()
    assert sorted(await two.gather(STATS, b"0")) == sorted(b"[10,30]")
    assert await join().gather(USAGE) == b"[]"
    assert hub is not None


async def test_a_worker_that_reads_nothing_delays_nobody(hub: Hub, join: Join) -> None:
    """It misses the oldest live events; what has to arrive is kept for it."""
    speaker = join()
    deaf = hub.connect()
    deaf.send(b"listen live  \nlisten rests  \n")
    await settle(speaker)
    megabyte = b'"%b"' % (b"x" * 1_000_000)
    for _ in range(4):
        speaker.publish(RESTS, megabyte, "A")
    for i in range(3 * WAITING):
        speaker.publish(LIVE, b"%d" % i)
    await settle(speaker)

    deaf.settimeout(5)
    rest = b""
    reading = deaf.makefile("rb")
    while rest.split(b" ")[-1] != b"%d" % (3 * WAITING - 1):
        rest = (await asyncio.to_thread(reading.readline)).strip()
        if rest.startswith(b"publish rests"):
            assert rest.endswith(megabyte)
    reading.close()
    deaf.close()


async def test_all_is_read_that_a_dead_worker_has_said(hub: Hub) -> None:
    """What it had not read itself, and what is sent to it still, takes nothing away."""
    ear = Ear()
    hub.keeper.listen(USAGE, ear)
    worker = hub.connect()
    for i in range(100):
        worker.send(b"publish usage  %d\n" % i)
    worker.close()

    hub.close()

    assert ear.heard == [b"%d" % i for i in range(100)]


async def test_a_message_that_breaks_its_hearer_costs_no_other(
    hub: Hub, join: Join
) -> None:
    """An error of one message is logged, and those after it are heard."""
    ear = Ear()

    def hear(payload: bytes) -> None:
        if payload == b"0":
            raise ValueError("broken")
        ear(payload)

    hub.keeper.listen(USAGE, hear)
    member = join()
    for i in range(3):
        member.publish(USAGE, b"%d" % i)

    assert await ear.hears(2) == [b"1", b"2"]


async def test_one_process_has_the_same_interface() -> None:
    """Its keeper hears and answers in the process itself; nobody else is there."""
    channel, ear = OnlyProcess(), Ear()

    async def double(question: bytes) -> bytes:
        return question * 2

    assert not channel.wanted(USAGE)
    channel.keeper.listen(USAGE, ear)
    channel.keeper.answer(USAGE, double)
    channel.listen(LIVE, ear)()
    channel.answer(STATS, lambda _: b"1")

    channel.publish(USAGE, b"1")

    assert channel.wanted(USAGE)
    assert ear.heard == [b"1"]
    assert await channel.ask(USAGE, b"12") == b"1212"
    assert await channel.ask(STATS) is None
    assert await channel.gather(STATS) == b"[]"
