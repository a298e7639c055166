"""The last races: who may see which, in bounded memory, and who hears of them live."""

import asyncio
import tracemalloc

import orjson
import pytest
from attrs import define

from server.config.settings import KeySettings
from server.record.log import BEHIND, REMEMBERED, Entry, Listener, RaceLog
from tests.rig.fakes import PATIENCE


def key(name: str, *, admin: bool = False) -> KeySettings:
    return KeySettings(name=name, sha256="0" * 64, admin=admin)


MINE, OTHER, ADMIN = key("mine"), key("other"), key("admin", admin=True)


@define
class Told:
    """A story, and how often it was told."""

    story: dict[str, str]
    times: int = 0

    def json(self) -> bytes:
        self.times += 1
        return orjson.dumps(self.story)


def entry(name: str, owner: str | None = None) -> Entry:
    return Entry(name, owner, name.encode())


@pytest.fixture
def log() -> RaceLog:
    """Return a log with four races: of one key, another, again the first, and none."""
    made = RaceLog()
    for name, owner in (("1", "mine"), ("2", "other"), ("3", "mine"), ("4", None)):
        made.add(entry(name, owner))
    return made


async def heard(listener: Listener, count: int) -> list[str]:
    """Return the ids of the next so many races that *listener* hears of."""
    async with asyncio.timeout(PATIENCE):
        return [(await anext(listener)).id for _ in range(count)]


async def rest(listener: Listener) -> list[str]:
    """Return the ids of all that is left to hear, to its end."""
    async with asyncio.timeout(PATIENCE):
        return [entry.id async for entry in listener]


@pytest.mark.parametrize(
    ("client", "seen"),
    [
        (None, [b"4", b"3", b"2", b"1"]),
        (ADMIN, [b"4", b"3", b"2", b"1"]),
        (MINE, [b"3", b"1"]),
        (OTHER, [b"2"]),
        (key("new"), []),
    ],
)
def test_who_sees_what(
    log: RaceLog, client: KeySettings | None, seen: list[bytes]
) -> None:
    """The newest come first; a key sees its own, an admin, or who needs no key, all."""
    assert log.last(client, 100) == seen
    for name in "1234":
        found = log.find(name, client)
        assert found == (name.encode() if name.encode() in seen else None)


def test_limit(log: RaceLog) -> None:
    """As many as were asked for, counting only those that the key may see."""
    assert log.last(None, 2) == [b"4", b"3"]
    assert log.last(MINE, 2) == [b"3", b"1"]


def test_the_same_id_twice() -> None:
    """Clients choose ids: the latest race with it is found, each one's own."""
    log = RaceLog()
    for owner, data in (("mine", b"a"), ("mine", b"b"), ("other", b"c")):
        log.add(Entry("same", owner, data))

    assert log.find("same", MINE) == b"b"
    assert log.find("same", OTHER) == b"c"


def test_bounded_memory() -> None:
    """Only the last races are kept."""
    log = RaceLog()
    for n in range(REMEMBERED + 5):
        log.add(entry(str(n)))

    assert len(log.last(None, 10 * REMEMBERED)) == REMEMBERED
    assert log.find("4", None) is None
    assert log.find("5", None) == b"5"


async def test_listeners_hear_what_they_may_see(log: RaceLog) -> None:
    """Each hears of what ends from now on, in that order: its own, or all."""
    with log.listen(MINE) as mine, log.listen(ADMIN) as admin, log.listen(None) as all_:
        for name, owner in (("5", "other"), ("6", "mine"), ("7", None), ("8", "mine")):
            log.add(entry(name, owner))

        assert await heard(mine, 2) == ["6", "8"]
        assert await heard(admin, 4) == ["5", "6", "7", "8"]
        assert await heard(all_, 4) == ["5", "6", "7", "8"]


async def test_listener_waits() -> None:
    """One that has heard all is woken up by the next race."""
    log = RaceLog()
    with log.listen(None) as listener:
        for name in "12":
            hearing = asyncio.create_task(heard(listener, 1))
            await asyncio.sleep(0)
            assert not hearing.done()
            log.add(entry(name))
            assert await hearing == [name]


async def test_listener_that_is_behind() -> None:
    """It misses the oldest: a client that does not read fills no memory."""
    log = RaceLog()
    with log.listen(None) as listener:
        for n in range(BEHIND + 5):
            log.add(entry(str(n)))
        log.close()
        log.add(entry("after the end"))

        left = await rest(listener)

    assert len(left) == BEHIND
    assert left[0 :: BEHIND - 1] == ["5", str(BEHIND + 4)]


async def test_listener_that_left() -> None:
    """It hears of nothing any more, and the others go on."""
    log = RaceLog()
    with log.listen(None) as stays:
        with log.listen(None) as leaves:
            log.add(entry("1"))
        log.add(entry("2"))
        log.dismiss()

        assert await rest(stays) == ["1", "2"]
    assert await heard(leaves, 1) == ["1"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(leaves)


async def test_end() -> None:
    """A closed log ends what listens, after what it has still to hear."""
    log = RaceLog()
    with log.listen(None) as listener:
        waiting = asyncio.create_task(rest(listener))
        await asyncio.sleep(0)
        log.add(entry("1"))
        log.close()

        assert await waiting == ["1"]


async def test_nobody_listens_to_what_has_ended() -> None:
    """Who comes after the end, since browsers come again, is sent away at once."""
    log = RaceLog()
    log.close()

    with log.listen(None) as listener:
        log.add(entry("1"))

        assert await rest(listener) == []


async def test_dismissed() -> None:
    """Who listens can be sent away, and may come back."""
    log = RaceLog()
    with log.listen(None) as listener:
        log.dismiss()
        assert await rest(listener) == []

    with log.listen(None) as listener:
        log.add(entry("1"))
        assert await heard(listener, 1) == ["1"]


def test_told_when_it_is_read() -> None:
    """Of all races, few are ever read: the others cost nothing to tell."""
    story = Told({"id": "1"})
    log = RaceLog()
    log.add(Entry("1", None, story))
    assert story.times == 0

    assert [log.find("1", None), *log.last(None, 1)] == [b'{"id":"1"}'] * 2
    assert story.times == 1


def test_race_takes_no_more_memory_than_its_story() -> None:
    """What orjson has written in too large a buffer is not kept in it."""
    tracemalloc.start()
    try:
        kept = [Entry("1", None, Told({"id": "x" * 1000})) for _ in range(100)]
        for each in kept:
            each.json()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < len(kept) * 1500
