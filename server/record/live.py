"""What happens in races, told while it happens to whoever listens."""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import orjson
from attrs import define, frozen

from server.config.settings import KeySettings
from server.racing.lanes import Lane, Step
from server.racing.strategies import Candidate

from .log import sees

# A listener that is so many events behind is told to look the races up instead.
BEHIND = 1000
ENDED = "race.ended"
RESYNC = "resync"


@frozen
class LiveEvent:
    """One thing that happened; *owner* names the key that the race's request had."""

    name: str
    owner: str | None
    data: bytes

    def shown_to(self, client: KeySettings | None) -> bool:
        """Say whether *client* may see it; None: the server is open to all."""
        return sees(client, self.owner)

    def frame(self) -> bytes:
        """Return it as server-sent events have it."""
        return b"event: %b\ndata: %b\n\n" % (self.name.encode(), self.data)


class Listener:
    """Iterates over what happens from now on, until it is dismissed."""

    def __init__(self, client: KeySettings | None) -> None:
        self._client = client
        self._unread: deque[LiveEvent] = deque()
        self._over = False
        self._some = asyncio.Event()

    def put(self, event: LiveEvent) -> None:
        if self._over or not event.shown_to(self._client):
            return
        if len(self._unread) == BEHIND:
            self._make_room()
        self._unread.append(event)
        self._some.set()

    def dismiss(self) -> None:
        """End the iteration, once all events so far have been read."""
        self._over = True
        self._some.set()

    def __aiter__(self) -> "Listener":
        return self

    async def __anext__(self) -> LiveEvent:
        while not self._unread:
            if self._over:
                raise StopAsyncIteration
            self._some.clear()
            await self._some.wait()
        return self._unread.popleft()

    def _make_room(self) -> None:
        """Keep the latest stories, which say what the other events did, and say so."""
        kept = [event for event in self._unread if event.name == ENDED]
        kept = kept[-BEHIND // 2 :]
        missed = orjson.dumps({"missed": len(self._unread) - len(kept)})
        self._unread = deque((LiveEvent(RESYNC, None, missed), *kept))


class LiveRaces:
    """Who listens to races; while nobody does, nothing is made of what happens."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._closed = False

    @property
    def followed(self) -> bool:
        """Whether anybody would hear of an event."""
        return bool(self._listeners)

    def tell(self, event: LiveEvent) -> None:
        for listener in self._listeners:
            listener.put(event)

    @contextmanager
    def listen(self, client: KeySettings | None) -> Iterator[Listener]:
        """Yield an iterator over what happens, and *client* may see, from now on."""
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


@define(eq=False)
class Follower:
    """
    Tells *live* of one race. *id* is its request's, *owner* the name of the key that it
    came with, *started* perf_counter's time.
    """

    live: LiveRaces
    id: str
    owner: str | None
    started: float

    def begin(
        self, model: str | None, strategy: str, racers: Sequence[Candidate]
    ) -> None:
        """Tell that it has begun, and who may start in it."""
        entrants = [{"id": racer.id, "model": racer.model} for racer in racers]
        self._tell(
            "race.started",
            {"id": self.id, "model": model, "strategy": strategy, "racers": entrants},
        )

    def __call__(self, lane: Lane, step: Step) -> None:
        """Tell of a *step* that a racer has made."""
        moment = lane.time_of(step)
        about = {"id": self.id, "racer": lane.id, "ms": self._ms(moment)}
        match step:
            case "failed" if lane.error is not None:
                about["reason"] = lane.error.code
            case "won":
                if lane.spoke is not None:
                    self._tell("racer.token", about)
                self._tell("race.decided", {**about, "winner": lane.id})
                return
        self._tell(f"racer.{step}", about)

    def _ms(self, moment: float | None) -> float | None:
        return None if moment is None else round((moment - self.started) * 1000, 2)

    def _tell(self, name: str, about: Mapping[str, object]) -> None:
        self.live.tell(LiveEvent(name, self.owner, orjson.dumps(about)))
