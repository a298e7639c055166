"""An answer's states, as a table: what comes in, how far it is then, what comes out."""

from collections.abc import Callable

import orjson
import pytest

from providers import Attempt, ProviderError, ProviderSettings, TextRun, chunks_of
from providers.calls.answer import OVER, SAID, SILENT, SPOKE, Answer, Pieces, State
from providers.dialects import DIALECTS
from providers.errors import ProviderFailed, ProviderProtocolError, ProviderTimeout
from tests.rig.chat_calls import COMPLETION, OVERLOADED, text


def data(payload: object) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def says(content: str | None = None, finish_reason: str | None = None) -> bytes:
    delta = {"role": "assistant"} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return data({"choices": [choice]})


ROLE, A, B, STOP = says(), says("a"), says("b"), says(finish_reason="stop")
USAGE = data({"choices": [], "usage": {"total_tokens": 3}})
DONE = b"data: [DONE]\n\n"
BAD, ERROR = b"data: {oops\n\n", data(OVERLOADED)
LATE = ProviderTimeout("late")

# What happens to an answer: bytes, the body's end, or what it is broken off with.
END = "end"
REST = "rest"
Event = bytes | str | ProviderError
# An event, how far the answer is after it, and the text that has come out.
Step = tuple[Event, State, str]
Ending = type[ProviderError] | None
WAYS: dict[str, tuple[list[Step], Ending]] = {
    "role, tokens, end": (
        [
            (ROLE, SILENT, ""),
            (A, SPOKE, "a"),
            (B, SPOKE, "b"),
            (STOP, SAID, ""),
            (USAGE, SAID, ""),
            (DONE, OVER, ""),
        ],
        None,
    ),
    "all at once": ([(ROLE + A + STOP + DONE, OVER, "a")], None),
    "no [DONE]": ([(A, SPOKE, "a"), (STOP, SAID, ""), (END, OVER, "")], None),
    "in two parts": ([(A[:9], SILENT, ""), (A[9:], SPOKE, "a")], None),
    "JSON": ([(orjson.dumps(COMPLETION), SILENT, ""), (END, OVER, "whole")], None),
    "nothing": ([(END, OVER, "")], ProviderProtocolError),
    "no token": ([(ROLE + STOP, SILENT, ""), (DONE, OVER, "")], None),
    "no token, late": ([(ROLE + STOP, SILENT, ""), (LATE, OVER, "")], None),
    "no token, no reason": (
        [(ROLE, SILENT, ""), (DONE, OVER, "")],
        ProviderProtocolError,
    ),
    "cut": ([(A, SPOKE, "a"), (END, OVER, "")], ProviderProtocolError),
    "late, silent": ([(ROLE, SILENT, ""), (LATE, OVER, "")], ProviderTimeout),
    "late, spoke": ([(A, SPOKE, "a"), (LATE, OVER, "")], ProviderTimeout),
    "late, all said": ([(A + STOP, SAID, "a"), (LATE, OVER, "")], None),
    "bad, silent": ([(ROLE, SILENT, ""), (BAD, OVER, "")], ProviderProtocolError),
    "bad with the first token": ([(A + BAD, OVER, "")], ProviderProtocolError),
    "error with the first token": ([(A + ERROR, OVER, "")], ProviderFailed),
    "bad with a token": (
        [(A, SPOKE, "a"), (B + BAD, OVER, "b")],
        ProviderProtocolError,
    ),
    "error with a token": ([(A, SPOKE, "a"), (B + ERROR, OVER, "b")], ProviderFailed),
    "bad, all said": ([(A + STOP, SAID, "a"), (BAD, OVER, "")], None),
    "bad with all that is said": ([(A + STOP + BAD, OVER, "a")], None),
    "half an event, all said": ([(A + STOP + A[:9], SAID, "a"), (END, OVER, "")], None),
    "more after the end": ([(A + STOP + DONE, OVER, "a"), (B, OVER, "")], None),
    "broken off after the end": (
        [(A + STOP + DONE, OVER, "a"), (LATE, OVER, "")],
        None,
    ),
    "more after a failure": (
        [(A, SPOKE, "a"), (LATE, OVER, ""), (B, OVER, ""), (END, OVER, "")],
        ProviderTimeout,
    ),
}


def begin(*, early: bool = False) -> Answer:
    settings = ProviderSettings(id="T", kind="openai", base_url="http://a.test")
    return Answer(DIALECTS["openai"](settings), Attempt(), early=early)


def put(answer: Answer, event: Event) -> Pieces:
    if isinstance(event, bytes):
        return answer.receive(event)
    if isinstance(event, ProviderError):
        return answer.break_off(event)
    plain: dict[str, Callable[[], Pieces]] = {END: answer.end, REST: answer.rest}
    return plain[event]()


@pytest.mark.parametrize(("steps", "ending"), WAYS.values(), ids=WAYS)
def test_ways(steps: list[Step], ending: Ending) -> None:
    """Each event leads to its state, only forward, and to no more than its text."""
    answer, before = begin(), SILENT
    for event, state, said in steps:
        pieces = put(answer, event)
        assert (answer.state, text(chunks_of(pieces))) == (state, said)
        assert before <= state
        before = state

    assert (None if answer.error is None else type(answer.error)) is ending


EARLY: dict[str, list[Step]] = {
    "in a hurry": [(ROLE + A + B, SPOKE, "a"), (REST, SPOKE, "b")],
    "all at once": [(A + B + STOP + DONE, SPOKE, "a"), (REST, OVER, "b")],
    "alone": [(A, SPOKE, "a"), (REST, SPOKE, ""), (B, SPOKE, "b")],
    "only the first": [(A, SPOKE, "a"), (REST, SPOKE, ""), (B + STOP, SAID, "b")],
    "an error with it": [(A + ERROR, OVER, "")],
    "cut with it": [(A + B[:9], SPOKE, "a"), (B[9:], SPOKE, "b")],
    "late before the rest": [(A + B, SPOKE, "a"), (LATE, OVER, ""), (REST, OVER, "")],
}


@pytest.mark.parametrize("steps", EARLY.values(), ids=EARLY)
def test_first_token_comes_early(steps: list[Step]) -> None:
    """Of what seems sound, the first token comes out first, and the rest when taken."""
    answer = begin(early=True)
    for event, state, said in steps:
        pieces = put(answer, event)
        assert (answer.state, text(chunks_of(pieces))) == (state, said)


def test_whether_it_spoke_is_known_to_the_end() -> None:
    """A failure's phase is told by it; a token that is kept back does not count."""
    spoke, silent = begin(), begin()
    spoke.receive(A)
    spoke.break_off(LATE)
    silent.receive(A + BAD)

    assert (spoke.spoke, silent.spoke) == (True, False)


def test_counts() -> None:
    """The attempt counts chunks and tokens, also those that come as a run."""
    settings = ProviderSettings(id="T", kind="openai", base_url="http://a.test")
    attempt = Attempt()
    answer = Answer(DIALECTS["openai"](settings), attempt, early=False)
    answer.receive(ROLE + A)
    pieces = answer.receive(A * 10)
    answer.receive(STOP)

    assert any(isinstance(piece, TextRun) for piece in pieces)
    # The finish is told with the end of the answer.
    assert (attempt.chunks, attempt.tokens) == (12, 11)


def test_errors_keep_no_frames() -> None:
    """What is wrong with an answer knows no frame that knows the answer."""
    for bad in (BAD, ERROR):
        answer = begin()
        answer.receive(bad)
        assert answer.error is not None
        assert answer.error.__traceback__ is None
        cause = answer.error.__cause__
        assert cause is None or cause.__traceback__ is None
