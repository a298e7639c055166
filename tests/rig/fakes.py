"""Racers that do exactly what their script says, without a network."""

import asyncio
from collections.abc import Iterator, Sequence
from types import EllipsisType

from attrs import define, field

from providers import (
    Attempt,
    ChatRequest,
    Choice,
    Chunk,
    Delta,
    Message,
    Phase,
    ProviderProtocolError,
)

# Seconds after which a test that nothing ends has failed, instead of waiting on.
PATIENCE = 10.0

# What a script is made of: a chunk, or several that arrive together, an error to raise,
# an event to wait for; `...` means: then silence for ever.
Step = Chunk | list[Chunk] | Exception | asyncio.Event | EllipsisType

HELLO = ChatRequest(model="m", messages=(Message(role="user", content="hello"),))


def says(text: str) -> Chunk:
    """Return a chunk that adds *text*; with "" it is no token."""
    return Chunk(id="chatcmpl-1", choices=(Choice(delta=Delta(content=text)),))


ROLE = says("")


async def happened(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        await event.wait()


@define(eq=False)
class ScriptedStream:
    """One playing of a script. It never closes itself: its opener has to."""

    racer: "ScriptedRacer"
    steps: Iterator[Step]
    phase: Phase = "connect"
    closed: bool = False
    finished: bool = False
    attempt: Attempt = field(factory=Attempt)

    def __aiter__(self) -> "ScriptedStream":
        return self

    async def __anext__(self) -> list[Chunk]:
        assert not self.closed
        self.racer.begun.set()
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event | EllipsisType):
                await happened(asyncio.Event() if step is ... else step)
            else:
                return self._heard(step if isinstance(step, list) else [step])
        if self.phase != "stream" and not self.finished:
            raise ProviderProtocolError("the answer ended without a token")
        raise StopAsyncIteration

    def cut_off(self) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True

    def _heard(self, chunks: list[Chunk]) -> list[Chunk]:
        if any(chunk.has_token for chunk in chunks):
            self.phase = "stream"
        ends = (choice.finish_reason for chunk in chunks for choice in chunk.choices)
        self.finished = self.finished or any(ends)
        return chunks


@define(eq=False)
class ScriptedRacer:
    """
    Plays *script* from its start each time that it is asked.

    *begun* is set as soon as anybody reads from it; *closed* is true while none of its
    streams is open.
    """

    id: str
    script: Sequence[Step] = ()
    model: str = "m"
    hurried: bool = False
    streams: list[ScriptedStream] = field(factory=list, init=False)
    begun: asyncio.Event = field(factory=asyncio.Event, init=False)

    def stream(self, request: ChatRequest) -> ScriptedStream:
        self.streams.append(ScriptedStream(self, iter(self.script)))
        return self.streams[-1]

    @property
    def started(self) -> bool:
        return self.begun.is_set()

    @property
    def closed(self) -> bool:
        return all(stream.closed for stream in self.streams)
