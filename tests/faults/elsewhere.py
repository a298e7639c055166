"""
Faults that come from elsewhere than from a provider: what each comes to, and what it
makes a healthy client wait for, on one real server process.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import aiohttp
from attrs import frozen

from tests.rig.client import CHAT, hello
from tests.rig.procfs import queued, resident
from tests.rig.server_process import Server, running
from tests.rig.strangers import attacks
from tests.rig.upstream import HEAD, Step, delta, upstream

# Seconds, and KiB, that nobody else may cost a healthy client, and the server.
LONGEST = 0.25
MEMORY = 64 * 1024
# Seconds between two events of the upstream, and two probes.
BEAT = 0.02
KEY = "healthy"
KEYS = {"Authorization": f"Bearer {KEY}"}
CONFIG = f"""
[server]
header_timeout = 2.0
body_timeout = 2.0
[[auth.keys]]
name = "healthy"
sha256 = "{sha256(KEY.encode()).hexdigest()}"
"""


@frozen
class Trial:
    """
    One that was tried: what it came to, and meanwhile the longest *gap* between two
    events of a healthy stream, the longest *probe* of /healthz, in seconds, and by how
    many KiB the server has *grown*. Not counted is what the server, or the client, has
    waited for a CPU that other processes of the machine had.
    """

    name: str
    outcome: str
    gap: float
    probe: float
    grown: int

    @property
    def wrong(self) -> list[str]:
        """What should not be."""
        found = []
        if self.gap > LONGEST:
            found.append(f"{self.name}: a stream stood still for {self.gap:.2f} s")
        if self.probe > LONGEST:
            found.append(f"{self.name}: /healthz took {self.probe:.2f} s")
        if self.grown > MEMORY:
            found.append(f"{self.name}: the server grew by {self.grown} KiB")
        if any(f"{status} x" in self.outcome for status in (200, 500)):
            found.append(f"{self.name}: {self.outcome}")
        return found


@asynccontextmanager
async def attacked(folder: Path) -> AsyncIterator[Server]:
    """Start a server with a provider that talks without end."""
    beat: list[Step] = [HEAD]
    for _ in range(10_000):
        beat += [delta(content="on "), BEAT]
    async with upstream(beat) as talking:
        config = "\n".join([CONFIG, talking.table("One")])
        async with running(folder / "config.toml", config) as server:
            yield server


async def play(server: Server) -> list[Trial]:
    """Try everything, one after another."""
    return [await tried(server, name) for name in attacks()]


async def tried(server: Server, name: str) -> Trial:
    pid = server.process.pid
    async with aiohttp.ClientSession(headers=KEYS) as session:
        body = hello("One", stream=True)
        async with session.post(server.url + CHAT, json=body) as answer:
            await answer.content.readany()

            async def probe() -> None:
                async with session.get(f"{server.url}/healthz") as got:
                    await got.read()
                await asyncio.sleep(BEAT)

            before = resident(pid)
            peaks = [before]

            async def look() -> None:
                peaks.append(resident(pid))
                await asyncio.sleep(BEAT)

            async with (
                longest(answer.content.readany, pid) as gaps,
                longest(probe, pid) as probes,
                longest(look, pid),
            ):
                outcome = await _attack(server.url, name)
            answer.close()
    return Trial(name, outcome, max(gaps), max(probes), max(peaks) - before)


async def _attack(url: str, name: str) -> str:
    key = [each for pair in KEYS.items() for each in pair]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.rig.strangers", name, url, *key),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(120):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return told.decode()


@asynccontextmanager
async def longest(
    step: Callable[[], Awaitable[object]], pid: int
) -> AsyncIterator[list[float]]:
    """
    Do *step* again and again meanwhile; yield the seconds that each has taken, without
    those in which this process or that of *pid* was ready to run and had no CPU.
    """
    seen: list[float] = []

    def now() -> float:
        return perf_counter() - queued(pid) - queued(os.getpid())

    async def run() -> None:
        while True:
            began = now()
            await step()
            seen.append(now() - began)

    doing = asyncio.create_task(run())
    try:
        yield seen
    finally:
        doing.cancel()
        with suppress(asyncio.CancelledError):
            await doing
