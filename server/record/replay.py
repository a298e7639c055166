"""What another policy would have made of recorded races: how fast, at what price."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import orjson
from attrs import define, evolve, field, frozen

from providers import ProviderError, ProviderProtocolError
from server.config.settings import percent_of
from server.racing.health import Health
from server.racing.race import Outcome
from server.racing.schedule import Budget, Hedge, Parallel, Schedule

from .simulation import Result, Take, simulate

# Milliseconds by which two rounded times of the log may be wrong about their order.
ROUNDED = 0.02


class UnreadableLog(Exception):
    """A file that is no log of races; the message says where and why."""


@frozen(kw_only=True)
class Policy:
    """
    How races are to be run. *delay* is seconds, or a quantile like "p90"; *budget* the
    extra calls per request, at most; *parallel* how many run at a time.
    """

    strategy: str
    delay: float | str = "p90"
    budget: float = 0.1
    parallel: int = 8


@frozen(kw_only=True)
class Known:
    """
    What a race tells of one of its racers: its *take*, or that it would have taken more
    than *at_least* seconds. *start* is None if it never started.
    """

    id: str
    model: str
    start: float | None = None
    take: Take | None = None
    at_least: float = 0.0


@frozen(kw_only=True)
class Recorded:
    """One race of the log; *refused* hedges were not paid for by their budget."""

    policy: Policy
    racers: tuple[Known, ...]
    winner: str | None
    seconds: float
    calls: int
    refused: bool

    def ran_as(self, policy: Policy) -> bool:
        mine = self.policy
        hedge = policy.strategy == "hedge"
        same = mine.strategy == policy.strategy
        return same and (
            not hedge or (mine.delay, mine.budget) == (policy.delay, policy.budget)
        )


@frozen
class _Past:
    """What became of one start on paper, for the records."""

    id: str
    model: str
    outcome: Outcome
    started: float
    ttft: float | None
    seconds: float
    error: ProviderError | None
    hurried: bool = False
    answered_in: float | None = None


@define
class Tally:
    """What a policy came to: seconds to the first token, calls, and who won."""

    seconds: list[float] = field(factory=list)
    calls: int = 0
    failed: int = 0
    winners: list[str | None] = field(factory=list)

    def add(self, winner: str | None, seconds: float, calls: int) -> None:
        self.calls += calls
        self.winners.append(winner)
        if winner is None:
            self.failed += 1
        else:
            self.seconds.append(seconds)

    def quantile(self, percent: int) -> float | None:
        """Return the nearest-rank quantile of the times to first token, in seconds."""
        ordered = sorted(self.seconds)
        rank = -(-len(ordered) * percent // 100)
        return ordered[rank - 1] if ordered else None


def read(path: Path) -> Iterator[Recorded]:
    """
    Yield the chats of a log, in its order, less those whose end nobody knows, or of
    which nobody saw the first token, since they were asked for in one piece.

    Raises OSError, and UnreadableLog at a line that is no race.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                entry = orjson.loads(line)
                if entry["task"] == "chat" and _is_known(entry):
                    yield _recorded(entry)
            except (ValueError, KeyError, TypeError) as exc:
                raise UnreadableLog(f"{path}:{number}: not a race: {exc!r}") from exc


def _is_known(entry: Mapping[str, Any]) -> bool:
    """Say whether it was decided, and when; or else failed, and was not given up."""
    if entry["winner"] is not None:
        return entry["ttft_ms"] is not None
    return all(lane["outcome"] != "cut off" for lane in entry["racers"])


def _recorded(entry: Mapping[str, Any]) -> Recorded:
    lanes = entry["racers"]
    started = [lane for lane in lanes if "start_ms" in lane]
    # One that ran twice is told last by how it ended.
    latest = {lane["id"]: lane for lane in lanes}
    begun = min((lane["start_ms"] for lane in started), default=0.0)
    ttft = entry["ttft_ms"]
    return Recorded(
        policy=Policy(
            strategy=entry["strategy"],
            delay=entry["hedge_delay"],
            budget=entry["hedge_budget"],
            parallel=entry["parallel"],
        ),
        racers=tuple(_known(lane, entry["winner"]) for lane in latest.values()),
        winner=entry["winner"],
        seconds=inf if ttft is None else (ttft - begun) / 1000,
        calls=len(started),
        refused=entry["hedge_refused"],
    )


def _known(lane: Mapping[str, Any], winner: str | None) -> Known:
    who = Known(id=lane["id"], model=lane["model"])
    if "start_ms" not in lane:
        return who
    start, end = lane["start_ms"], lane["end_ms"]
    who = evolve(who, start=start / 1000)
    if lane["id"] == winner and lane["first_token_ms"] is not None:
        return evolve(who, take=Take((lane["first_token_ms"] - start) / 1000))
    if lane["outcome"] == "failed":
        return evolve(who, take=Take((end - start) / 1000, failed=True))
    return evolve(who, at_least=(end - start + ROUNDED) / 1000)


@define
class Replay:
    """
    Runs *races* again, as *policy* says.

    What a race does not tell (how long a racer that was cut off, or never started,
    would have taken) is drawn from what the same provider took in other races, by a
    generator with a *seed*; *drawn* counts how often, *known* how often it was told.
    Providers of which the log knows nothing, *unheard*, are left out.
    """

    races: Sequence[Recorded]
    policy: Policy
    seed: int = 0
    drawn: int = field(default=0, init=False)
    known: int = field(default=0, init=False)
    unheard: set[str] = field(factory=set, init=False)
    _health: Health = field(factory=Health, init=False)
    _budget: Budget = field(factory=Budget, init=False)
    _takes: dict[tuple[str, str], list[Take]] = field(init=False)
    _chance: random.Random = field(init=False)

    def run(self) -> Tally:
        """Return what the policy comes to."""
        random.seed(self.seed)  # for who is tried out of turn
        self._chance = random.Random(self.seed)  # noqa: S311 - no secret
        self._takes = _pool(self.races)
        tally = Tally()
        for race in self.races:
            again = self._same if race.ran_as(self.policy) else self._other
            result = again(race)
            self._learn(race, result)
            tally.add(result.winner, result.seconds, len(result.legs))
        return tally

    def _same(self, race: Recorded) -> Result:
        """Run it as it was run: with those that started, when they did."""
        started = [racer for racer in race.racers if racer.start is not None]
        starts = [racer.start or 0.0 for racer in started]
        takes = {racer.id: self._take(racer) for racer in started}
        schedule: Schedule = Parallel(race.policy.parallel)
        if race.policy.strategy == "hedge":
            gaps = [later - start for start, later in pairwise(starts)]
            delays = {r.id: gap for r, gap in zip(started, [*gaps, inf], strict=True)}
            budget = Budget()
            budget.deposit(float(len(started)))
            schedule = Hedge(delays, budget, race.policy.parallel)
        return simulate([racer.id for racer in started], takes, schedule)

    def _other(self, race: Recorded) -> Result:
        policy = self.policy
        racers: Sequence[Known] = [r for r in race.racers if self._heard_of(r)]
        schedule: Schedule = Parallel(policy.parallel)
        if policy.strategy == "fallback":
            schedule = Parallel(1)
        elif policy.strategy == "hedge":
            racers = self._health.best_first(racers)
            self._budget.deposit(policy.budget)
            delays = {racer.id: self._delay(racer) for racer in racers}
            schedule = Hedge(delays, self._budget, policy.parallel)
        takes = {racer.id: self._take(racer) for racer in racers}
        return simulate([racer.id for racer in racers], takes, schedule)

    def _delay(self, racer: Known) -> float:
        delay = self.policy.delay
        if isinstance(delay, str):
            record = self._health.of(racer.id)
            return record.delay(racer.model, percent_of(delay))
        return delay

    def _heard_of(self, racer: Known) -> bool:
        """Say whether the log tells anything of how long it takes."""
        told = racer.take is not None or bool(racer.at_least)
        heard = told or bool(self._takes[racer.id, ""])
        if not heard:
            self.unheard.add(racer.id)
        return heard

    def _take(self, racer: Known) -> Take:
        """Return what *racer* took or, where nobody knows, might have taken."""
        if racer.take is not None:
            self.known += 1
            return racer.take
        self.drawn += 1
        pool = self._takes[racer.id, racer.model] or self._takes[racer.id, ""]
        longer = [take for take in pool if take.seconds > racer.at_least]
        # If none took longer, nobody knows more than that this one did.
        return self._chance.choice(longer) if longer else Take(racer.at_least)

    def _learn(self, race: Recorded, result: Result) -> None:
        """Keep the records that the policy would have had to go by."""
        models = {racer.id: racer.model for racer in race.racers}
        end = result.seconds
        for leg in result.legs:
            won = leg.id == result.winner
            failed = not won and leg.take.failed and leg.due <= end
            outcome: Outcome = "won" if won else "failed" if failed else "cut off"
            self._health.add(
                _Past(
                    id=leg.id,
                    model=models[leg.id],
                    outcome=outcome,
                    started=leg.started,
                    ttft=leg.due - leg.started if won else None,
                    seconds=min(leg.due, end) - leg.started,
                    error=ProviderProtocolError("failed") if failed else None,
                )
            )


def _pool(races: Iterable[Recorded]) -> dict[tuple[str, str], list[Take]]:
    """Return all that is known of how long providers take, by model, and "" for any."""
    pool: dict[tuple[str, str], list[Take]] = defaultdict(list)
    for race in races:
        for racer in race.racers:
            if racer.take is not None:
                pool[racer.id, racer.model].append(racer.take)
                pool[racer.id, ""].append(racer.take)
    return pool
