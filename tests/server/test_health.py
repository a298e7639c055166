"""The providers' records: what counts, what does not, and who is thought the best."""

from typing import Any

import pytest

from providers import ChatRequest, Chunk, ProviderBusy, ProviderError, ProviderTimeout
from server.health import Health, Record
from server.race import Lane, Race
from server.schedule import Parallel
from server.times import REMEMBERED
from tests.server.fakes import HELLO, ScriptedRacer, says

NO = ProviderTimeout("no token in time")
NOW = 1.0


def lane(
    name: str, ttft: float | None = None, error: ProviderError | None = None
) -> Lane:
    """Return a lane that began at 0: won after *ttft* seconds, failed, or cut off."""
    made = Lane(ScriptedRacer(name), "cut off", 0.0, ended=1.0)
    if ttft is not None:
        made.outcome, made.first_token = "won", ttft
    if error is not None:
        made.fail(error)
    return made


def counts(record: Record) -> tuple[int, int, int, int]:
    return record.requests, record.wins, record.losses, record.failures


def test_a_new_provider() -> None:
    """Who was never asked has an empty record, in the documented shape."""
    assert Health().of("A").payload() == {
        "status": "ready",
        "requests": 0,
        "wins": 0,
        "losses": 0,
        "failures": 0,
        "ttft_ms": {"p50": None, "p90": None, "p99": None},
        "last_error": None,
        "resting_until": None,
    }


def test_counts() -> None:
    """A race counts for each of its racers: one win, losses, and failures."""
    health = Health()
    for _ in range(2):
        health.add([lane("A", 0.1), lane("B"), lane("C", error=NO)])

    assert counts(health.of("A")) == (2, 2, 0, 0)
    assert counts(health.of("B")) == (2, 0, 2, 0)
    assert counts(health.of("C")) == (2, 0, 0, 2)


def test_a_loser_has_not_failed() -> None:
    """To be cut off is no failure: it shows as no error and worsens no rank."""
    health = Health()
    health.add([lane("A", 0.1), lane("B")])

    assert health.of("B").payload()["last_error"] is None
    reliable, _ = health.of("B").rank()
    assert reliable == Record().rank()[0]


def test_a_loser_has_not_succeeded_either() -> None:
    """To be cut off again and again does not make one that fails look reliable."""
    often, once = Record(), Record()
    for record in (often, once):
        record.add(lane("A", error=NO), NOW)
    for _ in range(9):
        often.add(lane("A"), NOW)

    assert often.rank()[0] == once.rank()[0]


def test_the_last_error() -> None:
    """The last failure is told in words, and stays when things go well again."""
    health = Health()
    health.add([lane("A", error=NO)])
    health.add([lane("A", error=ProviderBusy("too many"))])
    health.add([lane("A", 0.1)])

    assert health.of("A").last_error == "rate_limited: too many"


def test_a_client_that_left_is_nobodys_failure() -> None:
    """A race without a winner counts for nobody but those that failed in it."""
    health = Health()

    health.add([lane("A"), lane("B", error=NO)])

    assert counts(health.of("A")) == (0, 0, 0, 0)
    assert counts(health.of("B")) == (1, 0, 0, 1)


def test_a_winner_that_failed_later() -> None:
    """A winner that broke off has failed, not won; those that it beat have lost."""
    health = Health()
    broken = lane("A", 0.1)
    broken.fail(NO)

    health.add([broken, lane("B")])

    assert counts(health.of("A")) == (1, 0, 0, 1)
    assert health.of("A").ttft_ms()["p50"] == 100.0
    assert counts(health.of("B")) == (1, 0, 1, 0)


async def test_real_lanes() -> None:
    """What a real race leaves behind is counted as it was run."""
    race: Race[ChatRequest, Chunk] = Race(
        [
            ScriptedRacer("A", [NO]),
            ScriptedRacer("B", [...]),
            ScriptedRacer("C", [says("c")]),
            ScriptedRacer("D", [says("d")]),
        ],
        HELLO,
        Parallel(3),
    )
    health = Health()
    await race.run()
    health.add(race.lanes)

    records = {name: counts(health.of(name)) for name in "ABCD"}
    assert sum(wins for _, wins, _, _ in records.values()) == 1
    assert records["A"][1:] == (0, 0, 1)
    assert records["B"][1:] == (0, 1, 0)


@pytest.mark.parametrize(
    ("seconds", "p50", "p90", "p99"),
    [
        ([0.1], 100.0, 100.0, 100.0),
        ([0.3, 0.1, 0.2], 200.0, 300.0, 300.0),
        ([n / 1000 for n in range(1, 101)], 50.0, 90.0, 99.0),
        ([0.00004], 0.0, 0.0, 0.0),
    ],
)
def test_quantiles(seconds: list[float], p50: float, p90: float, p99: float) -> None:
    """Times to first token are told as quantiles that were really measured, in ms."""
    record = Record()
    for value in seconds:
        record.add(lane("A", value), NOW)

    assert record.ttft_ms() == {"p50": p50, "p90": p90, "p99": p99}


def test_old_times_are_forgotten() -> None:
    """The quantiles are of the last races, and take no more memory for older ones."""
    record = Record()
    for value in [9.0] * REMEMBERED + [0.1] * REMEMBERED:
        record.add(lane("A", value), NOW)

    assert record.ttft_ms() == {"p50": 100.0, "p90": 100.0, "p99": 100.0}
    assert record.requests == 2 * REMEMBERED


RECORDS: dict[str, list[dict[str, Any]]] = {
    "never failed, fast": [{"ttft": 0.1}],
    "never failed, slow": [{"ttft": 2.0}],
    "failed once of two": [{"ttft": 0.01}, {"error": NO}],
    "always failed": [{"error": NO}] * 2,
}


def test_rank() -> None:
    """The reliable come before the fast, the fast before the slow."""
    ranks = {}
    for name, history in RECORDS.items():
        record = Record()
        for one in history:
            record.add(lane("A", **one), NOW)
        ranks[name] = record.rank()

    assert sorted(RECORDS, key=ranks.__getitem__) == list(RECORDS)


def test_rank_of_the_untried() -> None:
    """One without a record is tried before one that has failed, so that it gets one."""
    failed = Record()
    failed.add(lane("A", error=NO), NOW)

    assert Record().rank() < failed.rank()


def test_rank_recovers() -> None:
    """Old failures are forgotten once a provider answers again."""
    record = Record()
    for one in [{"error": NO}] * 20 + [{"ttft": 0.1}] * 20:
        record.add(lane("A", **one), NOW)

    assert record.rank() == (0, 100.0)
    assert record.failures == 20


def test_records_are_apart() -> None:
    """Each provider has its own record, the same one each time it is asked for."""
    health = Health()
    health.add([lane("A", 0.1)])

    assert health.of("A") is health.of("A")
    assert health.of("B").requests == 0
