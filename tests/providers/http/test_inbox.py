"""What waits in an inbox: pulled, pushed, and held back."""

import asyncio

import pytest

from providers.http.inbox import Inbox


def test_what_is_kept_is_pushed_first() -> None:
    """Whoever begins to take gets what came before, then each part as it comes."""
    inbox, parts = Inbox(b""), list[bytes]()
    assert inbox.put(b"a")
    assert inbox.put(b"b")

    def take(part: bytes) -> bool:
        parts.append(part)
        return False

    inbox.push_to(take)
    assert not inbox.put(b"c")
    assert parts == [b"ab", b"c"]


def test_back_pressure() -> None:
    """Nothing is pushed to who has enough, its end neither, until that goes on."""
    inbox, parts, ends = Inbox(b""), list[bytes](), list[object]()

    def take(part: bytes) -> bool:
        parts.append(part)
        return True

    inbox.push_to(take, ends.append)
    assert inbox.put(b"a")
    assert inbox.put(b"b")
    inbox.put(b"c")
    inbox.end(None)
    assert (parts, ends) == ([b"a"], [])
    assert inbox.go_on()
    assert (parts, ends) == ([b"a", b"bc"], [])
    assert not inbox.go_on()
    assert ends == [None]


def test_little_at_a_time() -> None:
    """However much has come, it is pushed in parts, as long as they are wanted."""
    inbox, parts = Inbox(b"", most=2), list[bytes]()

    def take(part: bytes) -> bool:
        parts.append(part)
        return len(parts) == 2

    inbox.push_to(take)
    assert inbox.put(b"abcde")
    assert (parts, inbox.kept) == ([b"ab", b"cd"], b"e")
    assert not inbox.go_on()
    assert parts == [b"ab", b"cd", b"e"]


def test_cleared_while_pushing() -> None:
    """Whoever hangs up in the middle of a part gets no other, and no end."""
    inbox, parts, ends = Inbox(b"", most=1), list[bytes](), list[object]()

    def take(part: bytes) -> bool:
        parts.append(part)
        inbox.clear()
        return False

    inbox.push_to(take, ends.append)
    inbox.put(b"abc")
    inbox.end(None)
    assert (parts, ends) == ([b"a"], [])


async def test_pulled() -> None:
    """Whoever waits is woken by what comes and what breaks it, which is raised once."""
    inbox: Inbox[list[int]] = Inbox([])
    for event in (lambda: inbox.put([1, 2]), lambda: inbox.end(ValueError("broken"))):
        waiting = asyncio.ensure_future(inbox.wait())
        await asyncio.sleep(0)
        assert inbox.waiting
        event()
        await waiting
    assert inbox.take() == [1, 2]
    assert not inbox.kept
    with pytest.raises(ValueError, match="broken"):
        inbox.check()
    inbox.check()
