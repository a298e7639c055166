"""The matrix: each fault in each shape of race, on one real server process."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from time import perf_counter

import aiohttp
from attrs import define, field

from tests.rig.client import CHAT, Answer, client
from tests.rig.resources import SETTLING, Footprint, calm, settled
from tests.rig.server_process import Server, running

from .judging import SECRET, SHAPES, Cell, Finding, Shape, judge
from .scripts import HEALTHY
from .table import Fault
from .upstreams import Upstreams, upstreams

# So many providers and connections at a time are no trouble anywhere.
BATCH = 50
AT_ONCE = 32
# Seconds: nothing that is right takes so long.
HANG = 60.0
# How often a request may be sent to one provider, where connections are dead.
MOST = 3
# What aiohttp makes use of before brotli, and comes to the tests with other packages.
NOT_OURS = ("brotlicffi",)


@define
class Matrix:
    """Plays faults batch by batch, and looks at what each batch leaves behind."""

    upstreams: Upstreams
    server: Server
    findings: list[Finding] = field(factory=list)
    left: list[str] = field(factory=list)

    async def play(self, faults: Sequence[Fault]) -> None:
        await self._configure(())
        before = await self._at_rest()
        for start in range(0, len(faults), BATCH):
            batch = faults[start : start + BATCH]
            cells = [
                Cell(number, fault, shape, stream)
                for number, fault in enumerate(batch, start)
                for shape, stream in product(shapes(fault), (True, False))
            ]
            await self._play(cells)
            try:
                await self._settle(before)
            except (AssertionError, TimeoutError) as exc:
                self.left.append(f"{exc!r} after {batch[0].name} ... {batch[-1].name}")
        if open_streams := await self._open_streams():
            self.left.append(f"{open_streams} streams that are counted as open")
        self.left += [f"logged: {line}" for line in self.server.log if SECRET in line]
        asked = self.upstreams.asked().items()
        self.left += [f"{n} requests to {name}" for name, n in asked if n > MOST]

    async def _open_streams(self) -> int:
        """Return how many the server's metrics say are open."""
        async with client(self.server.url) as me:
            text = (await me.get("/metrics")).body.decode()
        found = re.search(r"^interference_streams_open ([\d.]+)$", text, re.MULTILINE)
        assert found, text
        return int(float(found[1]))

    async def _play(self, cells: Sequence[Cell]) -> None:
        await self._configure(cells)
        free = asyncio.Semaphore(AT_ONCE)
        async with aiohttp.ClientSession(
            # An answer that breaks closes its connection, which may be in use again.
            connector=aiohttp.TCPConnector(limit=0, force_close=True)
        ) as session:

            async def one(cell: Cell) -> Finding:
                async with free:
                    return await self._ask(session, cell)

            self.findings += await asyncio.gather(*(one(cell) for cell in cells))

    async def _ask(self, session: aiohttp.ClientSession, cell: Cell) -> Finding:
        """Put a cell's request, tell of its answer as it comes, and judge it."""
        started = perf_counter()
        body = bytearray()
        try:
            async with (
                asyncio.timeout(HANG),
                session.post(self.server.url + CHAT, json=cell.request) as came,
            ):
                while piece := await came.content.readany():
                    body += piece
                    self.upstreams.tell(cell, body)
        except (TimeoutError, aiohttp.ClientError) as exc:
            return Finding(cell, "no answer", [f"{cell.name}: {exc!r}"])
        answer = Answer(came.status, came.headers, bytes(body))
        return judge(cell, answer, perf_counter() - started)

    async def _configure(self, cells: Sequence[Cell]) -> None:
        """Serve with the providers of *cells*."""
        self.upstreams.enter(cells)
        since = len(self.server.log)
        self.server.reload(self.upstreams.toml())
        # Lists are asked for only once a configuration is in force.
        await self.server.logged(f"models? list.*provider={HEALTHY}", since)
        async with asyncio.timeout(SETTLING):
            await self.upstreams.hang_up()

    async def _at_rest(self) -> Footprint:
        """Return what the server holds, when two looks at it agree."""
        first = await calm(self.server)
        while (second := await calm(self.server)) != first:
            first = second
        return first

    async def _settle(self, before: Footprint) -> None:
        """See that the server comes to rest; fail if anything is left over."""
        await self._configure(())
        await settled(self.server, before)


def shapes(fault: Fault) -> Sequence[Shape]:
    """Return the shapes that *fault* is played in: not all where there are many."""
    return SHAPES if fault.status is None else SHAPES[:-1]


@asynccontextmanager
async def matrix(folder: Path) -> AsyncIterator[Matrix]:
    """Start a server, with its configuration in *folder*, and its upstreams."""
    for name in NOT_OURS:
        (folder / f"{name}.py").write_text("raise ImportError")
    async with (
        upstreams() as opened,
        running(
            folder / "config.toml",
            opened.toml(),
            environ={"PYTHONPATH": str(folder)},
            module="tests.rig.leak_watch",
        ) as server,
    ):
        yield Matrix(opened, server)
