"""A race for a request: kept in the logs, and described in its answer's headers."""

import asyncio
from collections.abc import Sequence
from time import perf_counter, time
from typing import TYPE_CHECKING, Generic, Self

from aiohttp import web
from attrs import define, field

from providers import ChatRequest
from server.errors import GatewayError, InternalError
from server.racing.entrants import R
from server.racing.errors import NobodyWon
from server.racing.lanes import Course, Lane, Step
from server.racing.lineup import Lineup
from server.racing.race import Race, Winner
from server.racing.streams import P
from server.record.costs import dollars, nanos_of
from server.record.live import Follower, LiveRaces
from server.record.story import Ending, Story
from server.record.usage import charges

from .context import Visit
from .limiting import settle

if TYPE_CHECKING:
    from server.record.tracing import RequestTrace


@define(eq=False)
class LoggedRace(Generic[R, P]):
    """
    Makes a race known to the logs, and closes it at its end. *ending* is how its
    request ends, as far as is known.
    """

    request: web.Request
    visit: Visit
    race: Race[R, P]
    lineup: Lineup[R, P]
    ending: Ending = field(factory=Ending, init=False)
    _is_logged: bool = field(default=False, init=False)

    def __enter__(self) -> Self:
        visit = self.visit
        visit.race = self.race
        live = visit.gateway.live
        if live.followed:
            self._follow(live)
        if visit.trace is not None:
            self._trace(visit.trace)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        match error:
            case None:
                pass
            case GatewayError():
                self.ending.code = error.cause
                error.headers["Server-Timing"] = timing(self.race)
                if isinstance(error, NobodyWon):
                    skipped = self.lineup.skipped
                    error.not_called = [(each.id, each.reason) for each in skipped]
            case asyncio.CancelledError() | ConnectionError():
                self.ending.client_left = True
            case Exception():
                self.ending.code = InternalError.code
        self.close()

    def close(self) -> None:
        """
        Close the race and log it, unless that is done. A stream's last bytes come after
        it: who has them finds the race, though this process is killed at that moment.
        """
        if self._is_logged:
            return
        self._is_logged = True
        self.race.close()
        if self.race.tell is not None:
            for lane in self.race.lanes:
                lane.leave()
        visit = self.visit
        story = _story(self, visit, self.race)
        visit.gateway.usage.add(story.key, story.charges)
        settle(visit, story.lanes, story.charges)
        if visit.trace is not None:
            visit.trace.tell(story, self.race.request, visit.gateway.settings_of)
        visit.gateway.finished(story)

    def _trace(self, trace: "RequestTrace") -> None:
        """Have each racer's span begin as it starts."""
        visit, live = self.visit, self.race.tell
        trace.open(visit.client, self.request.remote or "")
        begin = trace.follow(visit.gateway.settings_of)

        def tell(lane: Lane, step: Step) -> None:
            begin(lane, step)
            if live is not None:
                live(lane, step)

        self.race.tell = tell

    def _follow(self, live: LiveRaces) -> None:
        """Tell whoever listens of this race's steps."""
        visit, race, lineup = self.visit, self.race, self.lineup
        follower = Follower(live, visit.id, _owner(visit), race.started)
        follower.begin(race.request.model, lineup.policy.strategy, lineup.entrants)
        race.tell = follower


def _story(logged: LoggedRace[R, P], visit: Visit, race: Race[R, P]) -> Story:
    task, lineup = race.request, logged.lineup
    lanes, winner = race.lanes, race.winning_lane
    is_chat, started, now = isinstance(task, ChatRequest), race.started, perf_counter()
    return Story(
        id=visit.id,
        key=_owner(visit),
        path=logged.request.path,
        task=task.task,
        model=task.model,
        stream=isinstance(task, ChatRequest) and bool(task.stream),
        created=time() - (now - started),
        started=started,
        ended=now,
        lanes=lanes,
        winner=winner,
        policy=lineup.policy,
        schedule=lineup.schedule,
        skipped=lineup.skipped,
        waiting=_waiting(race, lineup),
        ending=logged.ending,
        trace="" if visit.trace is None else visit.trace.id,
        charges=charges(lanes, winner, visit.gateway.tariff, chat=is_chat),
    )


def _owner(visit: Visit) -> str | None:
    return None if visit.client is None else visit.client.name


def cost(visit: Visit, winner: Winner[P]) -> float | None:
    """Return what the answer of *winner* cost, in dollars; None: nobody knows."""
    usage = winner.lane.attempt.usage
    if usage is None:
        return None
    price = visit.gateway.tariff(winner.id, winner.lane.model)
    nanos = nanos_of(usage, price)
    return None if nanos is None else dollars(nanos)


def _waiting(race: Course, lineup: Lineup[R, P]) -> Sequence[tuple[str, str]]:
    if len(lineup.entrants) == len(race.lanes) == 1:
        return ()  # most requests: their stories share this one
    started = {lane.id for lane in race.lanes}
    return [(e.id, e.model) for e in lineup.entrants if e.id not in started]


async def decided(race: Race[R, P], lineup: Lineup[R, P]) -> Winner[P]:
    """Run *race*, then give up its claims to providers whose rest is over."""
    try:
        return await race.run()
    finally:
        lineup.release()
        if isinstance(race.request, ChatRequest):
            race.request.forget_json()


def race_headers(race: Course, winner: Winner[P]) -> dict[str, str]:
    """Return the headers of an answer that tell of its race, and of its winner."""
    headers = {"X-Provider": winner.id, "Server-Timing": timing(race)}
    if dropped := winner.lane.attempt.dropped:
        headers["X-Dropped"] = ", ".join(dropped)
    return headers


def timing(race: Course) -> str:
    """Return a Server-Timing header: one entry a racer, milliseconds to its end."""
    if len(race.lanes) == 1:  # most have
        return _entry(race.lanes[0])
    latest = {lane.id: lane for lane in race.lanes}  # some have started twice
    return ", ".join(map(_entry, latest.values()))


def _entry(lane: Lane) -> str:
    return f'{lane.id};dur={lane.seconds * 1000:.1f};desc="{_fate(lane)}"'


def _fate(lane: Lane) -> str:
    return f"failed: {lane.error.code}" if lane.error else lane.outcome
