"""What a client must be told, cell by cell: the promises of the contract, section 5."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from attrs import frozen

from tests.rig.client import Answer, hello, text

from .scripts import HEALTHY, words_for
from .table import Fault

Shape = Literal["alone", "before", "after", "slower", "next"]
SHAPES: tuple[Shape, ...] = ("alone", "before", "after", "slower", "next")
# What no client and no log may see.
SECRET = "SECRET"
INTERRUPTED = "interrupted"
# Seconds over its time-outs that an answer may take on a busy machine.
GRACE = 25.0


@frozen
class Cell:
    """
    One fault in one shape of race; *stream*: how the client wants its answer.

    The healthy racer is not there, is named before or after the faulty one, speaks only
    when that one has been heard, or is asked only when that one has failed.
    """

    number: int
    fault: Fault
    shape: Shape
    stream: bool

    @property
    def id(self) -> str:
        """The faulty provider: each cell has its own, so that none spoils another."""
        return f"F{self.number}-{self.shape}-{'stream' if self.stream else 'whole'}"

    @property
    def name(self) -> str:
        return f"{self.fault.name}, {self.id}"

    @property
    def request(self) -> dict[str, Any]:
        """What the client asks for."""
        racers = [HEALTHY] * (self.shape in {"before", "slower"}) + [self.id]
        racers += [HEALTHY] * (self.shape in {"after", "next"})
        strategy = "fallback" if self.shape == "next" else "race"
        return {
            **hello(" ".join(racers)),
            "race": {"strategy": strategy},
            "stream": self.stream,
            "user": self.id,
        }

    @property
    def expected(self) -> set[str]:
        """The outcomes that are right: two where both may be first."""
        either = {"healthy"} if self.shape in {"before", "after"} else set()
        if self.fault.kind == "answers":
            return {"answers"} | either
        if self.fault.kind == "breaks" and self.stream:
            return {INTERRUPTED} | either
        if self.shape != "alone":
            return {"healthy"}
        return {f"{status} {code}" for status, code in self.fault.errors}


@frozen
class Finding:
    """What has become of a cell, in short, and what is wrong with it."""

    cell: Cell
    outcome: str
    problems: Sequence[str] = ()
    seconds: float = 0.0


def said_by_healthy(cell: str) -> str:
    """Return the healthy one's answer to a cell: another text for each."""
    return f"Gesund: {cell} ✓🙂"


def judge(cell: Cell, answer: Answer, seconds: float) -> Finding:
    """Say what *answer* is, and all that is wrong with it."""
    try:
        outcome = _outcome(cell, answer)
        problems = list(_problems(cell, answer, outcome))
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        outcome, problems = "unreadable", [f"{exc!r} in {answer.body[-300:]!r}"]
    if outcome not in cell.expected:
        problems.append(f"{outcome}, not {cell.expected}: {answer.body[-300:]!r}")
    allowed = sum(cell.fault.limits.values()) + GRACE
    if seconds > allowed:
        problems.append(f"it took {seconds:.1f} s, not {allowed:.1f}")
    if SECRET in f"{answer.body!r} {answer.headers}":
        problems.append(f"a secret: {answer.headers} {answer.body!r}")
    named = [f"{cell.name}: {each}" for each in problems]
    return Finding(cell, outcome, named, seconds)


def _outcome(cell: Cell, answer: Answer) -> str:
    if answer.status != 200:
        return f"{answer.status} {answer.error['code']}"
    if cell.stream and "error" in answer.frames[-1]:
        return INTERRUPTED
    return "healthy" if answer.headers["X-Provider"] == HEALTHY else "answers"


def _problems(cell: Cell, answer: Answer, outcome: str) -> Iterator[str]:
    if "X-Request-Id" not in answer.headers:
        yield "no x-request-id"
    if answer.status != 200:
        yield from _error_problems(cell, answer)
    elif cell.stream:
        yield from _stream_problems(cell, answer, interrupted=outcome == INTERRUPTED)
    else:
        yield from _completion_problems(cell, answer)


def _error_problems(cell: Cell, answer: Answer) -> Iterator[str]:
    if answer.headers["Content-Type"].partition(";")[0] != "application/json":
        yield f"an error of type {answer.headers['Content-Type']}"
    if set(answer.json) != {"error"}:
        yield f"more than an error: {set(answer.json)}"
    yield from _error_object_problems(cell, answer.error)
    for name, value in cell.fault.headers.items():
        if answer.headers.get(name) != value:
            yield f"{name} is {answer.headers.get(name)!r}, not {value!r}"


def _error_object_problems(cell: Cell, error: Any) -> Iterator[str]:
    if not {"message", "type", "param", "code"} <= error.keys():
        yield f"an error without some of its fields: {error}"
    if not error["message"] or not error["type"] or error["param"] is not None:
        yield f"an error that says nothing: {error}"
    if {each["id"] for each in error["providers"]} != {cell.id}:
        yield f"not the providers that failed: {error['providers']}"


def _stream_problems(cell: Cell, answer: Answer, *, interrupted: bool) -> Iterator[str]:
    if answer.headers["Content-Type"].partition(";")[0] != "text/event-stream":
        yield f"a stream of type {answer.headers['Content-Type']}"
    *events, last = answer.frames
    pings = answer.body.count(b": ping\n\n")
    if answer.body.count(b"\n\n") != len(answer.frames) + pings:
        yield f"more than data and pings: {answer.body[:300]!r}"
    if not answer.body.endswith(b"\n\n"):
        yield f"it ends with {answer.body[-99:]!r}"
    if interrupted:
        yield from _error_object_problems(cell, last["error"])
        if last["error"]["code"] != "stream_interrupted":
            yield f"interrupted by {last['error']['code']}"
    elif last != "[DONE]":
        yield f"it ends with {last!r}"
    yield from _chunk_problems(events, answer.headers["X-Provider"], not interrupted)
    yield from _text_problems(cell, answer.headers["X-Provider"], text(events))


def _chunk_problems(
    events: list[dict[str, Any]], winner: str, whole: bool
) -> Iterator[str]:
    same = Counter((e["id"], e["created"], e["model"], e["provider"]) for e in events)
    if len(same) != 1 or next(iter(same))[3] != winner:
        yield f"chunks of more than one answer: {same}"
    choices = [choice for event in events for choice in event["choices"]]
    if {choice["index"] for choice in choices} != {0}:
        yield "more than one choice"
    roles = [bool(choice["delta"].get("role")) for choice in choices]
    if roles.index(True) != 0 or roles.count(True) != 1:
        yield f"roles in these deltas: {roles}"
    finishes = [c["finish_reason"] for c in choices if c["finish_reason"] is not None]
    if finishes != ["stop"] * whole:
        yield f"finish_reasons {finishes}"


def _completion_problems(cell: Cell, answer: Answer) -> Iterator[str]:
    body = answer.json
    (choice,) = body["choices"]
    if (body["object"], choice["finish_reason"]) != ("chat.completion", "stop"):
        yield f"not a whole completion: {body}"
    if body["provider"] != answer.headers["X-Provider"]:
        yield f"by {body['provider']}, not {answer.headers['X-Provider']}"
    yield from _text_problems(cell, body["provider"], choice["message"]["content"])


def _text_problems(cell: Cell, winner: str, said: str) -> Iterator[str]:
    if winner == HEALTHY:
        right = said == said_by_healthy(cell.id)
    elif cell.fault.said is None:
        right = said.startswith("".join(words_for(cell.id)))
    else:
        right = said == cell.fault.said(words_for(cell.id))
    if not right:
        yield f"the text of {winner} is {said[:100]!r} ({len(said)} characters)"
