"""The load generator notices what a gateway does to an answer."""

import asyncio
from collections.abc import Iterable

import pytest

from benchmarks.load import Answer, Connection, Target, WrongAnswer, ask_times
from benchmarks.upstream import Book, listen
from benchmarks.wire import EVENTS, HEAD, ROLE, STOP, Order, ending, whole

OVER = ending(usage=True)
END = b"0\r\n\r\n"


class Wire(asyncio.Transport):
    """A connection that leads nowhere."""

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def abort(self) -> None: ...


async def taken(parts: Iterable[bytes], words: int) -> Answer:
    """Return the answer that a connection makes of what arrives in *parts*."""
    connection = Connection()
    connection.connection_made(Wire())
    answer = connection.ask(b"", words)
    for part in parts:
        connection.data_received(part)
    connection.connection_lost(None)
    return await answer


async def test_answers_are_whole_however_they_are_cut() -> None:
    """A stream, and an answer that is none, are read right byte by byte."""
    stream = HEAD + ROLE + b"".join(EVENTS[:3]) + OVER
    for answer in (stream, whole(3)):
        cut = [answer[at : at + 1] for at in range(len(answer))]
        assert (await taken(cut, 3)).seen == 3
        assert (await taken([answer], 3)).seen == 3


@pytest.mark.parametrize(
    "events",
    [
        [EVENTS[0], EVENTS[2], OVER],
        [EVENTS[0], EVENTS[0], EVENTS[1], EVENTS[2], OVER],
        [EVENTS[1], EVENTS[0], EVENTS[2], OVER],
        [*EVENTS[:2], OVER],
        [*EVENTS[:4], OVER],
        [*EVENTS[:3], STOP, END],
    ],
    ids=["lost", "doubled", "displaced", "one too few", "one too many", "no end"],
)
async def test_wrong_answers_are_noticed(events: list[bytes]) -> None:
    """A word that is lost, doubled or displaced, or a missing end, is an error."""
    with pytest.raises(WrongAnswer):
        await taken([HEAD + ROLE, *events], 3)


async def test_errors_are_no_answers() -> None:
    """A status other than 200 is an error that shows the answer."""
    refusal = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nslow"
    with pytest.raises(WrongAnswer, match="slow"):
        await taken([refusal], 3)


@pytest.mark.parametrize("gap", ["0", "each"])
@pytest.mark.parametrize("stream", [True, False])
async def test_the_upstream_does_as_it_is_ordered(gap: str, *, stream: bool) -> None:
    """Streams and whole answers have as many words as the model's name says."""
    (port,), (server,) = await listen(Book(), 1)
    async with server:
        target = Target(port)
        request = target.request(Order(200, gap).model, stream=stream)
        answers = await ask_times(6, target, request, 200, at_once=2)
    assert [answer.seen for answer in answers] == [200] * 6
