"""Tasks that keep lists, keys and prices fresh while the server runs."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from attrs import define, field

log = structlog.get_logger(__name__)

# Seconds before a background task that an unforeseen error has ended starts again.
AFTER_ERROR = 60.0
Work = Callable[[], Awaitable[None]]


@define(eq=False)
class Background:
    """Tasks that go on until they are stopped, also after unforeseen errors."""

    _tasks: list[asyncio.Task[None]] = field(factory=list, init=False)

    def start(self, name: str, work: Work) -> None:
        """Begin *work*, which ends by itself or goes on for ever."""
        self._tasks.append(asyncio.create_task(_kept_up(name, work), name=name))

    def stop(self) -> list[asyncio.Task[None]]:
        """Cancel all; return those that are ending."""
        stopped, self._tasks = self._tasks, []
        for task in stopped:
            task.cancel()
        return stopped

    async def aclose(self) -> None:
        """Cancel all, and wait for their ends."""
        if stopped := self.stop():
            await asyncio.wait(stopped)


async def _kept_up(name: str, work: Work) -> None:
    while True:
        try:
            await work()
        except Exception as exc:
            log.exception("a background task failed", task=name, reason=repr(exc))
            await asyncio.sleep(AFTER_ERROR)
        else:
            return
