"""The providers' records: what counts, what does not, and who is thought the best."""

import random
import time
from collections import Counter
from typing import Any

import pytest
from structlog.testing import capture_logs

from providers import (
    ChatRequest,
    Chunk,
    ProviderBusy,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderTimeout,
)
from providers.errors import ProviderUnreachable, not_called
from server.racing.health import (
    DEFAULT_DELAY,
    EXPLORED,
    MODELS,
    NOTES,
    UNSEEN,
    Health,
    Record,
)
from server.racing.lanes import Lane
from server.racing.race import Race
from server.racing.strategies import Parallel
from server.racing.times import ENOUGH, REMEMBERED
from server.wire.providers import record_payload
from tests.rig.fakes import HELLO, ScriptedRacer, says

NO = ProviderTimeout("no token in time")
OTHER = ProviderProtocolError("the answer ended without a token")
NOW = 1.0


def lane(
    name: str,
    ttft: float | None = None,
    error: ProviderError | None = None,
    *,
    model: str = "m",
    hurried: bool = False,
) -> Lane:
    """Return a lane that began at 0: won after *ttft* seconds, failed, or cut off."""
    made = Lane(name, model, hurried, "cut off", 0.0, ended=1.0)
    if ttft is not None:
        made.outcome, made.first_token = "won", ttft
    if error is not None:
        made.fail(error)
    return made


def add(health: Health, *lanes: Lane) -> None:
    for each in lanes:
        health.add(each, NOW)


def counts(record: Record) -> tuple[int, int, int, int]:
    return record.requests, record.wins, record.losses, record.failures


def test_a_new_provider() -> None:
    """Who was never asked has an empty record, in the documented shape."""
    assert record_payload(Health().of("A")) == {
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
        add(health, lane("A", 0.1), lane("B"), lane("C", error=NO))

    assert counts(health.of("A")) == (2, 2, 0, 0)
    assert counts(health.of("B")) == (2, 0, 2, 0)
    assert counts(health.of("C")) == (2, 0, 0, 2)


def test_a_loser_has_not_failed() -> None:
    """To be cut off is no failure: it shows as no error and worsens no rank."""
    health = Health()
    add(health, lane("A", 0.1), lane("B"))

    assert record_payload(health.of("B"))["last_error"] is None
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
    add(health, lane("A", error=NO))
    add(health, lane("A", error=ProviderBusy("too many")))
    add(health, lane("A", 0.1))

    assert health.of("A").last_error == "rate_limited: too many"


def test_a_winner_that_failed_later() -> None:
    """A winner that broke off has failed, not won; those that it beat have lost."""
    health = Health()
    broken = lane("A", 0.1)
    broken.fail(NO)

    add(health, broken, lane("B"))

    assert counts(health.of("A")) == (1, 0, 0, 1)
    assert health.of("A").ttft_ms()["p50"] == 100.0
    assert counts(health.of("B")) == (1, 0, 1, 0)


async def test_real_lanes() -> None:
    """What a real race leaves behind is counted as it was run."""
    health = Health()
    race: Race[ChatRequest, Chunk] = Race(
        [
            ScriptedRacer("A", [NO]),
            ScriptedRacer("B", [...]),
            ScriptedRacer("C", [says("c")]),
            ScriptedRacer("D", [says("d")]),
        ],
        HELLO,
        Parallel(3),
        health.add,
    )
    (await race.run()).close()

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
    add(health, lane("A", 0.1))

    assert health.of("A") is health.of("A")
    assert health.of("B").requests == 0


REFUSED = ProviderRefusedRequest("no such field", status=400, retry_after=60.0)


def test_refused_requests_blame_nobody() -> None:
    """What is the request's own fault is no failure, and nobody rests for it."""
    health = Health()
    add(health, *[lane("A", error=REFUSED)] * 20)

    assert counts(health.of("A")) == (20, 0, 0, 0)
    assert health.of("A").rest.available(NOW)
    assert health.of("A").rank() == Record().rank()
    assert (
        record_payload(health.of("A"))["last_error"] == "request_refused: no such field"
    )


def test_hurried_time_outs_count_for_nothing() -> None:
    """A client that allows 10 ms does not make a provider late, or rest."""
    health = Health()
    add(health, *[lane("A", error=NO, hurried=True)] * 20)

    assert counts(health.of("A")) == (0, 0, 0, 0)
    assert health.of("A").rest.available(NOW)
    assert not health.of("A").has_enough


def test_a_hurried_racers_other_failures_count() -> None:
    """To be short of time is no excuse for anything but time-outs."""
    health = Health()
    add(health, lane("A", error=ProviderProtocolError("no key"), hurried=True))
    add(health, lane("A", 0.1, hurried=True))

    assert counts(health.of("A")) == (2, 1, 0, 1)


def test_repeated_failures_make_it_rest() -> None:
    """It is told in its record, for how long too, and in the log: once, no message."""
    health = Health()
    with capture_logs() as logged:
        for _ in range(3):
            broken = lane("A", error=ProviderProtocolError("key sk-1 is wrong"))
            broken.started = broken.ended or 0.0
            health.add(broken)

    told: Any = record_payload(health.of("A"))
    assert told["status"] == "resting"
    assert 0 < told["resting_until"] - time.time() < 5.01
    (line,) = logged
    assert (line["provider"], line["seconds"]) == ("A", 5.0)
    assert "sk-1" not in str(line)
    assert record_payload(health.of("B"))["status"] == "ready"


def test_losers_cut_off_do_not_rest() -> None:
    """Who always loses is never left alone for that."""
    health = Health()
    add(health, *[lane("A")] * 50)

    assert record_payload(health.of("A"))["status"] == "ready"
    assert health.of("A").rest.available(NOW)


def test_the_delay_before_a_hedge() -> None:
    """It is the default until there are 20 times to tell a better one by."""
    record = Record()
    delays = []
    for n in range(1, ENOUGH + 1):
        record.add(lane("A", n / 100), NOW)
        delays.append(record.delay("m", 90))

    assert delays == [DEFAULT_DELAY] * (ENOUGH - 1) + [0.18]
    assert record.delay("m", 50) == 0.1


def test_the_delay_of_each_model() -> None:
    """A model of its own speed has its own delay; others have the provider's."""
    record = Record()
    for _ in range(ENOUGH):
        record.add(lane("A", 0.1, model="small"), NOW)
        record.add(lane("A", 2.0, model="large"), NOW)
    record.add(lane("A", 9.0, model="new"), NOW)

    assert record.delay("small", 90) == 0.1
    assert record.delay("large", 90) == 2.0
    assert record.delay("new", 50) == record.delay("never heard of", 50) == 2.0


def test_the_delay_of_who_is_always_late() -> None:
    """To be cut off is to be slower than that: it makes no delay the shorter."""
    often, seldom = Record(), Record()
    for n in range(100):
        often.add(lane("A", None if n % 2 else 0.2), NOW)
        seldom.add(lane("A", None if n % 20 == 1 else 0.2), NOW)

    assert seldom.delay("m", 90) == 0.2
    assert often.delay("m", 90) == 1.0  # the longest that it was waited for


def test_failures_that_say_nothing_of_speed() -> None:
    """A refusal in a millisecond does not make a provider a fast one; a time-out is."""
    record = Record()
    for _ in range(ENOUGH):
        record.add(lane("A", error=ProviderBusy("no")), NOW)
    assert not record.has_enough

    for _ in range(ENOUGH):
        late = lane("A", error=NO)
        late.ended = 30.0
        record.add(late, NOW)
    assert record.delay("m", 90) == 30.0


def test_bounded_number_of_models() -> None:
    """Clients that think up names fill no memory, and drive out no model in use."""
    record = Record()
    for n in range(3 * MODELS):
        for _ in range(ENOUGH if n == 0 else 1):
            record.add(lane("A", 0.1, model="busy"), NOW)
        for _ in range(ENOUGH if n < 2 else 1):
            record.add(lane("A", 5.0, model=f"invented {n}"), NOW)

    record.add(lane("A", 0.1, model="busy"), NOW)
    assert len(record._by_model) == MODELS  # noqa: SLF001 - what a client can't see
    assert record.delay("busy", 90) == 0.1


def firsts(health: Health, *racers: str, times: int = 10_000) -> Counter[str]:
    """Return how often each of *racers* is put first."""
    asked = [ScriptedRacer(name) for name in racers]
    return Counter(health.best_first(asked)[0].id for _ in range(times))


def test_best_first() -> None:
    """The best record goes first, then the next best; equals stay as they are."""
    health = Health()
    add(health, lane("slow", 2.0), lane("fast", 0.1), lane("bad", error=NO))
    racers = [ScriptedRacer(n) for n in ("new", "bad", "slow", "newer", "fast")]

    ordered = [racer.id for racer in health.best_first(racers)]

    assert ordered == ["fast", "slow", "new", "newer", "bad"]


def test_others_are_tried_once_in_a_while() -> None:
    """A few per cent go to another than the best, each as often, and nobody is lost."""
    health = Health(random.Random(4))
    add(health, *[lane("best", 0.1)] * ENOUGH, lane("slow", 2.0))

    first = firsts(health, "new", "slow", "best")

    assert first["best"] / 10_000 == pytest.approx(1 - EXPLORED, abs=0.01)
    assert first["slow"] == pytest.approx(first["new"], rel=0.3)
    racers = [ScriptedRacer(n) for n in "abc"]
    for _ in range(1000):
        assert {r.id for r in health.best_first(racers)} == set("abc")


def test_nothing_is_tried_while_nothing_is_known() -> None:
    """Before there is a record to prefer one by, the given order stands."""
    health = Health()
    add(health, *[lane("best", 0.1)] * (ENOUGH - 1))

    assert firsts(health, "new", "best") == {"best": 10_000}
    assert firsts(Health(), "new", "best") == {"new": 10_000}
    add(health, lane("best", 0.1))
    assert firsts(health, "best") == {"best": 10_000}


# Answers in one piece


def answered(
    seconds: float, *, ttft: float | None = 0.01, model: str = "m", whole: bool = False
) -> Lane:
    """Return a lane that won, and whose answer was there to its end after *seconds*."""
    made = lane("A", seconds if ttft is None else ttft, model=model)
    made.attempt.ended, made.attempt.whole = seconds, whole
    return made


def one_piece(health: Health, times: int = 1, model: str = "m") -> list[bool]:
    """Ask so many times whether to ask for an answer in one piece, if within 1 s."""
    return [health.of("A").whole(model, 1.0) for _ in range(times)]


def test_too_little_is_known() -> None:
    """Only who has answered quickly for a while is asked for an answer in one piece."""
    health = Health()
    assert one_piece(health) == [False]
    add(health, *[answered(0.5)] * (ENOUGH - 1))
    assert one_piece(health) == [False]

    add(health, answered(1.0))

    assert one_piece(health) == [True]


def test_models_answer_at_their_own_pace() -> None:
    health = Health()
    add(health, *[answered(0.5)] * ENOUGH)

    assert one_piece(health, model="other") == [False]


def test_one_long_answer() -> None:
    """As long as it is among the last ones, streams are asked for."""
    health = Health()
    add(health, *[answered(0.5)] * ENOUGH, answered(1.1))
    assert one_piece(health) == [False]

    add(health, *[answered(0.5)] * (ENOUGH - 1))
    assert one_piece(health) == [False]
    add(health, answered(0.5))

    assert one_piece(health) == [True]


def test_one_that_was_late() -> None:
    """Who has hung is asked for streams until he has answered quickly for a while."""
    health = Health()
    add(health, *[answered(0.5)] * ENOUGH, lane("A", error=NO))

    assert one_piece(health) == [False]


def test_answers_that_have_no_end() -> None:
    """Of an answer that was not read to its end, or failed, nobody knows its length."""
    health = Health()
    add(health, *[lane("A", 0.01)] * ENOUGH, *[lane("A", error=OTHER)] * ENOUGH)

    assert one_piece(health) == [False]


def test_streams_now_and_then() -> None:
    """One in a hundred is asked for as a stream all the same, for its first token."""
    health = Health()
    add(health, *[answered(0.5)] * ENOUGH)

    asked = one_piece(health, 3 * UNSEEN)

    assert [at for at, whole in enumerate(asked, 1) if not whole] == [100, 200, 300]


def test_no_first_token_was_seen() -> None:
    """An answer in one piece counts as won, but is no time to a first token."""
    health = Health()
    add(health, answered(0.5), answered(0.7, ttft=None, whole=True))

    assert counts(health.of("A")) == (2, 2, 0, 0)
    assert health.of("A").ttft_ms() == {"p50": 10.0, "p90": 10.0, "p99": 10.0}


def test_who_was_not_called_is_not_charged() -> None:
    """A call that was never made, for a reason of ours or the client's, is not told."""
    health = Health()
    error = not_called(ProviderUnreachable("too many files"))
    add(health, *[lane("A", error=error)] * 20)

    assert record_payload(health.of("A")) == record_payload(Record())
    assert health.of("A").rest.available(NOW)


def test_notes_are_counted() -> None:
    """It is counted how often what was put right for a provider, within bounds."""
    health = Health()
    for number in range(2 * NOTES):
        noted = lane("A", 0.1)
        noted.attempt.notes = ["call index reused", f"a vendor's word {number}"]
        add(health, noted)

    notes: Any = record_payload(health.of("A"))["notes"]
    assert notes["call index reused"] == 2 * NOTES
    assert len(notes) == NOTES
