"""Each provider's record, from this server's own traffic."""

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from math import inf
from time import perf_counter
from typing import Protocol, TypedDict, TypeVar

import structlog
from attrs import define, field

from providers import ProviderError, ProviderTimeout
from server.json_types import Milliseconds

from .lanes import Outcome
from .resting import Rest
from .strategies import Candidate
from .times import ENOUGH, Times

log = structlog.get_logger(__name__)

# Seconds before a hedge, while a provider has too short a record to tell its own.
DEFAULT_DELAY = 1.0
# So many of a provider's models have times of their own: clients may send any names.
MODELS = 64
# So many different notes are counted: they may have a vendor's own words in them.
NOTES = 64
# One in so many answers is asked for as a stream in any case, to learn the provider's
# time to first token.
UNSEEN = 100
# How often another than the best goes first, so that one that has recovered is found.
EXPLORED = 0.03
C = TypeVar("C", bound=Candidate)


class Start(Candidate, Protocol):
    """How one start of a racer ended, such as a race's lane. Seconds, on any clock."""

    @property
    def hurried(self) -> bool:
        """Whether the client gave it less time than is configured."""
        ...

    @property
    def outcome(self) -> Outcome: ...

    @property
    def started(self) -> float: ...

    @property
    def ttft(self) -> float | None:
        """How long it took to its first token, if that was seen."""
        ...

    @property
    def seconds(self) -> float:
        """How long it took to its first token, or to its end."""
        ...

    @property
    def answered_in(self) -> float | None:
        """How long it took to the end of its answer, if that has come."""
        ...

    @property
    def error(self) -> ProviderError | None: ...

    @property
    def notes(self) -> Sequence[str]:
        """What had to be put right, in its request or its answer."""
        ...


class Quantiles(TypedDict):
    p50: Milliseconds | None
    p90: Milliseconds | None
    p99: Milliseconds | None


@define(eq=False)
class Pace:
    """A model's times to first token, and to the ends of its last answers."""

    times: Times = field(factory=Times)
    _answers: deque[float] = field(factory=lambda: deque(maxlen=ENOUGH))
    _in_one_piece: int = 0

    def add(self, start: Start) -> None:
        if isinstance(start.error, ProviderTimeout):
            self._answers.clear()
        elif (seconds := start.answered_in) is not None:
            self._answers.append(seconds)

    def whole(self, seconds: float) -> bool:
        """Say whether to ask for the next answer in one piece."""
        if len(self._answers) < ENOUGH or max(self._answers) > seconds:
            return False
        self._in_one_piece = (self._in_one_piece + 1) % UNSEEN
        return self._in_one_piece > 0


# Requests, wins, losses and failures.
Counts = tuple[int, int, int, int]


class RecordShare(TypedDict):
    """What one process knows of a provider; *failed_at* is on the machine's clock."""

    seen: list[float]
    last_error: str | None
    failed_at: float
    notes: dict[str, int]


@define(eq=False)
class Record:
    """
    How one provider's starts ended.

    A racer that was cut off has lost, but not failed: nobody knows what it would have
    said. Where a race was given up undecided, its racers are not counted at all.
    """

    requests: int = 0
    wins: int = 0
    losses: int = 0
    failures: int = 0
    last_error: str | None = None
    failed_at: float = 0.0
    rest: Rest = field(factory=Rest)
    notes: Counter[str] = field(factory=Counter)
    _times: Times = field(factory=Times)
    _by_model: dict[str, Pace] = field(factory=dict)
    _recent: deque[bool] = field(factory=lambda: deque(maxlen=20))

    @classmethod
    def of_all(
        cls,
        *,
        counts: Sequence[int],
        seen: Sequence[float],
        last_error: str | None,
        rest: Rest,
        notes: Counter[str],
    ) -> "Record":
        """Return what several processes know of one provider, to be shown."""
        requests, wins, losses, failures = counts
        return cls(
            requests=requests,
            wins=wins,
            losses=losses,
            failures=failures,
            last_error=last_error,
            rest=rest,
            notes=notes,
            times=Times.of(seen),
        )

    def counts(self) -> Counts:
        return self.requests, self.wins, self.losses, self.failures

    def share(self) -> RecordShare:
        """Return what others add to theirs, but for the counts. Milliseconds."""
        return {
            "seen": self._times.all_seen(),
            "last_error": self.last_error,
            "failed_at": self.failed_at,
            "notes": dict(self.notes),
        }

    def add(self, start: Start, now: float) -> None:
        """Note how one start ended; *now* is on the start's clock."""
        error, outcome = start.error, start.outcome
        if error is not None and error.ours:
            return
        self.requests += 1
        for each in start.notes:
            if each in self.notes or len(self.notes) < NOTES:
                self.notes[each] += 1
        if outcome == "won":
            self.wins += 1
        elif outcome == "cut off":
            self.losses += 1
        self._time(start)
        if error is not None:
            self._fail(start, error, now)
        elif outcome == "won":
            self._recent.append(True)
            self.rest.succeed()

    def _time(self, start: Start) -> None:
        late = start.outcome == "cut off" or isinstance(start.error, ProviderTimeout)
        has_ttft = start.ttft is not None
        if not (has_ttft or late or start.answered_in):
            return
        pace = self._of_model(start.model)
        pace.add(start)
        if has_ttft or late:
            for times in (self._times, pace.times):
                times.add(start.seconds * 1000, seen=has_ttft)

    def _of_model(self, model: str) -> Pace:
        pace = self._by_model.pop(model, None) or Pace()
        if len(self._by_model) == MODELS:
            del self._by_model[next(iter(self._by_model))]  # unused for the longest
        self._by_model[model] = pace
        return pace

    def _fail(self, start: Start, error: ProviderError, now: float) -> None:
        self.last_error, self.failed_at = f"{error.code}: {error}", now
        if error.blames_request:
            return
        self.failures += 1
        self._recent.append(False)
        seconds = self.rest.fail(start.started, now, error.retry_after)
        if seconds:
            log.warning(
                "provider rests",
                provider=start.id,
                seconds=round(seconds, 1),
                error=error.code,
            )

    @property
    def resting(self) -> bool:
        """Whether races skip it for now."""
        return self.rest.until > perf_counter()

    @property
    def has_enough(self) -> bool:
        """Whether it is long enough to prefer one provider to another by it."""
        return self._times.enough

    def ttft_ms(self) -> Quantiles:
        """Return quantiles of the times to first token that were seen, in ms."""
        seen = self._times.seen
        return {"p50": seen(50), "p90": seen(90), "p99": seen(99)}

    def delay(self, model: str, percent: float) -> float:
        """Return the seconds in which so many per cent of first tokens have come."""
        pace = self._by_model.get(model)
        for times in (self._times if pace is None else pace.times, self._times):
            if times.enough:
                return times.quantile(percent) / 1000
        return DEFAULT_DELAY

    def whole(self, model: str, seconds: float) -> bool:
        """
        Say whether to ask a model for its next answer in one piece: if the last ones
        took so many seconds at most, each.
        """
        pace = self._by_model.get(model)
        return pace is not None and pace.whole(seconds)

    def rank(self) -> tuple[float, float]:
        """Return a key that sorts the best record first: reliable, then fast."""
        failed = 1 - sum(self._recent) / len(self._recent) if self._recent else 0.0
        return round(failed, 1), self._times.quantile(50) if self.wins else inf


def _ignore(_: str, __: Rest) -> None:
    pass


class Health:
    """
    The records of all providers, by id; they outlive a reload. *chance* is what says
    when another than the best goes first.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self._records: dict[str, Record] = {}
        # Called with a provider whose rest other processes have to know of.
        self.on_rest: Callable[[str, Rest], None] = _ignore
        # Called with a provider's counts before and after each start, if it is there.
        self.on_count: Callable[[str, Counts, Counts], None] | None = None
        self._chance = chance or random.Random()

    def of(self, provider: str) -> Record:
        record = self._records.get(provider)
        if record is None:
            rest = Rest(changed=lambda rest: self.on_rest(provider, rest))
            record = self._records[provider] = Record(rest=rest)
        return record

    def delay(self, racer: Candidate, percent: float) -> float:
        """Return the seconds in which so many per cent of first tokens have come."""
        return self.of(racer.id).delay(racer.model, percent)

    def add(self, start: Start, now: float | None = None) -> None:
        """
        Note a start that has just won, lost or failed. *now* is on its clock.

        A time-out that the client has set itself says nothing of the provider.
        """
        if start.hurried and isinstance(start.error, ProviderTimeout):
            return
        record = self.of(start.id)
        before = record.counts() if self.on_count is not None else None
        record.add(start, perf_counter() if now is None else now)
        if before is not None and self.on_count is not None:
            self.on_count(start.id, before, record.counts())

    def best_first(self, racers: Sequence[C]) -> list[C]:
        """
        Return *racers* with the best record first; equal ones stay as they are.

        Once in a while another one goes first: a provider that is never called could
        not be found to have recovered.
        """
        ordered = sorted(racers, key=lambda racer: self.of(racer.id).rank())
        settled = len(ordered) > 1 and self.of(ordered[0].id).has_enough
        if settled and self._chance.random() < EXPLORED:
            other = self._chance.randrange(1, len(ordered))
            ordered.insert(0, ordered.pop(other))
        return ordered
