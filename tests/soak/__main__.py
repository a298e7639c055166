"""
Thousands of races with random troubles and clients that leave: no answer may be wrong,
no error unexplained, and the server must end as it began.

`make soak SECONDS=1800` runs it on a real server process. What happens in each race is
drawn from a seed; when it meets what happens in others is not.
"""

import argparse
import asyncio
import random
import re
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path

import aiohttp
import uvloop
from attrs import define, field

from tests.rig.client import CHAT
from tests.rig.resources import Footprint, calm, footprint, settled
from tests.rig.server_process import Server, running

from .judge import begun, judged, rested
from .plan import PROVIDERS, REFUSING, Plan, drawn
from .troubled import Troubled, troubled

CLIENTS = 16
CONFIG = """
[server]
header_hold = 0.5
ping_interval = 0.3

[race]
connect_timeout = 4.0
first_token_timeout = 4.0
idle_timeout = 4.0
"""
# Seconds after which a client that has no whole answer was forgotten.
PATIENCE = 30.0
# Seconds after which the server is left alone for a moment, and looked at; first when
# it has seen everything once: after a part of the time, or two rounds.
ROUND = 60.0
WARM_UP = 0.3
# Bytes, and objects, by which the server may grow with each race between two moments in
# which it is left alone, after it has seen everything; and what that can't be told
# from: tables that have grown, and chunks that the C library keeps for its threads.
BYTES, OBJECTS = 512, 0.5
NOISE, FEW = 256 * 1024, 3000
# Races, times of each provider, and choices of racers that it remembers: few, so that
# all of them are there soon.
REMEMBERED = 20
SHOWN = 20
# The lines of a log in which nothing has gone wrong.
WELL_KNOWN = re.compile(r"alive |\d\d:\d\d:\d\d\.\d{3} (debug|info|warning) ")


@define(eq=False)
class Soak:
    """What has happened so far; *footprints* are those of the server, left alone."""

    server: Server
    upstream: Troubled
    seed: int
    outcomes: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)
    footprints: list[Footprint] = field(factory=list)
    _numbers: Iterator[int] = field(factory=count)

    async def run(self, seconds: float) -> None:
        """Race for so long, and look at the server now and then."""
        try:
            warm_up = min(seconds * WARM_UP, 2 * ROUND)
            await self._race_for(warm_up)
            self._look(await calm(self.server))
            before = self.outcomes.total()
            left = seconds - warm_up
            while left > 0:
                await self._race_for(min(left, ROUND))
                left -= ROUND
                self._look(await settled(self.server, self.footprints[0]))
        except AssertionError as exc:
            self._blame(str(exc))
            self.footprints.append(await footprint(self.server))
        else:
            races = self.outcomes.total() - before
            first, *_, last = self.footprints
            self._check_memory(first, last, races)

    def _look(self, now: Footprint) -> None:
        self.footprints.append(now)
        told = f"{self.outcomes.total()} races, {now.rss / 1024:.1f} MiB"
        sys.stderr.write(f"{told}, {len(self.wrong)} wrong\n")

    def _check_memory(self, first: Footprint, last: Footprint, races: int) -> None:
        grown = last.allocated - first.allocated
        if grown > races * BYTES + NOISE:
            self._blame(f"the server has grown by {grown / races:.0f} bytes a race")
        grown = last.tracked - first.tracked
        if grown > races * OBJECTS + FEW:
            self._blame(f"the server has {grown / races:.1f} more objects a race")

    def _blame(self, what: str) -> None:
        self.wrong.append(what)
        sys.stderr.write(f"{what}\n")

    async def _race_for(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds

        async def client() -> None:
            while loop.time() < end:
                async with aiohttp.ClientSession() as session:
                    while loop.time() < end and await self._race(session):
                        pass

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        self.upstream.hang_up()
        self._read_log()

    async def _race(self, session: aiohttp.ClientSession) -> bool:
        """Race once; return whether the client's connection may be used again."""
        plan = drawn(self.seed, next(self._numbers))
        try:
            async with asyncio.timeout(PATIENCE):
                became = await _client(self.server.url, plan, session)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is to be shown
            became = "wrong"
            self._blame(f"{type(exc).__name__}: {exc}; {plan}")
        self.outcomes[became] += 1
        # A stream that ends with an error ends its connection.
        return became.startswith("won")

    def _read_log(self) -> None:
        """Look for what should not be in the server's log, and forget the rest."""
        for line in self.server.log:
            if not WELL_KNOWN.match(line):
                self._blame(f"in the log: {line}")
        self.server.log.clear()


async def _client(url: str, plan: Plan, session: aiohttp.ClientSession) -> str:
    """Be the client of a race; return what became of it."""
    headers = {"X-Request-ID": plan.race}
    leaving = asyncio.timeout(plan.seconds)
    try:
        async with (
            leaving,
            session.post(url + CHAT, json=plan.body(), headers=headers) as answer,
        ):
            if plan.frames is not None and answer.ok:
                begun(plan, await _some(answer, plan.frames))
                answer.close()
                return "client left"
            body = await answer.read()
    except TimeoutError:
        if not leaving.expired():
            raise
        return "client left"
    became, missing = judged(plan, answer.status, answer.headers, body)
    if missing:
        async with session.get(f"{url}/v1/races/{plan.race}") as story:
            became = rested(missing, await story.json())
    return became


async def _some(answer: aiohttp.ClientResponse, frames: int) -> bytes:
    """Read so many frames of a stream, or all if there are fewer."""
    body = b""
    while body.count(b"\n\n") < frames and (more := await answer.content.readany()):
        body += more
    return body


@asynccontextmanager
async def prepared(seed: int, folder: Path, leak: int = 0) -> AsyncIterator[Soak]:
    """Start the upstreams and the server, which loses *leak* bytes a race."""
    environ = {"PYTHONMALLOC": "malloc", "REMEMBERED": str(REMEMBERED)}
    if leak:
        environ["LEAK"] = str(leak)
    async with troubled() as upstream:
        with closing(socket.socket()) as closed:
            closed.bind(("127.0.0.1", 0))  # and nobody listens
            refusing = Troubled(closed.getsockname()[1])
            tables = [*map(upstream.table, PROVIDERS), *map(refusing.table, REFUSING)]
            config = "\n".join([CONFIG, *tables])
            path = folder / "config.toml"
            async with running(
                path, config, module="tests.rig.leak_watch", environ=environ
            ) as server:
                yield Soak(server, upstream, seed)


def report(soak: Soak) -> str:
    """Return what happened, as a table, and what should not have."""
    first, last = soak.footprints[0], soak.footprints[-1]
    rows: list[tuple[str, object, object]] = [
        ("races", "", soak.outcomes.total()),
        *((f"- {what}", "", times) for what, times in sorted(soak.outcomes.items())),
        ("resident memory, MiB", f"{first.rss / 1024:.1f}", f"{last.rss / 1024:.1f}"),
        ("allocated, KiB", first.allocated // 1024, last.allocated // 1024),
        ("all objects", first.tracked, last.tracked),
        ("tasks", first.tasks.total(), last.tasks.total()),
        ("descriptors", first.descriptors.total(), last.descriptors.total()),
        ("objects of requests", first.objects.total(), last.objects.total()),
    ]
    return "\n".join(
        [
            f"| seed {soak.seed} | before | after |",
            "|---|---|---|",
            *(f"| {what} | {before} | {after} |" for what, before, after in rows),
            *soak.wrong[:SHOWN],
            "",
        ]
    )


async def main(seconds: float, seed: int, leak: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        async with prepared(seed, Path(folder), leak) as soak:
            await soak.run(seconds)
    sys.stdout.write(report(soak))
    return not soak.wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Race for a while, and look for harm.")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--leak", type=int, default=0, help="Bytes a race to lose, to see it told."
    )
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        good = runner.run(main(options.seconds, options.seed, options.leak))
    sys.exit(0 if good else 1)
