"""The last races: who may see which, in bounded memory."""

import tracemalloc

import orjson
import pytest
from attrs import define

from server.config.settings import KeySettings
from server.record.log import REMEMBERED, Entry, RaceLog


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
