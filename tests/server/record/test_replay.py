"""Recorded races, run again: the same policy gives back the same winners."""

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from server.racing.strategies import Policy
from server.record.races_file import UnreadableLog, read
from server.record.replay import Replay, Tally

HEDGE = {"strategy": "hedge", "hedge_delay": "p90", "hedge_budget": 0.1}


def lane(name: str, outcome: str, start: float, end: float, **more: Any) -> Any:
    told = {"id": name, "model": "m", "outcome": outcome, "start_ms": start}
    first = end if outcome == "won" else None
    return {**told, "first_token_ms": first, "end_ms": end, **more}


def waiting(name: str) -> Any:
    return {"id": name, "model": "m", "outcome": "waiting"}


def race(winner: str | None, ttft: float | None, *racers: Any, **more: Any) -> Any:
    """Return a race as it stands in the log."""
    entry = {
        "task": "chat",
        "strategy": "race",
        "parallel": 8,
        "hedge_delay": "p90",
        "hedge_budget": 0.1,
        "hedge_refused": False,
        "outcome": "won" if winner else "failed",
        "winner": winner,
        "ttft_ms": ttft,
        "racers": racers,
    }
    return {**entry, **more}


WON_BY_A = race("A", 50.0, lane("A", "won", 0, 50), lane("B", "cut off", 0, 50.2))
WON_BY_B = race("B", 20.0, lane("A", "cut off", 0, 20.1), lane("B", "won", 0, 20))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "races.jsonl"


def replayed(file: Path, *entries: Any, **policy: Any) -> tuple[Tally, Replay]:
    file.write_bytes(b"\n".join(map(orjson.dumps, entries)))
    replay = Replay(list(read(file)), Policy(**policy))
    return replay.run(), replay


def test_the_recorded_policy(file: Path) -> None:
    """Replayed as it was run, each race has its winner, its time and its calls."""
    late = race(
        "B", 250.0, lane("A", "cut off", 0, 250.1), lane("B", "won", 200, 250), **HEDGE
    )
    refused = race(
        "A", 900.0, lane("A", "won", 0, 900), waiting("B"), **HEDGE, hedge_refused=True
    )
    early = race(
        "B", 30.0, lane("A", "failed", 0, 10), lane("B", "won", 10, 30), **HEDGE
    )
    close = race(
        "A", 203.0, lane("A", "won", 0, 203), lane("B", "cut off", 201, 203.1), **HEDGE
    )
    nobody = race(None, None, lane("A", "failed", 0, 9), lane("B", "failed", 9, 12))

    tally, _ = replayed(file, late, refused, early, close, nobody, strategy="hedge")

    assert tally.winners == ["B", "A", "B", "A", None]
    assert tally.seconds == pytest.approx([0.25, 0.9, 0.03, 0.203])
    assert (tally.calls, tally.failed) == (9, 1)


def test_random_races(file: Path) -> None:
    """Of whatever was recorded, the recorded policy gives back every winner."""
    rng = random.Random(1)
    entries = []
    for _ in range(300):
        times = {name: rng.choice([rng.uniform(1, 99), 50.0]) for name in "ABC"}
        winner = min(times, key=times.__getitem__)
        end = times[winner]
        lanes = [
            lane(name, "won" if name == winner else "cut off", 0, end) for name in times
        ]
        entries.append(race(winner, end, *lanes))

    tally, _ = replayed(file, *entries, strategy="race")

    assert tally.winners == [entry["winner"] for entry in entries]


def test_one_after_another(file: Path) -> None:
    """Fallback asks one where the race asked two, and waits for it."""
    tally, replay = replayed(file, WON_BY_A, WON_BY_B, strategy="fallback")

    assert tally.winners == ["A", "A"]
    assert tally.seconds == pytest.approx([0.05, 0.05])
    assert tally.calls == 2
    assert (replay.known, replay.drawn) == (2, 2)


def test_what_is_drawn_fits_what_is_known(file: Path) -> None:
    """A racer that was cut off took longer than until then, in every replay."""
    slow = race("A", 5.0, lane("A", "won", 0, 5), lane("B", "cut off", 0, 5.1))
    quick = race("B", 1.0, lane("A", "cut off", 0, 1.1), lane("B", "won", 0, 1))

    tally, _ = replayed(file, slow, quick, strategy="fallback")

    assert tally.seconds == pytest.approx([0.005, 0.005])


def test_the_budget(file: Path) -> None:
    """A hedge that is always wanted is paid for once in ten requests."""
    entry = race("B", 20.0, lane("A", "cut off", 0, 500), lane("B", "won", 480, 500))

    tally, _ = replayed(file, *[entry] * 50, strategy="hedge", delay=0.001)

    assert tally.calls <= 55


def test_nobody_knows(file: Path) -> None:
    """A provider that has no answer in the log is left out, and said to be."""
    alone = race("A", 50.0, lane("A", "won", 0, 50), waiting("B"), strategy="fallback")

    tally, replay = replayed(file, alone, strategy="race")

    assert tally.winners == ["A"]
    assert tally.calls == 1
    assert replay.unknown == {"B"}


@pytest.mark.parametrize(
    "entry",
    [
        race(None, None, lane("A", "cut off", 0, 5), outcome="client left"),
        race(None, None, lane("A", "cut off", 0, 5), code="deadline_exceeded"),
        race("A", 50.0, lane("A", "won", 0, 50), task="images"),
        race("A", None, {**lane("A", "won", 0, 50), "first_token_ms": None}),
    ],
)
def test_what_is_left_out(file: Path, entry: Any) -> None:
    """
    What nobody waited for to the end, what is no chat, and what was asked for in one
    piece, says nothing.
    """
    tally, _ = replayed(file, entry, WON_BY_A, strategy="race")

    assert tally.winners == ["A"]


@pytest.mark.parametrize("line", [b"{}", b"no", b"[]", b"1", b'{"winner": 1}'])
def test_what_is_no_log(file: Path, line: bytes) -> None:
    """A line that is no race is named, with its number."""
    file.write_bytes(orjson.dumps(WON_BY_A) + b"\n" + line)

    with pytest.raises(UnreadableLog, match=r"races.jsonl:2: not a race"):
        list(read(file))
