"""The story of one race, as it is logged: who started when, and what became of them."""

from typing import Any

from attrs import define

from .lineup import Lineup
from .race import Lane, Race
from .schedule import Hedge


@define
class Ending:
    """How a race's request ended: *code* is the error's, None if there was none."""

    client_left: bool = False
    code: str | None = None

    @property
    def outcome(self) -> str:
        if self.client_left:
            return "client left"
        return "won" if self.code is None else "failed"


def tell(
    race: Race[Any, Any], lineup: Lineup, ending: Ending, now: float
) -> dict[str, Any]:
    """
    Return what happened in *race*, without a word of what was said in it.

    Times are milliseconds after the race's start; *now* is when its request ended.
    """
    policy, schedule = lineup.policy, lineup.schedule
    spoke = [t for lane in race.lanes if (t := lane.first_token) is not None]
    started = {lane.id for lane in race.lanes}
    delays = schedule.delays if isinstance(schedule, Hedge) else {}
    racers = [_lane(lane, race, ending, delays) for lane in race.lanes]
    waiting = [
        {"id": e.id, "model": e.model, "outcome": "waiting"}
        | ({"delay_ms": _ms(delays[e.id])} if e.id in delays else {})
        for e in lineup.entrants
        if e.id not in started
    ]
    return {
        "strategy": policy.strategy,
        "parallel": policy.parallel,
        "hedge_delay": policy.delay,
        "hedge_budget": policy.budget,
        "hedge_refused": isinstance(schedule, Hedge) and schedule.refused,
        "outcome": ending.outcome,
        "code": ending.code,
        "winner": race.winner.id if race.winner else None,
        "ttft_ms": _ms(min(spoke) - race.started) if spoke else None,
        "ms": _ms(now - race.started),
        "racers": [*racers, *waiting],
        "skipped": [{"id": each.id, "reason": each.reason} for each in lineup.skipped],
    }


def _lane(
    lane: Lane, race: Race[Any, Any], ending: Ending, delays: Any
) -> dict[str, Any]:
    attempt = lane.attempt

    def at(moment: float | None) -> float | None:
        return None if moment is None else _ms(moment - race.started)

    told: dict[str, Any] = {
        "id": lane.id,
        "model": lane.model,
        "outcome": lane.outcome,
        "reason": _reason(lane, ending),
        "start_ms": at(lane.started),
        "connect_ms": at(attempt.connected),
        "headers_ms": at(attempt.headers),
        "first_token_ms": at(lane.first_token),
        "end_ms": at(lane.ended),
        "chunks": attempt.chunks,
        "bytes": attempt.received,
    }
    if lane.id in delays:
        told["delay_ms"] = _ms(delays[lane.id])
    if lane.error is not None:
        told |= {"phase": lane.error.phase, "status": lane.error.status}
    if lane.beaten_by is not None and lane.ended is not None:
        decided = lane.beaten_by.first_token or lane.ended
        told["closed_ms"] = _ms(max(lane.ended - decided, 0.0))
    if lane is not (race.winner and race.winner.lane) or ending.outcome != "won":
        told["tokens_wasted_at_least"] = attempt.tokens
    return told


def _reason(lane: Lane, ending: Ending) -> str | None:
    if lane.error is not None:
        return lane.error.code
    if lane.outcome != "cut off":
        return None
    if lane.beaten_by is not None:
        return f"{lane.beaten_by.id} was first"
    return "the client left" if ending.client_left else ending.code


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
