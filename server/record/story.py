"""The story of one race, as it is logged: who started when, and how each ended."""

from collections.abc import Iterator, Sequence

import orjson
from attrs import define

from server.racing.lanes import Lane
from server.racing.lineup import Skipped
from server.racing.strategies import Policy, Strategy

from .costs import dollars
from .log import Entry
from .payloads import RaceOutcome, RacePayload, RacerPayload
from .usage import Charge


@define
class Ending:
    """How a race's request ended: *code* is the error's, None if there was none."""

    client_left: bool = False
    code: str | None = None

    @property
    def outcome(self) -> RaceOutcome:
        if self.client_left:
            return "client left"
        return "won" if self.code is None else "failed"


@define(kw_only=True, eq=False)
class Story:
    """
    What is kept of a race until somebody wants to read it: most are never read.

    *created* is a Unix time, *started* and *ended* are perf_counter's, all in seconds.
    """

    id: str
    key: str | None
    path: str
    task: str
    model: str | None
    stream: bool
    created: float
    started: float
    ended: float
    lanes: Sequence[Lane]
    winner: Lane | None
    policy: Policy
    schedule: Strategy
    skipped: Sequence[Skipped]
    # The ids and models of racers that never started.
    waiting: Sequence[tuple[str, str]]
    ending: Ending
    # One for each lane.
    charges: Sequence[Charge]
    # The id of its trace, "" if it has none.
    trace: str = ""

    def entry(self) -> Entry:
        """Return the log's entry of it."""
        entry = Entry(self.id, self.key, self)
        for lane in self.lanes:
            if lane.error is not None:  # it would keep its causes and their requests
                entry.json()
                break
        return entry

    def json(self) -> bytes:
        """
        Return the race as a `RacePayload`, without a word of what was said in it.

        Times are milliseconds after the race's start.
        """
        policy, schedule = self.policy, self.schedule
        tokens = [t for lane in self.lanes if (t := lane.spoke) is not None]
        story: RacePayload = {
            "id": self.id,
            "object": "race",
            "created": round(self.created, 3),
            "key": self.key,
            "path": self.path,
            "task": self.task,
            "model": self.model,
            "stream": self.stream,
            "strategy": policy.strategy,
            "parallel": policy.parallel,
            "hedge_delay": policy.delay,
            "hedge_budget": policy.budget,
            "hedge_refused": schedule.refused,
            "outcome": self.ending.outcome,
            "code": self.ending.code,
            "winner": self.winner.id if self.winner else None,
            "ttft_ms": self._ms(min(tokens)) if tokens else None,
            "ms": self._ms(self.ended),
            "dollars": self._dollars(),
            "dollars_wasted": dollars(sum(c.nanos or 0 for c in self._lost())),
            "racers": [
                *map(self._lane, self.lanes, self.charges),
                *self._waiting(),
            ],
            "skipped": [{"id": s.id, "reason": s.reason} for s in self.skipped],
        }
        if self.trace:
            story["trace_id"] = self.trace
        return orjson.dumps(story)

    def _dollars(self) -> float | None:
        won = [each.nanos for each in self.charges if each.answered]
        known = won[0] if won else 0
        return None if known is None else dollars(known)

    def _lost(self) -> Iterator[Charge]:
        return (each for each in self.charges if not each.answered)

    def _lane(self, lane: Lane, charge: Charge) -> RacerPayload:
        attempt = lane.attempt
        entry: RacerPayload = {
            "id": lane.id,
            "model": lane.model,
            "outcome": lane.outcome,
            "reason": _reason(lane, self.ending),
            "start_ms": self._ms(lane.started),
            "connect_ms": self._ms(attempt.connected),
            "headers_ms": self._ms(attempt.headers),
            "first_token_ms": self._ms(lane.spoke),
            "end_ms": self._ms(lane.ended),
            "chunks": attempt.chunks,
            "bytes": attempt.received,
        }
        self._note_delay(entry)
        if attempt.dropped:
            entry["dropped"] = [*attempt.dropped]
        if lane.notes:
            entry["notes"] = [*lane.notes]
        if lane.error is not None:
            entry["phase"] = lane.error.phase
            entry["status"] = lane.error.status
        if lane.beaten_by is not None and lane.ended is not None:
            decision = lane.beaten_by.first_token or lane.ended
            entry["closed_ms"] = _rounded(max(lane.ended - decision, 0.0))
        if charge.tokens.input:
            entry["input_tokens"] = charge.tokens.input
            entry["output_tokens"] = charge.tokens.output
        if charge.nanos is not None:
            entry["dollars"] = dollars(charge.nanos)
        if lane is not self.winner or self.ending.outcome != "won":
            entry["tokens_wasted_at_least"] = charge.wasted or attempt.tokens
        return entry

    def _waiting(self) -> Iterator[RacerPayload]:
        for racer, model in self.waiting:
            entry: RacerPayload = {"id": racer, "model": model, "outcome": "waiting"}
            self._note_delay(entry)
            yield entry

    def _note_delay(self, entry: RacerPayload) -> None:
        delay = self.schedule.delays.get(entry["id"])
        if delay is not None:
            entry["delay_ms"] = _rounded(delay)

    def _ms(self, moment: float | None) -> float | None:
        return None if moment is None else _rounded(moment - self.started)


def _reason(lane: Lane, ending: Ending) -> str | None:
    if lane.error is not None:
        return lane.error.code
    if lane.outcome != "cut off":
        return None
    if lane.wordless:
        return "its answer had no word"
    if lane.beaten_by is not None:
        return f"{lane.beaten_by.id} was first"
    return "the client left" if ending.client_left else ending.code


def _rounded(seconds: float) -> float:
    return round(seconds * 1000, 2)
