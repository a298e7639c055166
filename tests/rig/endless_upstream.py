"""An upstream that counts as fast as it can, until somebody has had enough."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from attrs import define, field

from .upstream import DONE, END, HEAD, Script, Upstream, chunked, delta

# Numbers in a write, and seconds after which a write that is not over is stuck.
BATCH = 64
STUCK = 0.5


@define(eq=False)
class Endless(Upstream):
    """
    Says `0 1 2 3 ...` to each POST, each number padded to *width*, in an event of its
    own, and ends well once *enough* is set.

    *stuck* gets how far an answer had come when nobody took any more of it.
    """

    width: int = 1000
    enough: asyncio.Event = field(factory=asyncio.Event)
    stuck: asyncio.Queue[int] = field(factory=asyncio.Queue)

    async def _play(
        self,
        script: Script,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        if script is not self.script:
            return await super()._play(script, reader, writer)
        try:
            await self._count(writer)
        except ConnectionError:
            self.hung_up.put_nowait(perf_counter())
            return False
        return True

    async def _count(self, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        said = 0
        while not self.enough.is_set():
            batch = range(said, said + BATCH)
            writer.write(chunked(b"".join(map(self._event, batch))))
            said = batch.stop
            draining = asyncio.ensure_future(writer.drain())
            done, _ = await asyncio.wait({draining}, timeout=STUCK)
            if not done:
                self.stuck.put_nowait(said)
            await draining
            await asyncio.sleep(0)
        writer.write(delta("stop") + DONE + END)
        await writer.drain()

    def _event(self, number: int) -> bytes:
        # What else a chunk has is left out: it is about how many fit into a buffer.
        content = f"{number} ".rjust(self.width)
        choice = b'{"choices":[{"index":0,"delta":{"content":"%s"}}]}'
        return b"data: " + choice % content.encode() + b"\n\n"


@asynccontextmanager
async def endless() -> AsyncIterator[Endless]:
    """Start one on a free port."""
    made = Endless()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        try:
            yield made
        finally:
            await made.stop()
