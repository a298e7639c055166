"""What is kept of a race: little, and nothing that large things hang on."""

import gc
import json
import weakref

from providers import ChatRequest, Chunk, ProviderTimeout
from server.racing.lanes import Lane
from server.racing.race import Race
from server.racing.strategies import Parallel, Policy
from server.record.story import Ending, Story
from server.record.usage import charges
from tests.rig.fakes import HELLO, ScriptedRacer, says


class Large:
    """Stands for a request, an answer, a connection."""


def failed() -> tuple[ProviderTimeout, weakref.ref[Large]]:
    """Return an error whose traceback leads to something large."""
    large = Large()
    try:
        raise ProviderTimeout("no token in time")  # noqa: TRY301 - for its traceback
    except ProviderTimeout as exc:
        return exc, weakref.ref(large)


def story(lane: Lane) -> Story:
    """Return the story of a race of one that began at 1.0 and took two seconds."""
    policy = Policy(strategy="race", parallel=8, delay=1.0, budget=0.1)
    return Story(
        id="1",
        key="mine",
        path="/v1/chat/completions",
        task="chat",
        model="m",
        stream=False,
        created=1_700_000_000.0,
        started=1.0,
        ended=3.0,
        lanes=[lane],
        winner=lane if lane.outcome == "won" else None,
        policy=policy,
        schedule=Parallel(8),
        skipped=(),
        waiting=(),
        ending=Ending(),
        charges=charges([lane], None, lambda *_: None, chat=True),
    )


def test_error_is_let_go() -> None:
    """A failed race keeps no error, whose traceback keeps all that it came through."""
    error, large = failed()
    lane = Lane("A", "m", outcome="running", started=1.0)
    lane.fail(error)

    entry = story(lane).entry()

    del error, lane
    gc.collect()
    assert large() is None
    assert json.loads(entry.json())["racers"][0]["reason"] == "timeout"


async def test_racers_are_let_go() -> None:
    """What is kept of a race keeps no racer, which may hold what it was asked."""
    loser = ScriptedRacer("B", [...])
    racers = [ScriptedRacer("A", [loser.begun, says("a")]), loser]
    kept = [weakref.ref(racer) for racer in racers]
    race: Race[ChatRequest, Chunk] = Race(racers, HELLO, Parallel(2))
    winner = await race.run()
    lanes = race.lanes

    del loser, racers, race, winner
    gc.collect()
    assert [racer() for racer in kept] == [None, None]
    assert {lane.id: lane.outcome for lane in lanes} == {"A": "won", "B": "cut off"}


def test_an_answer_in_one_piece() -> None:
    """When its first token came is not known; that it won, is."""
    lane = Lane("A", "m", outcome="won", started=1.5, first_token=2.0, ended=2.0)
    lane.attempt.whole = True

    told = json.loads(story(lane).entry().json())

    (racer,) = told["racers"]
    assert (told["winner"], told["ttft_ms"]) == ("A", None)
    assert (racer["first_token_ms"], racer["end_ms"]) == (None, 1000.0)


def test_times() -> None:
    """They are milliseconds after the race's start, whenever the story is told."""
    lane = Lane("A", "m", outcome="won", started=1.5, first_token=2.0, ended=3.0)

    told = json.loads(story(lane).entry().json())

    (racer,) = told["racers"]
    assert (told["ttft_ms"], told["ms"]) == (1000.0, 2000.0)
    assert (racer["start_ms"], racer["first_token_ms"], racer["end_ms"]) == (
        500.0,
        1000.0,
        2000.0,
    )
