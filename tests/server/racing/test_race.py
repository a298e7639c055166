"""The race: who wins, who is cut off when, and what is told of those that failed."""

import asyncio
import random
from collections import Counter
from typing import NoReturn

import pytest
from attrs import frozen

from providers import (
    ChatRequest,
    Choice,
    Chunk,
    Delta,
    ProviderBusy,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderTimeout,
    ToolCallDelta,
    Usage,
)
from server.racing.errors import NobodyWon
from server.racing.lanes import Lane
from server.racing.race import Race, Winner
from server.racing.strategies import Parallel
from server.racing.streams import KEPT, until_token
from tests.rig.chi_square import CRITICAL, chi_square
from tests.rig.fakes import (
    HELLO,
    ROLE,
    ScriptedRacer,
    ScriptedStream,
    Step,
    happened,
    says,
)

ChatRace = Race[ChatRequest, Chunk]


def racing(*racers: ScriptedRacer, parallel: int = 0) -> ChatRace:
    return Race(racers, HELLO, Parallel(parallel or len(racers)))


def outcomes(race: ChatRace) -> dict[str, str]:
    return {lane.id: lane.outcome for lane in race.lanes}


async def started(
    race: ChatRace, *racers: ScriptedRacer
) -> asyncio.Task[Winner[Chunk]]:
    """Start *race*; return as soon as all of *racers* are being read from."""
    running = asyncio.create_task(race.run())
    for racer in racers:
        await happened(racer.begun)
    return running


async def heard(winner: Winner[Chunk]) -> list[Chunk]:
    """Return an answer's chunks; where it breaks off, the victory is taken back."""
    chunks = list(winner.head)
    try:
        async for more in winner.rest:
            chunks += more
    except ProviderError as exc:
        winner.fail(exc)
        raise
    return chunks


def adds(**delta: object) -> Chunk:
    return Chunk(choices=(Choice(delta=Delta(**delta)),))  # type: ignore[arg-type]


TOKENLESS = [
    pytest.param(Chunk(), id="nothing"),
    pytest.param(ROLE, id="a role and an empty text"),
    pytest.param(Chunk(usage=Usage(total_tokens=1)), id="usage"),
    pytest.param(Chunk(extra={"prompt_filter_results": []}), id="extra fields"),
    pytest.param(Chunk(choices=(Choice(finish_reason="stop"),)), id="finish_reason"),
    pytest.param(Chunk(choices=(Choice(logprobs={"content": []}),)), id="logprobs"),
    pytest.param(adds(tool_calls=(ToolCallDelta(index=0, id="c"),)), id="call's id"),
    pytest.param(adds(audio={"id": "audio_1"}), id="a sound's id"),
]
TOKENS = [
    pytest.param(adds(content=" "), id="text"),
    pytest.param(adds(reasoning_content="hm"), id="reasoning"),
    pytest.param(adds(refusal="no"), id="refusal"),
    pytest.param(adds(audio={"data": "AA"}), id="audio"),
    pytest.param(adds(function_call={"name": "f"}), id="function call"),
    pytest.param(adds(tool_calls=(ToolCallDelta(index=0, name="f"),)), id="tool"),
    pytest.param(
        adds(tool_calls=(ToolCallDelta(index=0, arguments="{"),)), id="arguments"
    ),
    pytest.param(
        Chunk(choices=(Choice(), Choice(index=1, delta=Delta(content="b")))),
        id="text of the second choice",
    ),
]


@pytest.mark.parametrize("chunk", TOKENLESS)
async def test_first_chunk_does_not_win(chunk: Chunk) -> None:
    """What carries no token does not decide a race, however early it comes."""
    gate = asyncio.Event()
    eager = ScriptedRacer("eager", [chunk, ...])
    steady = ScriptedRacer("steady", [gate, says("a")])
    running = await started(racing(eager, steady), eager)
    gate.set()

    winner = await running

    assert winner.id == "steady"


@pytest.mark.parametrize("chunk", TOKENS)
async def test_any_token_wins(chunk: Chunk) -> None:
    """Text, reasoning, refusal, audio or a tool call's content: each decides."""
    speaker = ScriptedRacer("speaker", [ROLE, chunk, ...])
    silent = ScriptedRacer("silent", [...])

    winner = await racing(silent, speaker).run()

    assert winner.id == "speaker"
    assert winner.head == [chunk]


async def test_losers_are_closed_and_the_winner_is_open() -> None:
    """When run() returns, every loser has been hung up on, and only they have."""
    losers = [ScriptedRacer(f"loser{n}", [ROLE, ...]) for n in range(3)]
    steady = ScriptedRacer("steady", [says("a"), says("b")])

    winner = await racing(*losers, steady).run()

    assert [loser.closed for loser in losers] == [True] * 3
    assert not steady.closed
    assert await heard(winner) == [says("a"), says("b")]
    winner.close()
    assert steady.closed


async def test_only_what_says_nothing_is_dropped() -> None:
    """
    What comes before the first token and is part of the answer, as a usage or a seal
    is, comes with it; a role alone is none. After the token all is kept.
    """
    first, later, last = says("a"), Chunk(created=7), says("b")
    seal, usage = adds(extra={"sealed": "x"}), Chunk(usage=Usage(total_tokens=1))
    racer = ScriptedRacer("a", [ROLE, usage, [seal, first, later], ROLE, last])

    winner = await racing(racer).run()

    assert winner.head == [usage, seal, first, later]
    assert [chunks async for chunks in winner.rest] == [[ROLE], [last]]


async def test_all_start_in_the_same_turn() -> None:
    """No racer of a full race is a turn of the event loop ahead of another."""
    racers = [ScriptedRacer(name, [...]) for name in "abcde"]
    running = asyncio.create_task(racing(*racers).run())

    await asyncio.sleep(0)
    before = [racer.started for racer in racers]
    await asyncio.sleep(0)
    after = [racer.started for racer in racers]
    running.cancel()

    assert before == [False] * 5
    assert after == [True] * 5


@pytest.mark.parametrize(
    "script",
    [
        [ProviderBusy("too many")],
        [ROLE, ProviderTimeout("too slow")],
        [ROLE],
        [],
    ],
)
async def test_a_failure_disqualifies_only_its_racer(script: list[Step]) -> None:
    """Whoever fails is out; the others run on, and one of them wins."""
    gate = asyncio.Event()
    failing = ScriptedRacer("failing", script)
    steady = ScriptedRacer("steady", [gate, says("a")])
    race = racing(failing, steady)
    running = await started(race, failing)
    gate.set()

    assert (await running).id == "steady"
    assert failing.closed
    assert outcomes(race) == {"failing": "failed", "steady": "won"}


@frozen
class Refusing:
    """A racer that can't even make a call of the request."""

    id: str
    model: str = "m"
    hurried: bool = False

    def stream(self, request: ChatRequest) -> NoReturn:
        raise ProviderRefusedRequest("it has no audio")


async def test_one_that_refuses_before_it_is_called_is_out() -> None:
    """A request that a dialect can't express disqualifies like any other failure."""
    race = ChatRace(
        [Refusing("a"), ScriptedRacer("b", [says("b")])], HELLO, Parallel(1)
    )

    winner = await race.run()

    assert winner.id == "b"
    assert [lane.outcome for lane in race.lanes] == ["failed", "won"]


async def test_nobody_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """NobodyWon names each racer, how far it came and how long that took."""
    times = iter([1.0, 1.25, 3.0, 3.5])
    monkeypatch.setattr("server.racing.lanes.perf_counter", lambda: next(times))
    early = ScriptedRacer("early", [ProviderBusy("no", phase="connect", status=429)])
    late = ScriptedRacer("late", [ROLE, ProviderTimeout("no", phase="first_token")])

    with pytest.raises(NobodyWon) as caught:
        await racing(early, late, parallel=1).run()

    told = [(loss.id, loss.error.phase, loss.ms) for loss in caught.value.losses]
    assert told == [("early", "connect", 250.0), ("late", "first_token", 500.0)]
    assert early.closed
    assert late.closed


async def test_cancelling_closes_everybody() -> None:
    """A client that goes away before the first token cuts off every racer."""
    racers = [ScriptedRacer(name, [ROLE, ...]) for name in "abc"]
    race = racing(*racers)
    running = await started(race, *racers)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert [racer.closed for racer in racers] == [True] * 3
    assert set(outcomes(race).values()) == {"cut off"}
    assert [lane.beaten_by for lane in race.lanes] == [None] * 3


@pytest.mark.parametrize("token_first", [True, False])
async def test_cancelling_at_the_first_token_closes_everybody(
    token_first: bool,
) -> None:
    """Nobody stays open if the client leaves in the very turn of the first token."""
    gate = asyncio.Event()
    speaker = ScriptedRacer("speaker", [gate, says("a"), ...])
    silent = ScriptedRacer("silent", [...])
    running = await started(racing(speaker, silent), speaker, silent)

    if token_first:
        gate.set()
    running.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert speaker.closed
    assert silent.closed


async def test_an_unexpected_exception_closes_everybody() -> None:
    """A bug in one racer ends the race without leaving any stream open."""
    gate = asyncio.Event()
    broken = ScriptedRacer("broken", [gate, ZeroDivisionError()])
    others = [ScriptedRacer(name, [ROLE, ...]) for name in "ab"]
    running = await started(racing(*others, broken), *others, broken)
    gate.set()

    with pytest.raises(ExceptionGroup) as caught:
        await running

    assert caught.group_contains(ZeroDivisionError)
    assert [racer.closed for racer in (*others, broken)] == [True] * 3


async def test_one_at_a_time_in_the_given_order() -> None:
    """With parallel=1 the next starts only once the one before has failed."""
    gates = [asyncio.Event(), asyncio.Event()]
    first = ScriptedRacer("first", [gates[0], ProviderBusy("no")])
    second = ScriptedRacer("second", [gates[1], ProviderBusy("no")])
    third = ScriptedRacer("third", [says("c"), ...])
    last = ScriptedRacer("last", [says("d")])
    running = asyncio.create_task(racing(first, second, third, last, parallel=1).run())

    await happened(first.begun)
    assert not second.started
    gates[0].set()
    await happened(second.begun)
    assert first.closed
    assert not third.started
    gates[1].set()

    assert (await running).id == "third"
    assert not last.started


async def test_so_many_at_a_time() -> None:
    """With parallel=2 a third racer starts only once one of the two has failed."""
    gate = asyncio.Event()
    failing = ScriptedRacer("failing", [gate, ProviderBusy("no")])
    silent = ScriptedRacer("silent", [...])
    third = ScriptedRacer("third", [says("c")])
    race = racing(failing, silent, third, parallel=2)
    running = await started(race, failing, silent)
    assert not third.started
    gate.set()

    assert (await running).id == "third"
    assert outcomes(race) == {"failing": "failed", "silent": "cut off", "third": "won"}


class Sulking(ScriptedRacer):
    """A racer that answers with an error when it is cut off."""

    def stream(self, request: ChatRequest) -> ScriptedStream:
        self.streams.append(SulkingStream(self, iter(self.script)))
        return self.streams[-1]


class SulkingStream(ScriptedStream):
    async def __anext__(self) -> list[Chunk]:
        try:
            return await super().__anext__()
        except asyncio.CancelledError as exc:
            raise ProviderTimeout("cut off") from exc


async def test_nobody_starts_once_somebody_has_won() -> None:
    """A loser that fails as it is cut off makes no room for the next in line."""
    gate = asyncio.Event()
    speaker = ScriptedRacer("speaker", [gate, says("a"), ...])
    sulking = Sulking("sulking", [...])
    third = ScriptedRacer("third", [says("c")])
    race = racing(speaker, sulking, third, parallel=2)
    running = await started(race, speaker, sulking)
    gate.set()

    assert (await running).id == "speaker"
    assert sulking.closed
    assert not third.streams


async def test_nobody_starts_once_the_client_has_left() -> None:
    """Likewise if it fails as the whole race is given up."""
    sulking = Sulking("sulking", [...])
    silent, third = ScriptedRacer("silent", [...]), ScriptedRacer("third", [...])
    running = await started(racing(sulking, silent, third, parallel=2), sulking, silent)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert [racer.closed for racer in (sulking, silent)] == [True] * 2
    assert not third.streams


async def test_two_speak_in_the_same_turn() -> None:
    """Of two tokens in one turn exactly one wins, and the other's stream is closed."""
    gate = asyncio.Event()
    racers = [ScriptedRacer(name, [gate, says(name), ...]) for name in "ab"]
    race = racing(*racers)
    running = await started(race, *racers)
    gate.set()

    winner = await running

    assert sorted(outcomes(race).values()) == ["cut off", "won"]
    assert [racer.id for racer in racers if not racer.closed] == [winner.id]
    assert winner.head == [says(winner.id)]


async def test_order_is_no_head_start() -> None:
    """Equal racers win equally often, wherever they stand in the client's list."""
    random.seed(20)
    names = "abcdefgh"
    won: Counter[str] = Counter()
    for _ in range(800):
        racers = [ScriptedRacer(name, [says(name)]) for name in names]
        won[(await racing(*racers).run()).id] += 1

    assert chi_square(won, names) < CRITICAL


async def test_a_failed_winner_is_replaced_by_those_left() -> None:
    """A new run is among those that have not failed: the cut off, and the untried."""
    gate = asyncio.Event()
    hasty = ScriptedRacer("hasty", [says("a"), ProviderTimeout("silent")])
    failing = ScriptedRacer("failing", [ProviderBusy("no")])
    slow = ScriptedRacer("slow", [gate, says("b"), says("c")])
    race = racing(failing, hasty, slow, parallel=2)
    winner = await race.run()
    with pytest.raises(ProviderTimeout):
        await heard(winner)
    assert hasty.closed
    gate.set()

    winner = await race.run()
    assert not slow.closed
    assert await heard(winner) == [says("b"), says("c")]
    assert len(failing.streams) == len(hasty.streams) == 1


async def test_nobody_is_left_for_another_run() -> None:
    """Once every racer has failed, another run says so, with the losses of all runs."""
    racers = [
        ScriptedRacer(name, [says(name), ProviderTimeout(name, phase="stream")])
        for name in "ab"
    ]
    race = racing(*racers, parallel=1)
    for _ in racers:
        with pytest.raises(ProviderTimeout):
            await heard(await race.run())

    with pytest.raises(NobodyWon) as caught:
        await race.run()

    assert [(loss.id, loss.error.phase) for loss in caught.value.losses] == [
        ("a", "stream"),
        ("b", "stream"),
    ]


async def test_a_victory_taken_back() -> None:
    """What comes after the first token may be no answer: the winner has then failed."""
    racer = ScriptedRacer("a", [says("a"), ...])
    race = racing(racer)
    winner = await race.run()
    error = ProviderProtocolError("too large", phase="stream")

    winner.fail(error)

    loss = race.lanes[0].loss()
    assert loss is not None
    assert loss.error is error
    assert outcomes(race) == {"a": "failed"}
    assert racer.closed


async def test_lanes_tell_the_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lane knows its time to first token, or how long it ran until it was out."""
    times = iter([1.0, 1.5, 2.0, 4.0])
    monkeypatch.setattr("server.racing.lanes.perf_counter", lambda: next(times))
    failing = ScriptedRacer("failing", [ProviderBusy("no")])
    steady = ScriptedRacer("steady", [says("a")])
    race = racing(failing, steady, parallel=1)

    await race.run()

    assert [lane.seconds for lane in race.lanes] == [0.5, 2.0]
    assert [lane.ttft for lane in race.lanes] == [None, 2.0]


async def test_a_stream_that_ends_ends_the_winner() -> None:
    """A whole answer ends quietly, and its racer has still won."""
    race = racing(ScriptedRacer("a", [says("a")]))

    assert await heard(await race.run()) == [says("a")]
    assert outcomes(race) == {"a": "won"}


async def test_close_before_and_after_a_winner() -> None:
    """close() may come at any time; after a win it hangs up on the winner."""
    racer = ScriptedRacer("a", [says("a"), ...])
    race = racing(racer)
    race.close()
    await race.run()
    assert not racer.closed

    race.close()

    assert racer.closed


def telling(*racers: ScriptedRacer) -> tuple[ChatRace, list[tuple[str, str]]]:
    """Return a race, and the list to which it adds who ended, and how."""
    told: list[tuple[str, str]] = []

    def on_end(lane: Lane) -> None:
        told.append((lane.id, lane.outcome))

    return Race(racers, HELLO, Parallel(len(racers)), on_end), told


async def test_each_end_is_told_when_it_comes() -> None:
    """Failures and losses are known at once, the victory when the answer is whole."""
    gates = [asyncio.Event(), asyncio.Event()]
    failing = ScriptedRacer("failing", [ProviderBusy("no")])
    steady = ScriptedRacer("steady", [gates[0], says("a"), gates[1]])
    race, told = telling(failing, steady, ScriptedRacer("silent", [...]))
    running = await started(race, failing, steady)
    await asyncio.sleep(0)

    assert told == [("failing", "failed")]
    gates[0].set()
    winner = await running
    assert told[1:] == [("silent", "cut off")]
    gates[1].set()
    await heard(winner)
    race.close()
    assert told[2:] == [("steady", "won")]


@pytest.mark.parametrize("hung_up", [True, False])
async def test_a_winner_s_end_is_told_once(hung_up: bool) -> None:
    """However a winner ends, that is told, and nothing else after it."""
    error = ProviderTimeout("silent", phase="stream")
    race, told = telling(ScriptedRacer("a", [says("a"), error]))
    winner = await race.run()

    if hung_up:
        race.close()
    else:
        with pytest.raises(ProviderTimeout):
            await heard(winner)
        winner.fail(error)
    race.close()

    assert told == [("a", "won" if hung_up else "failed")]


async def test_what_was_given_up_is_not_told() -> None:
    """If the client leaves before there is a winner, nobody has lost to anybody."""
    gate = asyncio.Event()
    failing = ScriptedRacer("failing", [gate, ProviderBusy("no")])
    silent = ScriptedRacer("silent", [...])
    race, told = telling(failing, silent)
    running = await started(race, failing, silent)
    gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    running.cancel()
    await asyncio.wait({running})

    assert told == [("failing", "failed")]


async def test_losers_know_who_beat_them() -> None:
    """Also when that winner failed, and another race among those left was won."""
    gates = [asyncio.Event(), asyncio.Event()]
    hasty = ScriptedRacer("hasty", [gates[0], says("a"), ProviderTimeout("silent")])
    slow = ScriptedRacer("slow", [gates[1], says("b")])
    silent = ScriptedRacer("silent", [...])
    race = racing(hasty, slow, silent)
    running = await started(race, hasty, slow, silent)
    gates[0].set()
    with pytest.raises(ProviderTimeout):
        await heard(await running)
    silent.begun.clear()
    running = await started(race, silent)
    gates[1].set()
    await running

    beaten = [(lane.id, lane.beaten_by.id) for lane in race.lanes if lane.beaten_by]
    assert sorted(beaten[:2]) == [("silent", "hasty"), ("slow", "hasty")]
    assert beaten[2:] == [("silent", "slow")]


async def test_who_was_not_asked_has_no_lane() -> None:
    """Who is cut off before its first turn was not asked, and has not lost."""
    gate = asyncio.Event()
    failing = ScriptedRacer("failing", [gate, ProviderBusy("no")])
    speaker = ScriptedRacer("speaker", [gate, says("a"), ...])
    third = ScriptedRacer("third", [...])
    race = racing(failing, speaker, third, parallel=2)
    running = await started(race, failing, speaker)
    gate.set()

    await running

    assert not third.streams
    assert outcomes(race) == {"failing": "failed", "speaker": "won"}


EMPTY = Chunk(choices=(Choice(finish_reason="length"),), usage=Usage(total_tokens=9))
MUTE: list[Step] = [ROLE, EMPTY]
FAILING: list[Step] = [ProviderBusy("no")]


@pytest.mark.parametrize("parallel", [0, 1])
@pytest.mark.parametrize("order", ["mute speaker", "speaker mute", "mute no speaker"])
async def test_wordless_loses(order: str, parallel: int) -> None:
    """A sound answer without a token loses against any that has one, however late."""
    scripts: dict[str, list[Step]] = {
        "mute": MUTE,
        "speaker": [ROLE, ROLE, says("a")],
        "no": FAILING,
    }
    racers = [ScriptedRacer(name, scripts[name]) for name in order.split()]
    race = racing(*racers, parallel=parallel)

    winner = await race.run()

    assert winner.id == "speaker"
    assert outcomes(race).get("mute") in {"cut off", None}
    winner.close()
    assert all(racer.closed for racer in racers if racer.started)


@pytest.mark.parametrize("parallel", [0, 1])
async def test_wordless_wins_where_nobody_has_a_token(parallel: int) -> None:
    """
    Where nobody has a token, the first sound answer is the answer, with its end; it has
    no time to first token, and who comes second is cut off.
    """
    ended: list[Lane] = []
    racers = [
        ScriptedRacer("no", FAILING),
        ScriptedRacer("mute", MUTE),
        ScriptedRacer("later", [ROLE, *MUTE]),
    ]
    race = Race(racers, HELLO, Parallel(parallel or 3), ended.append)

    winner = await race.run()
    chunks = await heard(winner)
    winner.close()

    assert chunks == [EMPTY]
    # Who starts together starts in any order.
    other = "mute" if winner.id == "later" else "later"
    assert outcomes(race) == {"no": "failed", winner.id: "won", other: "cut off"}
    assert winner.lane.ttft is None
    assert sorted(lane.id for lane in ended) == ["later", "mute", "no"]
    assert all(racer.closed for racer in racers[1:])


async def test_wordless_is_given_up() -> None:
    """When the client leaves, who was set aside is counted as nothing."""
    ended: list[Lane] = []
    racers = [ScriptedRacer("mute", MUTE), ScriptedRacer("slow", [...])]
    race = Race(racers, HELLO, Parallel(2), ended.append)
    running = await started(race, *racers)
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])

    assert not ended
    assert all(racer.closed for racer in racers)


async def test_what_comes_before_the_token_is_bounded() -> None:
    """A stream that goes on without a token does not fill the memory."""
    racer = ScriptedRacer("a", [adds(extra={"n": n}) for n in range(9)] + [says("a")])
    stream = racer.stream(HELLO)
    stream.attempt.received = KEPT + 1

    kept, spoke = await until_token(stream)

    assert spoke
    assert kept == [says("a")]


async def test_the_end_is_kept_whatever_came_before() -> None:
    """The end of an answer without a token has its reason and its usage."""
    racer = ScriptedRacer("a", [*[adds(extra={"n": n}) for n in range(9)], EMPTY])
    stream = racer.stream(HELLO)
    stream.attempt.received = KEPT + 1

    assert await until_token(stream) == ([EMPTY], False)
