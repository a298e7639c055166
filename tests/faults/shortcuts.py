"""Whole answers that one quick provider is asked for in one piece: odd ones, too."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from attrs import evolve, frozen

from server.racing.times import ENOUGH
from tests.rig.server_process import running
from tests.rig.upstream import Upstream, answers, upstream

from .odd_matrix import HANG, OddCell, OddFinding, ask, table
from .oddities import Oddity, oddities
from .surfaces import BODIES, CHAT, Asked

QUICK = {
    "openai": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]},
    "responses": {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "output": [
            {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
        ],
        "incomplete_details": None,
        "usage": None,
    },
}


def shortened() -> list[Oddity]:
    """Return the oddities that an answer in one piece can have."""
    return [each for each in oddities() if each.is_whole]


@frozen
class Shortcut:
    """A provider that has been quick, and is odd from then on."""

    name: str
    oddity: Oddity
    upstream: Upstream

    async def play(self, me: aiohttp.ClientSession, path: str) -> OddFinding:
        """Let it be quick until it is asked for the whole, and be odd then."""
        chat = Asked(CHAT, stream=False)
        quick = answers(200, QUICK[self.oddity.kind])
        self.upstream.scripts = [quick] * ENOUGH
        for _ in range(ENOUGH):
            async with me.post(CHAT, json=chat.request(self.name)) as answer:
                assert answer.status == 200
        cell = OddCell(self.name, self.oddity, Asked(path, stream=False))
        before = len(self.upstream.requests)
        found = await ask(me, cell)
        if self.upstream.requests[before].json["stream"]:
            problem = f"{self.oddity.name}, {path}: asked for as a stream"
            found = evolve(found, problems=[*found.problems, problem])
        return found


async def play_shortcuts(folder: Path) -> list[OddFinding]:
    """Play them all on one server, each surface with providers of its own."""
    free = asyncio.Semaphore(16)

    async def one(me: aiohttp.ClientSession, each: Shortcut, path: str) -> OddFinding:
        async with free, asyncio.timeout(HANG):
            return await each.play(me, path)

    odd = [each for each in shortened() for _ in BODIES]
    async with _opened(folder, odd) as (url, made), aiohttp.ClientSession(url) as me:
        paths = [*BODIES] * (len(odd) // len(BODIES))
        return await asyncio.gather(
            *(one(me, each, path) for each, path in zip(made, paths, strict=True))
        )


@asynccontextmanager
async def _opened(
    folder: Path, odd: Sequence[Oddity]
) -> AsyncIterator[tuple[str, list[Shortcut]]]:
    async with AsyncExitStack() as stack:
        made, tables = [], []
        for number, each in enumerate(odd):
            opened = await stack.enter_async_context(upstream(each.steps))
            made.append(Shortcut(f"Quick{number}", each, opened))
            tables.append(table(f"Quick{number}", each, opened.port))
        config = "\n".join(tables)
        path = folder / "config.toml"
        server = await stack.enter_async_context(running(path, config))
        yield server.url, made
