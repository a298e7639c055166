"""The end of serving: open answers may finish for a while, and are then cut off."""

import asyncio
from types import TracebackType

from attrs import define, field

from server.errors import (
    DeadlineExceeded,
    GatewayError,
    ServerStopping,
    TotalTimeout,
)

# Seconds by which a request's time-out is later than its calls', whose
# errors say more.
LAST_WORD = 0.25


class Drain:
    """Knows the open answers of this process; *draining* is true once it stops."""

    def __init__(self) -> None:
        self.draining = False
        self._cut_off = False
        self._open: set[Scope] = set()
        # There once somebody waits until no answer is open.
        self._empty: asyncio.Event | None = None

    def scope(self, total: float, deadline: float | None = None) -> "Scope":
        """
        Return the context of one answer. It raises DeadlineExceeded after the client's
        own *deadline*, TotalTimeout after *total*, both in seconds, and ServerStopping
        when it is cut off.
        """
        return Scope(self, total + LAST_WORD, deadline)

    def enter(self, scope: "Scope") -> None:
        if self._cut_off:
            raise _stopping()
        self._open.add(scope)

    def leave(self, scope: "Scope") -> None:
        self._open.discard(scope)
        if self._empty is not None and not self._open:
            self._empty.set()

    async def finish(self, patience: float) -> None:
        """Wait until no answer is open; after *patience* seconds, cut off the rest."""
        self.draining = True
        if not self._open:
            return
        self._empty = asyncio.Event()
        try:
            async with asyncio.timeout(patience):
                await self._empty.wait()
        except TimeoutError:
            self.cut()

    def cut(self) -> None:
        """Cut off every open answer, and every one that would still begin."""
        self._cut_off = True
        for scope in self._open:
            scope.end(_stopping())


@define(eq=False)
class Scope:
    """
    One open answer: as `asyncio.timeout`, but without its awaits, which would cost
    every request, and with errors that say why it ends.
    """

    _drain: Drain
    _total: float
    _deadline: float | None
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _error: GatewayError | None = field(default=None, init=False)
    _task: asyncio.Task[object] = field(init=False)
    _cancelling: int = field(init=False)

    def __enter__(self) -> None:
        self._drain.enter(self)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an answer is made in a task")
        self._task, self._cancelling = task, task.cancelling()
        loop = asyncio.get_running_loop()
        within = self._total if self._deadline is None else self._deadline
        self._timer = loop.call_later(min(within, self._total), self._expire)

    def _expire(self) -> None:
        if self._deadline is not None and self._deadline <= self._total:
            self.end(DeadlineExceeded(f"No answer within {self._deadline:g} s."))
        else:
            self.end(TotalTimeout("All tries together were not done in time."))

    def end(self, error: GatewayError) -> None:
        """Cancel the answer's task, to raise *error* in place of the cancellation."""
        if self._error is None:
            self._error = error
            self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._drain.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._error is None:
            return
        # If somebody else has cancelled the task, too, it stays cancelled.
        ours = self._task.uncancel() <= self._cancelling
        if ours and kind is asyncio.CancelledError:
            raise self._let_go(self._error) from error

    def _let_go(self, error: GatewayError) -> GatewayError:
        """Drop the references to the task and the error, which form a cycle."""
        del self._task, self._error
        return error


def _stopping() -> ServerStopping:
    return ServerStopping("The server is stopping.")
