"""Reads a file of races: what it tells of each racer."""

from collections.abc import Iterable, Iterator
from math import inf
from pathlib import Path

import orjson
from attrs import evolve, frozen

from server.json_types import JSONMapping
from server.racing.strategies import STRATEGIES, Policy

from .simulation import Take

# Milliseconds by which two rounded times of the log may be wrong about their order.
ROUNDED = 0.02


class UnreadableLog(Exception):
    """A file that is no log of races; the message says where and why."""


@frozen(kw_only=True)
class Known:
    """
    What the log tells of one racer: its *take*, or that it would have taken more than
    *at_least* seconds. *start*, in seconds, is None if it never started.
    """

    id: str
    model: str
    start: float | None = None
    take: Take | None = None
    at_least: float = 0.0


@frozen(kw_only=True)
class Recorded:
    """One race of the log; *refused*: the budget did not pay for a hedge in it."""

    policy: Policy
    racers: tuple[Known, ...]
    winner: str | None
    seconds: float
    calls: int
    refused: bool

    def ran_as(self, policy: Policy) -> bool:
        """Say whether it was run as *policy* would run it."""
        mine = self.policy
        if mine.strategy != policy.strategy:
            return False
        return STRATEGIES[mine.strategy].same(mine, policy)


def read(path: Path) -> Iterator[Recorded]:
    """
    Yield the chats of a log, in its order, as `replayable` has it.

    Raises OSError, and UnreadableLog at a line that is no race.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield from replayable([orjson.loads(line)])
            except (ValueError, KeyError, TypeError) as exc:
                raise UnreadableLog(f"{path}:{number}: not a race: {exc!r}") from exc


def replayable(stories: Iterable[JSONMapping]) -> Iterator[Recorded]:
    """
    Yield the chats among *stories*, less those whose end nobody knows, or of which
    nobody saw the first token, since they were asked for in one piece.
    """
    for entry in stories:
        if entry["task"] == "chat" and _is_known(entry):
            yield _recorded(entry)


def _is_known(entry: JSONMapping) -> bool:
    """Say whether a race has a known end: a first token, or the failure of all."""
    if entry["winner"] is not None:
        return entry["ttft_ms"] is not None
    return all(lane["outcome"] != "cut off" for lane in entry["racers"])


def _recorded(entry: JSONMapping) -> Recorded:
    lanes = entry["racers"]
    started = [lane for lane in lanes if "start_ms" in lane]
    # Where a racer ran twice, its last lane says how it ended.
    latest = {lane["id"]: lane for lane in lanes}
    first_start = min((lane["start_ms"] for lane in started), default=0.0)
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
        seconds=inf if ttft is None else (ttft - first_start) / 1000,
        calls=len(started),
        refused=entry["hedge_refused"],
    )


def _known(lane: JSONMapping, winner: str | None) -> Known:
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
