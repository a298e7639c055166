"""The end of serving: what is open may finish for a while, and is cut off then."""

import asyncio
from types import TracebackType

from .errors import DeadlineExceeded, ServerStopping


class Drain:
    """Knows the open answers of this process; *draining* is true once it stops."""

    def __init__(self) -> None:
        self.draining = False
        self.cut_off = False
        self._open: set[asyncio.Timeout] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def scope(self, deadline: float | None = None) -> "Scope":
        """
        Return the context of one answer, which takes *deadline* seconds at most: it
        raises DeadlineExceeded then, and ServerStopping when it is cut off.
        """
        return Scope(self, deadline)

    def enter(self, timeout: asyncio.Timeout) -> None:
        if self.cut_off:
            raise ServerStopping("The server is stopping.")
        self._open.add(timeout)
        self._empty.clear()

    def leave(self, timeout: asyncio.Timeout) -> None:
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
        self.cut_off = True
        now = asyncio.get_running_loop().time()
        for timeout in self._open:
            timeout.reschedule(now)


class Scope:
    """One open answer."""

    def __init__(self, drain: Drain, deadline: float | None) -> None:
        self._drain = drain
        self._deadline = deadline
        self._timeout = asyncio.timeout(deadline)

    async def __aenter__(self) -> None:
        self._drain.enter(self._timeout)
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._drain.leave(self._timeout)
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as exc:
            if self._drain.cut_off:
                raise ServerStopping("The server is stopping.") from exc
            raise DeadlineExceeded(f"No answer within {self._deadline:g} s.") from exc
