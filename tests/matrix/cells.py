"""The cells of the matrix: a client, an upstream, a case, and what comes of it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
from attrs import frozen

from tests.rig.client import frames
from tests.rig.dialects import DIALECTS, FINE, OBJECT, PARIS, speaker, table
from tests.rig.parts import Call, Thought
from tests.rig.responses_upstream import SEAL
from tests.rig.server_process import running
from tests.rig.upstream import Step, Upstream, answers, upstream

from .clients import CLIENTS, PICTURE, Seen, Wish
from .scripts import broken, cut, refusal

KINDS = ("openai", "anthropic", "gemini", "responses")
ROME = {"city": "Rome"}
CALLS = (Call("call_1", "weather", PARIS), Call("call_2", "weather", ROME))
BOTH = [("weather", PARIS), ("weather", ROME)]
THINKS = (Thought("Hm."), CALLS[0])
# What each upstream wants back of what its model has thought.
SEALS = {"openai": "Hm.", "anthropic": "c2ln", "gemini": "c2lnbmVk", "responses": SEAL}
DOWN = answers(503, {"error": {"message": "Down.", "type": "server_error"}})


@frozen
class Cell:
    client: str
    streamed: bool
    kind: str
    case: str

    def __str__(self) -> str:
        how = "streamed" if self.streamed else "whole"
        return f"{self.client}, {how} - {self.kind} - {self.case}"


@frozen
class Answered:
    """An answer: its HTTP status, and what its client has of it."""

    status: int
    seen: Seen


@frozen
class Bench:
    """A server, and an upstream of each dialect behind it."""

    url: str
    upstreams: dict[str, Upstream]
    session: aiohttp.ClientSession

    async def ask(self, cell: Cell, wish: Wish, script: list[Step]) -> Answered:
        """Send *wish* as the cell's client does, to be answered by *script*."""
        self.upstreams[cell.kind].scripts = [script]
        api = CLIENTS[cell.client]
        named = {"model": "m", "provider": speaker(cell.kind), "stream": cell.streamed}
        body = {**api.body(wish), **named}
        async with self.session.post(self.url + api.path, json=body) as answer:
            sent = await answer.read()
            if answer.status != 200:
                assert b'"error"' in sent
                return Answered(answer.status, Seen(ending="error"))
            if not cell.streamed:
                return Answered(200, api.whole(await answer.json()))
        events = [_payload(frame) for frame in sent.split(b"\n\n")]
        seen = api.streamed([event for event in events if event is not None])
        return Answered(200, seen)

    def sent(self, cell: Cell) -> bytes:
        """Return the last body that the upstream was sent."""
        return self.upstreams[cell.kind].requests[-1].body


def _payload(frame: bytes) -> Any:
    """Return an event's JSON, None for what is none."""
    data = frame[frame.find(b"data: ") :]
    (found, *_) = [*frames(data + b"\n\n"), None]
    return found if isinstance(found, dict) else None


async def says_text(bench: Bench, cell: Cell) -> None:
    got = await bench.ask(cell, Wish(), DIALECTS[cell.kind](*FINE))
    assert (got.seen.text, got.seen.ending) == ("Fine.", "stop")


async def calls_in_parallel(bench: Bench, cell: Cell) -> None:
    got = await bench.ask(cell, Wish(tools=True), DIALECTS[cell.kind](*CALLS))
    assert (got.seen.calls, got.seen.ending) == (BOTH, "tools")


async def takes_results(bench: Bench, cell: Cell) -> None:
    called = await bench.ask(cell, Wish(tools=True), DIALECTS[cell.kind](*CALLS))
    wish = Wish(tools=True, back=called.seen)
    got = await bench.ask(cell, wish, DIALECTS[cell.kind](*FINE))
    assert got.seen.text == "Fine."
    assert bench.sent(cell).count(b"rain") == len(CALLS)


async def sees_a_picture(bench: Bench, cell: Cell) -> None:
    got = await bench.ask(cell, Wish(picture=True), DIALECTS[cell.kind](*FINE))
    assert got.seen.text == "Fine."
    assert PICTURE.encode() in bench.sent(cell)


async def makes_an_object(bench: Bench, cell: Cell) -> None:
    got = await bench.ask(cell, Wish(schema=True), DIALECTS[cell.kind](*OBJECT))
    assert got.seen.text == '{"name":"Paris","river":"Seine"}'
    assert b'"Tiber"' in bench.sent(cell)


async def thinks_and_goes_on(bench: Bench, cell: Cell) -> None:
    wish = Wish(tools=True, thinks=True)
    thought = await bench.ask(cell, wish, DIALECTS[cell.kind](*THINKS))
    assert thought.seen.thought == "Hm."
    wish = Wish(tools=True, thinks=True, back=thought.seen)
    got = await bench.ask(cell, wish, DIALECTS[cell.kind](*FINE))
    assert got.seen.text == "Fine."
    assert SEALS[cell.kind].encode() in bench.sent(cell)


async def refuses(bench: Bench, cell: Cell) -> None:
    got = await bench.ask(cell, Wish(), refusal(cell.kind))
    assert "No." in (got.seen.text, got.seen.refusal)
    apart = cell.kind in ("openai", "responses")
    usual = "stop" if apart else "filter"
    assert got.seen.ending == ("refusal" if cell.client == "messages" else usual)
    assert not apart or got.seen.refusal == "No."


async def is_cut_by_length(bench: Bench, cell: Cell) -> None:
    got = await bench.ask(cell, Wish(), cut(cell.kind, "length"))
    assert (got.seen.text, got.seen.ending) == ("Fi", "length")


async def is_cut_by_a_filter(bench: Bench, cell: Cell) -> None:
    got = await bench.ask(cell, Wish(), cut(cell.kind, "filter"))
    filtered = "refusal" if cell.client == "messages" else "filter"
    assert (got.seen.text, got.seen.ending) == ("Fi", filtered)


async def fails_before(bench: Bench, cell: Cell) -> None:
    got = await bench.ask(cell, Wish(), DOWN)
    assert got.status >= 500
    assert got.seen.ending == "error"


async def fails_after(bench: Bench, cell: Cell) -> None:
    got = await bench.ask(cell, Wish(), broken(cell.kind))
    assert got.seen.ending == "error"
    assert (got.status == 200) == cell.streamed
    assert got.seen.text == ("Hello" if cell.streamed else "")


CASES: dict[str, Callable[[Bench, Cell], Any]] = {
    "text": says_text,
    "tools in parallel": calls_in_parallel,
    "tool results": takes_results,
    "picture": sees_a_picture,
    "structured output": makes_an_object,
    "reasoning, and back": thinks_and_goes_on,
    "refusal": refuses,
    "cut by length": is_cut_by_length,
    "cut by filter": is_cut_by_a_filter,
    "failure before the first token": fails_before,
    "failure after it": fails_after,
}


def every_cell() -> Iterator[Cell]:
    for case, client, streamed, kind in product(CASES, CLIENTS, (True, False), KINDS):
        yield Cell(client, streamed, kind, case)


async def problem(bench: Bench, cell: Cell) -> str:
    """Play a cell; return what is wrong with it, "" if nothing is."""
    try:
        await CASES[cell.case](bench, cell)
    except (AssertionError, LookupError, TypeError, ValueError) as exc:
        return f"{cell}: {type(exc).__name__} {exc}"
    return ""


@asynccontextmanager
async def bench(config: Path) -> AsyncIterator[Bench]:
    """Start a server over scripted upstreams, none of which is ever rested."""
    async with AsyncExitStack() as stack:
        open_ = stack.enter_async_context
        upstreams = {kind: await open_(upstream()) for kind in KINDS}
        tables = [table(kind, speaker(kind), upstreams[kind]) for kind in KINDS]
        server = await open_(running(config, "\n".join(tables)))
        session = await open_(aiohttp.ClientSession())
        yield Bench(server.url, upstreams, session)
