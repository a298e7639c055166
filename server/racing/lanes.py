"""The lanes of a race: how each racer came off, and when."""

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Literal

from attrs import define, field

from providers import Attempt, ProviderError
from server.racing.errors import Loss

Outcome = Literal["waiting", "running", "won", "cut off", "failed"]
Step = Literal["started", "connected", "headers", "won", "failed", "cut_off"]
Tell = Callable[["Lane", Step], None]


# What all lanes of races have until their calls are made: nobody notes anything there.
NOT_CALLED = Attempt()


@define(eq=False)
class Lane:
    """
    One racer's part of a race. Times are perf_counter's, in seconds.

    *hurried* says whether the client gave it less time than is configured; *attempt*
    has the call's times and counts, as its stream notes them. *ended* is also set for a
    racer that is cut off; *beaten_by* is then the winner's lane, if there is a winner.
    *wordless*: its answer was sound and had no token, so that it can win only where
    nobody has one; *first_token* is then when it won. A lane outlives its race in the
    log, so it has no reference to its racer, whose request may be large. *tell* is
    called with each step, for whoever follows the race.
    """

    id: str
    model: str
    hurried: bool = False
    outcome: Outcome = "waiting"
    started: float = 0.0
    first_token: float | None = None
    ended: float | None = None
    beaten_by: "Lane | None" = None
    wordless: bool = False
    error: ProviderError | None = None
    attempt: Attempt = field(factory=Attempt)
    _tell: Tell | None = field(default=None, init=False)

    @property
    def running(self) -> bool:
        return self.outcome == "running"

    @property
    def spoke(self) -> float | None:
        """When its first token came; None if none has, or the whole answer at once."""
        if self.attempt.whole or self.wordless:
            return None
        return self.first_token

    @property
    def notes(self) -> Sequence[str]:
        """What its dialect has put right."""
        return self.attempt.notes

    @property
    def ttft(self) -> float | None:
        """Seconds from the racer's start to its first token, if that is known."""
        spoke = self.spoke
        return None if spoke is None else spoke - self.started

    @property
    def answered_in(self) -> float | None:
        """Seconds from the racer's start to the end of its answer, if that has come."""
        ended = self.attempt.ended
        return None if ended is None else ended - self.started

    @property
    def seconds(self) -> float:
        """Seconds from the racer's start to its first token, or to its end."""
        end = self.first_token or self.ended
        return 0.0 if end is None else end - self.started

    def time_of(self, step: Step) -> float | None:
        """Return when it made a *step* that it has made."""
        match step:
            case "started":
                return self.started
            case "connected":
                return self.attempt.connected
            case "headers":
                return self.attempt.headers
            case "won":
                return self.first_token
        return self.ended

    def begin(self, attempt: Attempt, tell: Tell | None) -> None:
        """Note the call that is made now, and tell of its steps."""
        self.attempt = attempt
        if tell is not None:
            self._tell = tell
            attempt.on_step = partial(tell, self)
            tell(self, "started")

    def leave(self) -> None:
        """Tell nobody any more; the call knows the lane as long as somebody is told."""
        self._tell = None
        if self.attempt is not NOT_CALLED:
            self.attempt.on_step = None

    def fail(self, error: ProviderError) -> None:
        """Note that it has failed with *error*, which loses its tracebacks."""
        _drop_tracebacks(error)
        self.outcome, self.error, self.ended = "failed", error, now()
        if self._tell is not None:
            self._tell(self, "failed")

    def cut_off(self, beaten_by: "Lane | None") -> None:
        """Note that its stream was closed; None: nobody has won."""
        self.outcome, self.beaten_by, self.ended = "cut off", beaten_by, now()
        if self._tell is not None and not self.wordless:
            self._tell(self, "cut_off")

    def set_aside(self) -> None:
        """Note that its answer is whole and has no token: it loses against any."""
        self.wordless = True
        self.cut_off(None)

    def lose(self, winner: "Lane") -> None:
        """Note that *winner* had a token, and it had none, though it was sound."""
        self.beaten_by = winner
        if self._tell is not None:
            self._tell(self, "cut_off")

    def win(self, decided: float) -> None:
        """Note that it has won; *decided* is when that was."""
        self.outcome, self.first_token, self.ended = "won", decided, None
        if self._tell is not None:
            self._tell(self, "won")

    def loss(self) -> Loss | None:
        """Return why it is out; None if it has not failed."""
        if self.error is None or self.ended is None:
            return None
        ms = (self.ended - self.started) * 1000
        return Loss(id=self.id, error=self.error, ms=ms)


@define(eq=False)
class Course:
    """
    What a race has come to so far, for the logs.

    *lanes* has one lane for each start; *started* is when the race began;
    *winning_lane* is the winner's, also if its answer has failed since. *tell* is
    called at each step of each lane, where somebody follows the race.
    """

    started: float = field(factory=perf_counter, init=False)
    lanes: list[Lane] = field(factory=list, init=False)
    winning_lane: Lane | None = field(default=None, init=False)
    tell: Tell | None = field(default=None, init=False)

    @property
    def waited(self) -> float | None:
        """Seconds from the first start to the answer's end; None: there is none."""
        lane = self.winning_lane
        if lane is None:
            return None
        ended = lane.attempt.ended or lane.ended
        return None if ended is None else ended - self.lanes[0].started


def _drop_tracebacks(error: BaseException) -> None:
    """
    Drop the tracebacks of an error and of its causes: their frames refer to the lane
    that is to keep the error, which would be a reference cycle, and to the request's
    body.
    """
    errors: list[BaseException | None] = [error]
    while errors:
        each = errors.pop()
        if each is not None and each.__traceback__ is not None:
            each.__traceback__ = None
            errors += each.__cause__, each.__context__


def now() -> float:
    # Not the loop's time: uvloop's is that of the iteration's start, in milliseconds.
    return perf_counter()
