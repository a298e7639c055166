"""Several chats in one race: side by side, numbered on, and ended together."""

import asyncio
import gc
from collections import deque
from typing import Any

import pytest

from providers import (
    ChatRequest,
    Choice,
    Chunk,
    Delta,
    Message,
    ProviderProtocolError,
    Usage,
)
from server.racing.batch import AT_A_TIME, BatchStream
from tests.rig.fakes import ScriptedRacer, says

USED = Chunk(usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3))


def batch(*racers: ScriptedRacer, each: int = 1) -> BatchStream:
    """Return the stream of as many chats as there are racers, each to one of them."""
    chats = [
        ChatRequest(model="m", messages=(Message(role="user", content=str(i)),))
        for i in range(len(racers))
    ]
    playing = {id(chat): racer for chat, racer in zip(chats, racers, strict=True)}
    start: Any = lambda chat: playing[id(chat)].stream(chat)  # noqa: E731
    return BatchStream(start, deque(enumerate(chats)), each)


async def all_of(stream: BatchStream) -> list[Chunk]:
    found: list[Chunk] = []
    while True:
        try:
            found += await stream.__anext__()
        except StopAsyncIteration:
            return found


async def test_choices_are_numbered_on() -> None:
    """Each chat's choices follow the last one's; the usage is one sum, at the end."""
    second = Chunk(choices=(Choice(index=1, delta=Delta(content="b1")),), usage=None)
    racers = [
        ScriptedRacer("a", [says("a0"), USED]),
        ScriptedRacer("b", [says("b0"), second, USED]),
    ]

    chunks = await all_of(batch(*racers, each=2))

    texts = {(c.index, c.delta.content) for chunk in chunks for c in chunk.choices}
    assert texts == {(0, "a0"), (2, "b0"), (3, "b1")}
    assert [chunk.usage for chunk in chunks if chunk.usage] == [
        Usage(prompt_tokens=2, completion_tokens=4, total_tokens=6)
    ]


async def test_nobody_waits_for_another() -> None:
    """What one chat says is there while another is silent."""
    gate = asyncio.Event()
    stream = batch(ScriptedRacer("a", [...]), ScriptedRacer("b", [says("b"), gate]))

    async with asyncio.timeout(5):
        (chunk,) = await stream.__anext__()

    assert chunk.choices[0].index == 1
    stream.close()


async def test_not_all_at_once() -> None:
    """Beyond a number, the next begins when one has ended."""
    gate = asyncio.Event()
    first = [ScriptedRacer(str(i), [says("x"), gate]) for i in range(AT_A_TIME)]
    more = ScriptedRacer("more", [says("y")])
    stream = batch(*first, more)

    await stream.__anext__()
    begun = more.started
    gate.set()
    rest = await all_of(stream)

    assert not begun
    assert rest[-1].choices[0].delta.content == "y"


async def test_close_hangs_up_on_all() -> None:
    """Whoever is waited for is closed, and who has not begun never does."""
    racers = [ScriptedRacer(str(i), [says("x"), ...]) for i in range(AT_A_TIME + 1)]
    stream = batch(*racers)
    await stream.__anext__()

    await asyncio.sleep(0)  # all of them read again

    stream.close()
    await asyncio.sleep(0)

    assert all(racer.closed for racer in racers)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(StopAsyncIteration):
        await stream.__anext__()
    assert not racers[-1].streams


@pytest.mark.parametrize("also", [False, True])
async def test_one_failure_ends_all(also: bool) -> None:
    """
    A racer that fails at one chat is out, and leaves nothing open; of several failures
    that come together, none is reported as forgotten.
    """
    forgotten: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: forgotten.append(context)
    )
    good = ScriptedRacer("good", [says("x"), ...])
    bad = ScriptedRacer("bad", [ProviderProtocolError("no")])
    stream = batch(good, bad, *([bad] if also else []))

    with pytest.raises(ProviderProtocolError, match="no"):
        await all_of(stream)
    closed = (good.closed, bad.streams[0].closed)
    del stream, good, bad  # the last that know the errors
    gc.collect()

    assert closed == (True, True)
    assert not forgotten


async def test_cancelled_it_hangs_up() -> None:
    """A loser of a race is cut off while it reads."""
    silent = ScriptedRacer("silent", [...])
    stream = batch(silent, silent)
    reading = asyncio.ensure_future(stream.__anext__())
    await silent.begun.wait()

    reading.cancel()
    await asyncio.wait({reading})

    assert silent.closed
