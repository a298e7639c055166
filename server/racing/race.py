"""The race: several providers start, the first token decides, the others are cut off.

asyncio alone: no HTTP, no JSON. A race knows racers, their streams, and time.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, Generic, Literal, Protocol, TypeVar

from attrs import define, field

from providers import Attempt, Phase, ProviderError
from server.errors import Loss, NobodyWon

from .schedule import Schedule

R = TypeVar("R")
P = TypeVar("P", bound="Piece")
R_contra = TypeVar("R_contra", contravariant=True)
P_co = TypeVar("P_co", bound="Piece", covariant=True)
Outcome = Literal["waiting", "running", "won", "cut off", "failed"]


class Piece(Protocol):
    """A piece of an answer: a chunk of a chat, an image, a sound."""

    @property
    def has_token(self) -> bool:
        """Whether this decides a race."""
        ...


class Stream(Protocol[P_co]):
    """An answer on its way: the pieces that arrive together, or a ProviderError."""

    @property
    def attempt(self) -> Attempt: ...

    @property
    def phase(self) -> Phase: ...

    def __aiter__(self) -> "Stream[P_co]": ...

    async def __anext__(self) -> Sequence[P_co]: ...

    async def pour(
        self,
        show: Callable[[Sequence[Any]], bool],
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        """
        Have *show* called with all that arrives. It returns whether that is more than
        its client has read; *catch_up* waits until that is read.
        """
        async for pieces in self:
            if show(pieces):
                await catch_up()

    def cut_off(self) -> None:
        """Hang up at once, since another one has won."""
        self.close()

    def close(self) -> None:
        """Hang up at once."""
        ...


class Racer(Protocol[R_contra, P_co]):
    """Someone who can be asked; nothing is sent before the stream is first read."""

    @property
    def id(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def hurried(self) -> bool:
        """Whether the client gives it less time than is configured."""
        ...

    def stream(self, request: R_contra) -> Stream[P_co]: ...


@define(eq=False)
class Lane:
    """
    One racer's part of a race. Times are perf_counter's, in seconds.

    *hurried* says whether the client gave it less time than is configured; *attempt* is
    what its stream tells of the call. A racer that is cut off has *ended* when it has
    been hung up on; *beaten_by* is whose token came first, if that is why. It outlives
    its race in the log, so it keeps no racer, which may have large things to ask.
    """

    id: str
    model: str
    hurried: bool = False
    outcome: Outcome = "waiting"
    started: float = 0.0
    first_token: float | None = None
    ended: float | None = None
    beaten_by: "Lane | None" = None
    error: ProviderError | None = None
    attempt: Attempt = field(factory=Attempt)

    @property
    def running(self) -> bool:
        return self.outcome == "running"

    @property
    def spoke(self) -> float | None:
        """When its first token came; None if it has not, or with all the others."""
        return None if self.attempt.whole else self.first_token

    @property
    def ttft(self) -> float | None:
        """Seconds from the racer's start to its first token, if that is known."""
        return None if self.spoke is None else self.spoke - self.started

    @property
    def answered_in(self) -> float | None:
        """Seconds from the racer's start to the end of its answer, if that has come."""
        ended = self.attempt.ended
        return None if ended is None else ended - self.started

    @property
    def seconds(self) -> float:
        """Seconds from the racer's start to its first token, or to its being out."""
        end = self.first_token or self.ended
        return 0.0 if end is None else end - self.started

    def fail(self, error: ProviderError) -> None:
        """Take in that it is out; of *error*, only what it says is kept."""
        _forget_the_way(error)
        self.outcome, self.error, self.ended = "failed", error, _now()

    def cut_off(self, beaten_by: "Lane | None") -> None:
        """Take in that it has been hung up on; None: nobody has won."""
        self.outcome, self.beaten_by, self.ended = "cut off", beaten_by, _now()

    def loss(self) -> Loss | None:
        if self.error is None or self.ended is None:
            return None
        ms = (self.ended - self.started) * 1000
        return Loss(id=self.id, error=self.error, ms=ms)


@define(eq=False)
class Winner(Generic[P]):
    """
    The racer whose first token came first.

    *head* is what arrived with that token; *rest* is the open stream of what follows,
    and *fail* is to be called if it raises.
    """

    lane: Lane
    head: Sequence[P]
    rest: Stream[P]
    _on_end: "OnEnd"

    @property
    def id(self) -> str:
        return self.lane.id

    def fail(self, error: ProviderError) -> None:
        """Take the victory back: what came after the first token is no answer."""
        if self.lane.ended is None:
            self.lane.fail(error)
            self._on_end(self.lane)
        self.close()

    def close(self) -> None:
        """Hang up, if its answer is not whole yet."""
        self.rest.close()
        if self.lane.ended is None:
            self.lane.ended = _now()
            self._on_end(self.lane)


OnEnd = Callable[[Lane], None]


def _unheard(_: Lane) -> None:
    pass


@define(eq=False)
class Race(Generic[R, P]):
    """
    Streams *request* from *racers*, which start when *schedule* says.

    *lanes* tells the story, one lane for each start; *started* is when it began.
    *on_end* is called once with each that has won, lost or failed, as soon as it has;
    not with those that were given up undecided.
    """

    racers: Sequence[Racer[R, P]]
    request: R
    schedule: Schedule
    on_end: OnEnd = _unheard
    started: float = field(factory=perf_counter, init=False)
    lanes: list[Lane] = field(factory=list, init=False)
    winner: Winner[P] | None = field(default=None, init=False)
    _waiting: deque[Racer[R, P]] = field(factory=deque, init=False)
    _round: list[Lane] = field(factory=list, init=False)
    _open: dict[asyncio.Task[None], Lane] = field(factory=dict, init=False)
    _undecided: list[Stream[P]] = field(factory=list, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    async def run(self) -> Winner[P]:
        """
        Return the first racer to yield a token; raise NobodyWon if none does.

        By then every other stream is closed, and if this raises or is cancelled, all
        are. It may be run again when the winner has failed: it is then among those who
        have not failed yet, since a racer that was cut off may still have an answer.
        """
        self._line_up()
        try:
            if len(self._waiting) == 1 or self.schedule.limit == 1:
                await self._one_by_one()
            else:
                await self._side_by_side()
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
        # Who was cut off before the first turn was never asked.
        self.lanes = [lane for lane in self.lanes if not lane.running]
        self._open.clear()
        self._undecided.clear()
        self._waiting.clear()

    def _line_up(self) -> None:
        left = list(self.racers)
        if self.lanes:
            failed = {lane.id for lane in self.lanes if lane.outcome == "failed"}
            left = [racer for racer in left if racer.id not in failed]
        if len(left) > 1 and self.schedule.fair(len(left)):
            # Tasks run in the order they were made in: a draw, so that no place in
            # the client's list is worth a head start.
            random.shuffle(left)
        self._waiting.extend(left)
        self._round = []
        self.winner = None

    def _start_due(self, group: asyncio.TaskGroup) -> None:
        """Start all whose time has come, and wake up again for the next."""
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting and not self._ending():
            now = _now()
            due = self.schedule.next_start(self._round, now)
            if due is None:
                return
            if due > now:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(due - now, self._start_due, group)
                return
            if self.schedule.admit(self._round):
                self._start_next(group)

    def _ending(self) -> bool:
        """Say whether it is won, or being given up: then nobody starts any more."""
        return any(task.cancelling() for task in self._open) or self.winner is not None

    def _start_next(self, group: asyncio.TaskGroup) -> None:
        racer = self._waiting.popleft()
        lane = self._enter(racer)
        running = self._run(racer, lane, group)
        self._open[group.create_task(running, name=f"race:{lane.id}")] = lane

    def _enter(self, racer: Racer[R, P]) -> Lane:
        lane = Lane(racer.id, racer.model, racer.hurried, "running", _now())
        self.lanes.append(lane)
        self._round.append(lane)
        return lane

    async def _side_by_side(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._start_due(group)
        except asyncio.CancelledError as exc:
            # Before Python 3.13 this error and the group's way out know each other, and
            # would keep all that is there, the request's body, for a collection.
            raise exc.with_traceback(None) from None

    async def _one_by_one(self) -> None:
        """Run where there is never more than one: no task is needed for that."""
        while self._waiting and self.winner is None:
            racer = self._waiting.popleft()
            await self._compete(racer, self._enter(racer))

    async def _run(
        self, racer: Racer[R, P], lane: Lane, group: asyncio.TaskGroup
    ) -> None:
        await self._compete(racer, lane)
        # No await from here on, so no second lane can get this far as the winner.
        if self.winner is None:
            self._start_due(group)
        elif self.winner.lane is lane:
            for task in self._open:
                if task is not asyncio.current_task():
                    task.cancel()

    async def _compete(self, racer: Racer[R, P], lane: Lane) -> None:
        """Run *racer* in *lane* until it is out, or has won."""
        try:
            stream = racer.stream(self.request)
            lane.attempt = stream.attempt
            self._undecided.append(stream)
            head = await _until_token(stream)
        except ProviderError as exc:
            lane.fail(exc)
            self.on_end(lane)
        except BaseException:
            lane.cut_off(self.winner.lane if self.winner else None)
            if lane.beaten_by is not None:
                self.on_end(lane)
            raise
        else:
            # No await from here on: who is second finds a winner.
            lane.outcome, lane.first_token = "won", _now()
            self.winner = Winner(lane, head, stream, self.on_end)
            self._undecided.remove(stream)
            for loser in self._undecided:
                loser.cut_off()  # now; their tasks are told in their next turn


async def _until_token(stream: Stream[P]) -> Sequence[P]:
    """
    Read up to the first token; return what arrived with it, less what came before.

    A role or an empty delta is not speech, and a stream of nothing else must not fill
    the memory. A stream that ends without a token raises: that is its own rule.
    """
    try:
        while True:
            pieces = await stream.__anext__()
            for i, piece in enumerate(pieces):
                if piece.has_token:
                    return pieces[i:]
    except BaseException:
        stream.close()
        raise


def _forget_the_way(error: BaseException) -> None:
    """
    Take from an error, and from those behind it, what they came up through: those calls
    know the lane that is to keep it, and the request, and its body.
    """
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and each.__traceback__ is not None:
            each.__traceback__ = None
            left += each.__cause__, each.__context__


def _now() -> float:
    # Not the loop's time: uvloop's is that of the iteration's start, in milliseconds.
    return perf_counter()
