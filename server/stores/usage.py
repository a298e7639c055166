"""The keeper of what was used: the one process that stores it, every few seconds."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import orjson
import structlog
from attrs import define, field

from server.record.channel import USAGE, Keeper
from server.record.usage import (
    NO_SUMS,
    TROUBLE,
    Ledger,
    Question,
    Sums,
    question_of,
    written,
)

from .usage_file import UsageFile

log = structlog.get_logger(__name__)

# Seconds between two transactions.
INTERVAL = 3.0
# How often the last one is tried when the server stops, and the seconds in between.
LAST_TRIES = 3
BETWEEN_LAST_TRIES = 0.5
T = TypeVar("T")


@define(eq=False)
class UsageKeeper:
    """
    Adds up what was used, and stores it. What can't be stored is kept, and tried again;
    *trouble* says why, and is "" where nothing waits for that.
    """

    _file: UsageFile
    _thread: ThreadPoolExecutor
    ledger: Ledger = field(factory=Ledger, init=False)
    trouble: str = field(default="", init=False)
    # What is taken to be stored is neither here nor there meanwhile.
    _moving: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    def hear(self, line: bytes) -> None:
        """Take in what a worker has counted."""
        place, counts = orjson.loads(line)
        self.ledger.add(tuple(place), counts)

    async def answer(self, question: bytes) -> bytes:
        """See SharedUsage."""
        if question == TROUBLE:
            return orjson.dumps(self.trouble)
        try:
            return written(await self.sums(question_of(question)))
        except (sqlite3.Error, OSError) as exc:
            self._note(str(exc))
            return NO_SUMS

    async def sums(self, question: Question) -> Sums:
        """
        Return what was used up to now, stored or not; raises sqlite3.Error or OSError.
        """
        summed = Ledger()
        async with self._moving:
            stored = await self._run(lambda: self._file.select(question))
            waiting = self.ledger.sums()
        for sums in (stored, waiting):
            for place, counts in sums.items():
                if (wanted := question.place(place)) is not None:
                    summed.add(wanted, counts)
        return summed.take()

    async def store(self) -> bool:
        """Store what is not stored yet; False: it can't be done now."""
        async with self._moving:
            taken = self.ledger.take()
            if not taken:
                return True
            try:
                await self._run(lambda: self._file.add(taken))
            except Exception as exc:  # noqa: BLE001 - whatever it is, nothing is lost
                self.ledger.put_back(taken)
                self._note(str(exc))
                return False
            self._note("")
            return True

    async def keep_storing(self, stop: asyncio.Event) -> None:
        """Store again and again, and the rest once this is to *stop*."""
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await stop.wait()
            await self.store()
        await self._finish()

    async def _finish(self) -> None:
        for _ in range(LAST_TRIES):
            if await self.store():
                return
            await asyncio.sleep(BETWEEN_LAST_TRIES)
        log.error("usage is lost", **_totals(self.ledger.sums()))

    def _note(self, trouble: str) -> None:
        if trouble and not self.trouble:
            log.error("usage can't be stored, and is kept", reason=trouble)
        elif self.trouble and not trouble:
            log.info("usage is stored again")
        self.trouble = trouble

    async def _run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work)


@asynccontextmanager
async def keep_usage(keeper: Keeper, path: str) -> AsyncIterator[UsageKeeper]:
    """
    Have *keeper* store what is used in *path* ("": in memory), and answer SharedUsage.
    """
    file = UsageFile(path)
    with ThreadPoolExecutor(1, "usage") as thread:
        mine = UsageKeeper(file, thread)
        keeper.listen(USAGE, mine.hear)
        keeper.answer(USAGE, mine.answer)
        stop = asyncio.Event()
        # It is never cancelled: what it holds then would be neither here nor there.
        storing = asyncio.create_task(mine.keep_storing(stop), name="usage")
        try:
            yield mine
        finally:
            stop.set()
            await storing
            await asyncio.get_running_loop().run_in_executor(thread, file.close)


def _totals(sums: Sums) -> dict[str, int]:
    """Return what an operator wants to know of what is lost."""
    return {
        "requests": sum(counts[0] for counts in sums.values()),
        "nanodollars": sum(counts[6] for counts in sums.values()),
    }
