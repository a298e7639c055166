"""Where connections to an upstream come from, and the heads of what they carry."""

import asyncio
import math
import re
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from attrs import define, field

# Spare connections that are being opened at a time, and the seconds that one may take.
MOST_OPENING = 8
SPARE_TIMEOUT = 10.0
# Seconds after the race: its own first token goes out before.
SPARE_AFTER = 0.02
FORBIDDEN = re.compile(r"[\r\n\0]")


class Origin(aiohttp.ClientRequest):
    """Where a connection goes: the request that a pool is asked with, each time."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        """What the pool knows its connections by; aiohttp makes it anew each time."""
        return super().connection_key


@define(eq=False)
class Line:
    """
    Where connections come from: *connector* makes them for *origin*.

    *stale*: the seconds within which a dead connection shows.
    """

    connector: aiohttp.BaseConnector
    origin: Origin
    stale: float
    _opening: set[asyncio.Task[None]] = field(factory=set, init=False)

    def connect(self, seconds: float, traces: list[Trace]) -> Awaitable[Connection]:
        """Take a connection from the pool, or make one within so many seconds."""
        return self.connector.connect(self.origin, traces, _within(seconds))

    def open_spare(self) -> None:
        """
        Have a connection ready in place of one that was hung up on.

        Otherwise, the loser of a race would start the next one with a handshake, while
        the winner's connection is still open: it would lose again for having lost.
        """
        if len(self._opening) < MOST_OPENING:
            task = asyncio.ensure_future(self._open_spare())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_spare(self) -> None:
        await asyncio.sleep(SPARE_AFTER)
        with suppress(aiohttp.ClientError, OSError):
            connection = await self.connect(SPARE_TIMEOUT, [])
            connection.release()


@lru_cache(maxsize=100)
def _within(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=seconds, ceil_threshold=math.inf)


def request_head(target: str, headers: Mapping[str, str]) -> bytes:
    """
    Return the head of a POST to *target*, up to the length of its body.

    Raises ValueError for what HTTP can't say.
    """
    if FORBIDDEN.search("".join((target, *headers, *headers.values()))):
        raise ValueError("a header has a line break in it")
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"POST {target} HTTP/1.1\r\n{lines}Content-Length: ".encode()
