"""The race: several providers start, the first token decides, the others are cut off.

asyncio alone: no HTTP, no JSON. A race knows racers, their streams, and time.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from attrs import define, field

from providers import ProviderError
from server.racing.errors import NobodyWon

from .lanes import NOT_CALLED, Course, Lane, now
from .strategies import Strategy, count_running
from .streams import P, Racer, RacerStream, until_token

R = TypeVar("R")


@define(eq=False)
class Winner(Generic[P]):
    """
    The racer whose first token came first.

    *head* is what arrived with that token; *rest* is the open stream of what follows,
    and *fail* is to be called if it raises.
    """

    lane: Lane
    head: Sequence[P]
    rest: RacerStream[P]
    _on_end: "OnEnd"

    @property
    def id(self) -> str:
        return self.lane.id

    def fail(self, error: ProviderError) -> None:
        """Note that the answer broke after its first token: the winner is out, too."""
        if self.lane.ended is None:
            self.lane.fail(error)
            self._on_end(self.lane)
        self.close()

    def close(self) -> None:
        """Hang up, if its answer is not whole yet."""
        self.rest.close()
        if self.lane.ended is None:
            self.lane.ended = now()
            self._on_end(self.lane)


OnEnd = Callable[[Lane], None]
Permit = Callable[[int], Awaitable[bool]]


def _ignore(_: Lane) -> None:
    pass


@define(eq=False)
class Race(Course, Generic[R, P]):
    """
    Streams *request* from *racers*, which start when *schedule* says.

    *on_end* is called once with the lane of each that has won, lost or failed, as soon
    as it has; not with those that were given up undecided. *permit* says, given how
    many then run, whether one more may start beside others: a limit of the client's may
    be reached.
    """

    racers: Sequence[Racer[R, P]]
    request: R
    schedule: Strategy
    on_end: OnEnd = _ignore
    permit: Permit | None = None
    winner: Winner[P] | None = field(default=None, init=False)
    _waiting: deque[Racer[R, P]] = field(factory=deque, init=False)
    _round: list[Lane] = field(factory=list, init=False)
    _open: dict[asyncio.Task[None], Lane] = field(factory=dict, init=False)
    _undecided: list[RacerStream[P]] = field(factory=list, init=False)
    # The racers with a sound answer without a token, in the order of their ends.
    _aside: list[Winner[P]] = field(factory=list, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    async def run(self) -> Winner[P]:
        """
        Return the first racer to yield a token; where none does, the first with a sound
        answer without a token. Raises NobodyWon if there is none of these either.

        When it returns, all other streams are closed; when it raises or is cancelled,
        all are. It may be run again when the winner has failed: the racers are then
        those that have not failed, since one that was cut off may still have an answer.
        """
        self._line_up()
        try:
            if len(self._waiting) == 1 or self.schedule.limit == 1:
                await self._one_by_one()
            else:
                await self._side_by_side()
            if self.winner is None and self._aside:
                self._won_by(self._aside.pop(0))
        except BaseException:
            self.close()
            raise
        finally:
            self._settle()
        if self.winner is None:
            losses = [loss for lane in self.lanes if (loss := lane.loss())]
            raise NobodyWon(losses)
        return self.winner

    def close(self) -> None:
        """Hang up on the winner, if there is one."""
        if self.winner is not None:
            self.winner.close()

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # A task that was cancelled before its first turn has sent nothing.
        self.lanes = [lane for lane in self.lanes if not lane.running]
        self._open.clear()
        self._undecided.clear()
        self._waiting.clear()
        for each in self._aside:
            each.rest.close()
        self._aside.clear()

    def _line_up(self) -> None:
        racers = list(self.racers)
        if self.lanes:
            failed = {lane.id for lane in self.lanes if lane.outcome == "failed"}
            racers = [racer for racer in racers if racer.id not in failed]
        if len(racers) > 1 and self.schedule.fair(len(racers)):
            # Tasks first run in the order of their creation. That is random, so that
            # nobody has a head start by its place in the client's list.
            random.shuffle(racers)
        self._waiting.extend(racers)
        self._round = []
        self.winner = self.winning_lane = None

    def _start_due(self, group: asyncio.TaskGroup) -> None:
        """Start all racers whose time has come, and set a timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting and not self._ending():
            moment = now()
            due = self.schedule.next_start(self._round, moment)
            if due is None:
                return
            if due > moment:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(due - moment, self._start_due, group)
                return
            if self.schedule.admit(self._round):
                self._start_next(group)

    def _ending(self) -> bool:
        """Say whether the race is won or being cancelled: nobody starts any more."""
        return any(task.cancelling() for task in self._open) or self.winner is not None

    def _start_next(self, group: asyncio.TaskGroup) -> None:
        racer = self._waiting.popleft()
        lane = self._enter(racer)
        running = self._run(racer, lane, group)
        self._open[group.create_task(running, name=f"race:{lane.id}")] = lane

    def _enter(self, racer: Racer[R, P]) -> Lane:
        lane = Lane(
            racer.id, racer.model, racer.hurried, "running", now(), attempt=NOT_CALLED
        )
        self.lanes.append(lane)
        self._round.append(lane)
        return lane

    async def _side_by_side(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._start_due(group)
        except asyncio.CancelledError as exc:
            # Without its traceback: before Python 3.13 that forms a reference cycle
            # with the group's __aexit__, which would keep the request's body in memory
            # until the next garbage collection.
            raise exc.with_traceback(None) from None

    async def _one_by_one(self) -> None:
        """Run the racers one after another, which needs no tasks."""
        while self._waiting and self.winner is None:
            racer = self._waiting.popleft()
            await self._compete(racer, self._enter(racer))

    async def _run(
        self, racer: Racer[R, P], lane: Lane, group: asyncio.TaskGroup
    ) -> None:
        if self.permit is None or await self.permit(count_running(self._round)):
            await self._compete(racer, lane)
        else:
            self._withhold(racer, lane)
        # No await from here on, so no second lane can get this far as the winner.
        if self.winner is None:
            self._start_due(group)
        elif self.winner.lane is lane:
            for task in self._open:
                if task is not asyncio.current_task():
                    task.cancel()

    def _withhold(self, racer: Racer[R, P], lane: Lane) -> None:
        """Take back a start: it waits until nobody runs beside it."""
        self.lanes.remove(lane)
        self._round.remove(lane)
        self._waiting.appendleft(racer)
        self.schedule.withhold(self._round)

    async def _compete(self, racer: Racer[R, P], lane: Lane) -> None:
        """Run *racer* in *lane* until it is out, or has won."""
        try:
            stream = racer.stream(self.request)
            lane.begin(stream.attempt, self.tell)
            self._undecided.append(stream)
            head, has_token = await until_token(stream)
        except ProviderError as exc:
            lane.fail(exc)
            self.on_end(lane)
        except BaseException:
            lane.cut_off(self.winner.lane if self.winner else None)
            if lane.beaten_by is not None:
                self.on_end(lane)
            raise
        else:
            # No await from here on: whoever comes second finds a winner.
            self._undecided.remove(stream)
            answer = Winner(lane, head, stream, self.on_end)
            if has_token:
                self._won_by(answer)
            else:
                lane.set_aside()
                self._aside.append(answer)

    def _won_by(self, winner: Winner[P]) -> None:
        winner.lane.win(now())
        self.winner, self.winning_lane = winner, winner.lane
        for loser in self._undecided:
            loser.cut_off()  # at once: a cancelled task acts in its next turn
        for other in self._aside:
            other.lane.lose(winner.lane)
            self.on_end(other.lane)
