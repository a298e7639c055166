"""What happens in races, told while it happens to whoever listens."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import orjson
from attrs import define, frozen

from server.racing.lanes import Lane, Step
from server.racing.strategies import Candidate

from .channel import LIVE, Channel
from .log import Viewer, sees
from .payloads import RacerStepPayload, RaceStartedPayload, ResyncPayload

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

    def shown_to(self, client: Viewer | None) -> bool:
        """Say whether *client* may see it; None: the server is open to all."""
        return sees(client, self.owner)

    @classmethod
    def read(cls, payload: bytes) -> Self:
        """Return what another process has *written*."""
        name, owner, data = orjson.loads(payload)
        return cls(name, owner, orjson.dumps(data))

    def written(self) -> bytes:
        """Return it as JSON in one line, for other processes."""
        return orjson.dumps((self.name, self.owner, orjson.Fragment(self.data)))

    def frame(self) -> bytes:
        """Return it as server-sent events have it."""
        return b"event: %b\ndata: %b\n\n" % (self.name.encode(), self.data)


class Listener:
    """Iterates over what happens from now on, until it is dismissed."""

    def __init__(self, client: Viewer | None) -> None:
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
        missed: ResyncPayload = {"missed": len(self._unread) - len(kept)}
        gap = LiveEvent(RESYNC, None, orjson.dumps(missed))
        self._unread = deque((gap, *kept))


class LiveRaces:
    """Who listens to races; while nobody does, nothing is made of what happens."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._listeners: set[Listener] = set()
        self._closed = False
        # While somebody listens here, other workers tell this one.
        self._end_hearing: Callable[[], None] | None = None

    @property
    def followed(self) -> bool:
        """Whether anybody would hear of an event, in this process or another."""
        return bool(self._listeners) or self._channel.wanted(LIVE)

    def tell(self, event: LiveEvent) -> None:
        for listener in self._listeners:
            listener.put(event)
        if self._channel.wanted(LIVE):
            self._channel.publish(LIVE, event.written())

    @contextmanager
    def listen(self, client: Viewer | None) -> Iterator[Listener]:
        """Yield an iterator over what happens, and *client* may see, from now on."""
        listener = Listener(client)
        if self._closed:
            listener.dismiss()  # browsers do come again
        self._listeners.add(listener)
        if self._end_hearing is None:
            self._end_hearing = self._channel.listen(LIVE, self._hear)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._end_hearing is not None:
                self._end_hearing()
                self._end_hearing = None

    def _hear(self, payload: bytes) -> None:
        """Pass on what happened in a race of another worker."""
        event = LiveEvent.read(payload)
        for listener in self._listeners:
            listener.put(event)

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
        self._tell(
            "race.started",
            {
                "id": self.id,
                "model": model,
                "strategy": strategy,
                "racers": [{"id": racer.id, "model": racer.model} for racer in racers],
            },
        )

    def __call__(self, lane: Lane, step: Step) -> None:
        """Tell of a *step* that a racer has made."""
        ms = self._ms(lane.time_of(step))
        about: RacerStepPayload = {"id": self.id, "racer": lane.id, "ms": ms}
        if step == "won":
            if lane.spoke is not None:
                self._tell("racer.token", about)
            self._tell("race.decided", {**about, "winner": lane.id})
        elif lane.error is not None:
            self._tell("racer.failed", {**about, "reason": lane.error.code})
        else:
            self._tell(f"racer.{step}", about)

    def _ms(self, moment: float | None) -> float | None:
        return None if moment is None else round((moment - self.started) * 1000, 2)

    def _tell(self, name: str, about: RaceStartedPayload | RacerStepPayload) -> None:
        self.live.tell(LiveEvent(name, self.owner, orjson.dumps(about)))
