"""Instructions, counted by callgrind: what CPU time is too noisy to show.

One thing at a time, the upstream and the client in this process and in step with the
server, so that the same code does the same work each time.
"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, field

from .bench import Bench
from .contenders import RELAY, Contender, Field, relay, server
from .load import Target, ask_times, connect
from .tables import Row, Table
from .upstream import Book, listen
from .wire import MOST, Order

MISSING = "valgrind is missing: `apt-get install valgrind`"
# Start-up is not counted, which makes it five times as fast.
UNDER = (
    *("env", "PYTHONHASHSEED=0"),
    *("valgrind", "--tool=callgrind", "--instr-atstart=no"),
)
SUMMARY = re.compile(r"^summary: (\d+)", re.MULTILINE)
UNARY, BURST, LONG, ALONE = Order(4), Order(200), Order(1000), Order(MOST, "step")
UNITS = {
    "unary": "small unary request, one at a time",
    "burst": "event of 200 in one write",
    "native": "event more of a response that is passed on, in one write",
    "alone": "event alone",
}
# Seconds for one server, which is fifty times slower there.
PATIENCE = 600.0
# The interpreter rewrites code that has run a few times: not while it is counted.
WARM_UP = 60
Work = Callable[[int], Awaitable[None]]


@define(eq=False)
class Counter:
    """A server under callgrind, and its counts."""

    contender: Contender
    files: Path
    _dumps: int = field(default=0, init=False)

    async def per_unit(self, work: Work, units: int) -> float:
        """
        Return the instructions that one more unit of *work* takes.

        Two counts are taken of different numbers of units, and the difference divided,
        so that what happens once cancels out.
        """
        await work(WARM_UP)
        few = await self._count(work, units)
        many = await self._count(work, 3 * units)
        return (many - few) / (2 * units)

    async def _count(self, work: Work, units: int) -> int:
        await self.control("--zero")
        await work(units)
        await self.control("--dump")
        self._dumps += 1
        dump = self.files.with_name(f"{self.files.name}.{self._dumps}")
        found = SUMMARY.search(dump.read_text(encoding="utf-8"))
        assert found is not None
        return int(found[1])

    async def control(self, *order: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *("callgrind_control", *order, str(self.contender.pid)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        if b"OK." not in told:
            raise RuntimeError(f"callgrind_control {order}: {told.decode()}")


@asynccontextmanager
async def step_by_step(folder: Path) -> AsyncIterator[tuple[Field, Book]]:
    """Start the fake upstream in this process, servers to be run under callgrind."""
    book = Book()
    ports, servers = await listen(book, 1)
    under = (*UNDER, f"--callgrind-out-file={folder}/%p.callgrind")
    try:
        yield Field(ports, folder, under), book
    finally:
        for each in servers:
            each.close()


async def count(contender: Contender, where: Field, book: Book) -> dict[str, float]:
    """Return the instructions that each of UNITS takes."""
    counter = await counter_of(contender, where)
    connection = await connect(contender.target)
    target = contender.target
    unary = target.request(UNARY.model, stream=False)
    burst = target.request(BURST.model, stream=True)
    alone = target.request(ALONE.model, stream=True)

    def asking(request: bytes, words: int) -> Work:
        async def ask(times: int) -> None:
            for _ in range(times):
                await connection.ask(request, words)

        return ask

    async def step(times: int) -> None:
        for _ in range(times):
            arrived = asyncio.Event()
            connection.on_words = lambda _, arrived=arrived: arrived.set()
            book.step()
            await arrived.wait()

    found = {
        "unary": await counter.per_unit(asking(unary, UNARY.events), 50),
        "burst": await counter.per_unit(asking(burst, BURST.events), 6) / BURST.events,
        "native": await _per_native_event(counter, target, asking),
    }
    connection.ask(alone, ALONE.events)
    await book.asked_to_step.wait()
    book.asked_to_step.clear()
    found["alone"] = await counter.per_unit(step, 200)
    connection.close()
    return found


async def counter_of(contender: Contender, where: Field) -> Counter:
    """Return what counts for *contender*, from now on."""
    counter = Counter(contender, where.folder / f"{contender.pid}.callgrind")
    await counter.control("--instr=on")
    return counter


async def count_unary(contender: Contender, where: Field, requests: int) -> float:
    """Return the instructions of a small unary request: those of *requests* more."""
    counter = await counter_of(contender, where)
    request = contender.target.request(UNARY.model, stream=False)

    async def ask(times: int) -> None:
        await ask_times(times, contender.target, request, UNARY.events)

    return await counter.per_unit(ask, requests)


async def _per_native_event(
    counter: Counter, target: Target, asking: Callable[[bytes, int], Work]
) -> float:
    """
    Return what one more event of a response takes: less what its request does, of which
    there is more to say than of a chat's.
    """
    few, many = [
        await counter.per_unit(asking(target.native(order.model), order.events), 6)
        for order in (BURST, LONG)
    ]
    return (many - few) / (LONG.events - BURST.events)


async def counts(turns: int) -> dict[str, dict[str, list[float]]]:
    """Count *turns* times, each time with new processes; by unit, then by server."""
    found: dict[str, dict[str, list[float]]] = {unit: {} for unit in UNITS}
    with tempfile.TemporaryDirectory() as folder:
        async with step_by_step(Path(folder)) as (where, book):
            for _ in range(turns):
                for start in (relay, server):
                    async with asyncio.timeout(PATIENCE), start(where) as contender:
                        each = await count(contender, where, book)
                    for unit, value in each.items():
                        found[unit].setdefault(contender.name, []).append(value)
    return found


async def instructions(_: Bench) -> list[Table]:
    found = await counts(turns=2)
    rows = [
        Row(
            f"{what}: thousands",
            {
                name: [value / 1000 for value in values]
                for name, values in found[unit].items()
            },
        )
        for unit, what in UNITS.items()
    ]
    apart = max(
        max(values) / min(values) - 1
        for by_server in found.values()
        for values in by_server.values()
    )
    note = f"Two counts of the same code differ by {apart:.2%} at most."
    return [Table("Instructions", RELAY, rows, note)]


def problem() -> str:
    """Say what is missing to count, and how to get it; "" if nothing is."""
    return "" if shutil.which("valgrind") else MISSING
