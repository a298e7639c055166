"""
How soon a loser is hung up on, as its own socket sees it.

A sends headers and a role at once, and nothing more; B sends headers after 200 ms and
its first text 10 ms later. Both, and the clients, live in this process, on one clock.
Run it with `make bench`; it starts a real server on loopback, and ends it.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import aiohttp
import uvloop

from tests.process import running
from tests.upstream import DONE, END, HEAD, ROLE, delta

RACES = 1000
AT_ONCE = 4
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Field:
    """The two upstreams; times by the race that a request's `user` names."""

    def __init__(self) -> None:
        self.spoke: dict[str, float] = {}
        self.hung_up: dict[str, float] = {}

    async def eager(
        self, reader: asyncio.StreamReader, out: asyncio.StreamWriter
    ) -> None:
        if race := await _race(reader, out):
            out.write(HEAD + ROLE)
            await reader.read(1)
            self.hung_up[race] = perf_counter()
        out.close()

    async def steady(
        self, reader: asyncio.StreamReader, out: asyncio.StreamWriter
    ) -> None:
        if race := await _race(reader, out):
            await asyncio.sleep(0.2)
            out.write(HEAD)
            await asyncio.sleep(0.01)
            self.spoke[race] = perf_counter()
            out.write(delta(content="B") + delta("stop") + DONE + END)
            await reader.read(1)
        out.close()


async def _race(reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> str:
    """Read a request; return the race it belongs to, "" if it is none."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if head.startswith("get"):
        out.write(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"data":[]}')
        return ""
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return str(json.loads(await reader.readexactly(length))["user"])


async def main() -> None:
    field = Field()
    eager = await asyncio.start_server(field.eager, "127.0.0.1", 0)
    steady = await asyncio.start_server(field.steady, "127.0.0.1", 0)
    config = "\n".join(
        f'[providers.{name}]\nkind = "openai"\n'
        f'base_url = "http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"'
        for name, server in (("Eager", eager), ("Steady", steady))
    )
    told: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running(Path(folder) / "config.toml", config) as server,
            aiohttp.ClientSession() as session,
        ):
            numbers = iter(range(RACES))

            async def client() -> None:
                for number in numbers:
                    body = {
                        "model": "m",
                        "user": str(number),
                        "stream": True,
                        "provider": "Eager Steady",
                        "messages": [{"role": "user", "content": "hello"}],
                    }
                    url = f"{server.url}/v1/chat/completions"
                    async with session.post(url, json=body) as answer:
                        await answer.content.readany()
                        told[str(number)] = perf_counter()
                        assert answer.headers["X-Provider"] == "Steady"
                        await answer.read()

            await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    report("loser's connection closed", field.hung_up, field.spoke)
    report("first token at the client", told, field.spoke)


def report(what: str, ends: dict[str, float], starts: dict[str, float]) -> None:
    """Print a row of the table: milliseconds after the winner's first token."""
    after = [(ends[race] - starts[race]) * 1000 for race in starts]
    cuts = quantiles(after, n=100)
    row = (
        f"| {what} | {cuts[49]:.2f} | {cuts[89]:.2f} | {cuts[98]:.2f} | {len(after)} |"
    )
    sys.stdout.write(row + "\n")


if __name__ == "__main__":
    sys.stdout.write(
        "| ms after the winner's first token | p50 | p90 | p99 | races |\n"
        "|---|---|---|---|---|\n"
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
