"""The end of serving: what is open may finish for a while, and is cut off then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import DeadlineExceeded, ServerStopping


class Drain:
    """Knows the open answers of this process; *draining* is true once it stops."""

    def __init__(self) -> None:
        self.draining = False
        self._cut = False
        self._open: set[asyncio.Timeout] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def scope(self, deadline: float | None = None) -> AsyncIterator[None]:
        """
        Run one answer, for *deadline* seconds at most: it raises DeadlineExceeded
        then, and ServerStopping when it is cut off.
        """
        timeout = asyncio.timeout(deadline)
        self._open.add(timeout)
        self._empty.clear()
        try:
            async with timeout:
                if self._cut:
                    raise ServerStopping("The server is stopping.")
                yield
        except TimeoutError as exc:
            if self._cut:
                raise ServerStopping("The server is stopping.") from exc
            raise DeadlineExceeded(f"No answer within {deadline:g} s.") from exc
        finally:
            self._open.discard(timeout)
            if not self._open:
                self._empty.set()

    async def finish(self, patience: float) -> None:
        """Wait until no answer is open; cut off those that are after *patience* s."""
        self.draining = True
        try:
            async with asyncio.timeout(patience):
                await self._empty.wait()
        except TimeoutError:
            self.cut()

    def cut(self) -> None:
        """Cut off every open answer, and every one that would still begin."""
        self._cut = True
        now = asyncio.get_running_loop().time()
        for timeout in self._open:
            timeout.reschedule(now)
