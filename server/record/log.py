"""The last races, in bounded memory."""

from collections import deque
from itertools import islice
from typing import Protocol

from attrs import define, field

REMEMBERED = 1000


class Writable(Protocol):
    """What can say in JSON what happened in a race: a Story."""

    def json(self) -> bytes: ...


class Viewer(Protocol):
    """A client with a key: its name, and whether it may see all."""

    @property
    def name(self) -> str: ...

    @property
    def admin(self) -> bool: ...


def sees(client: Viewer | None, owner: str | None) -> bool:
    """Say whether *client* may see what *owner* did; None: the server is open."""
    return client is None or client.admin or client.name == owner


@define(eq=False)
class Entry:
    """
    One race that has ended. *id* is its request's, *owner* the name of the key that it
    came with.
    """

    id: str
    owner: str | None
    _story: Writable | bytes = field(repr=False)

    def json(self) -> bytes:
        """Return its story, encoded when it is first read, since few ever are."""
        if not isinstance(self._story, bytes):
            # orjson's bytes keep the buffer that they were written to, of several KiB.
            self._story = bytes(bytearray(self._story.json()))
        return self._story

    def shown_to(self, client: Viewer | None) -> bool:
        """Say whether *client* may see it; None: the server is open to all."""
        return sees(client, self.owner)


class RaceLog:
    """What `/v1/races` shows."""

    def __init__(self) -> None:
        self._last: deque[Entry] = deque(maxlen=REMEMBERED)

    def add(self, entry: Entry) -> None:
        self._last.append(entry)

    def last(self, client: Viewer | None, limit: int) -> list[bytes]:
        """Return the last races that *client* may see, the newest first."""
        shown = (e.json() for e in reversed(self._last) if e.shown_to(client))
        return list(islice(shown, limit))

    def find(self, request_id: str, client: Viewer | None) -> bytes | None:
        """Return the last race of the request with this id, if *client* may see it."""
        entries = (
            entry.json()
            for entry in reversed(self._last)
            if entry.id == request_id and entry.shown_to(client)
        )
        return next(entries, None)
