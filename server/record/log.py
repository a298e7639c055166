"""The last races, in bounded memory, and who listens to them live."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Protocol

from attrs import define, field

from server.config.settings import KeySettings

REMEMBERED = 1000
# A listener that is so far behind misses the oldest.
BEHIND = 1000


class Writable(Protocol):
    """What can say in JSON what happened in a race: a Story."""

    def json(self) -> bytes: ...


class Viewer(Protocol):
    """A client with a key: its name, and whether it may see all."""

    @property
    def name(self) -> str: ...

    @property
    def admin(self) -> bool: ...


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
        return client is None or client.admin or client.name == self.owner


class Listener:
    """Iterates over the races that end from now on, until it is dismissed."""

    def __init__(self, client: KeySettings | None) -> None:
        self._client = client
        self._missed: deque[Entry] = deque(maxlen=BEHIND)
        self._over = False
        self._some = asyncio.Event()

    def put(self, entry: Entry) -> None:
        if entry.shown_to(self._client) and not self._over:
            self._missed.append(entry)
            self._some.set()

    def dismiss(self) -> None:
        """End the iteration, once all entries so far have been read."""
        self._over = True
        self._some.set()

    def __aiter__(self) -> "Listener":
        return self

    async def __anext__(self) -> Entry:
        while not self._missed:
            if self._over:
                raise StopAsyncIteration
            self._some.clear()
            await self._some.wait()
        return self._missed.popleft()


class RaceLog:
    """What `/v1/races` shows."""

    def __init__(self) -> None:
        self._last: deque[Entry] = deque(maxlen=REMEMBERED)
        self._listeners: set[Listener] = set()
        self._closed = False

    def add(self, entry: Entry) -> None:
        self._last.append(entry)
        for listener in self._listeners:
            listener.put(entry)

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

    @contextmanager
    def listen(self, client: KeySettings | None) -> Iterator[Listener]:
        """Yield an iterator over the races that end and that *client* may see."""
        listener = Listener(client)
        if self._closed:
            listener.dismiss()  # browsers do come again
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def dismiss(self) -> None:
        """Dismiss all listeners: those who still may listen will come back."""
        for listener in self._listeners:
            listener.dismiss()

    def close(self) -> None:
        """Dismiss all listeners, now and from now on: the server stops."""
        self._closed = True
        self.dismiss()
