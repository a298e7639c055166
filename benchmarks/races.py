"""Races as the upstreams' own sockets see them, and what a policy costs and gains."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import quantiles
from time import perf_counter

from attrs import define, field

from .bench import Bench
from .contenders import SERVER, Setup, server
from .figures import figures
from .load import Answer, Connection, Target, connect
from .tables import Row, Table
from .wire import Order

CUT_RACES, RACES_PER_SECOND = 1000, 100
SKEW_RACES = 200
BLOCKS, BLOCK, AT_ONCE = 5, 250, 8
SINGLE = "single provider"
HEDGE = 'strategy = "hedge"\nhedge_delay = "p90"\nhedge_budget = 0.1'
# Each policy's providers, and its settings.
POLICIES = {
    SINGLE: ("P1", ""),
    "race of 2": ("P1 P2", ""),
    "race of 3": ("P1 P2 P3", ""),
    "hedge at p90, budget 0.1": ("P1 P2", HEDGE),
}


async def cutoff(bench: Bench) -> list[Table]:
    """
    Race four, a hundred times a second.

    One says its first word after 20 ms; the others have sent a role, and nothing more.
    """
    silent = {"cut": Order(0, "never").model}
    names = [{"cut": Order(4, "0", "20").model}, silent, silent, silent]
    async with server(bench.upstream, Setup(names)) as contender:
        answers = await _race_at_a_rate(contender.target)
        await asyncio.sleep(0.5)
        _, calls = await bench.upstream.seen()
    spoke = {call.race: call.spoke for call in calls if call.spoke is not None}
    losers = [call for call in calls if call.spoke is None]
    cut = [(c.hung_up - spoke[c.race]) * 1000 for c in losers if c.hung_up is not None]
    assert len(cut) == len(losers), "not every loser was hung up on"
    told = [(answer.first - spoke[race]) * 1000 for race, answer in answers.items()]
    return figures(
        *_rows("loser's connection closed after the winner's first token", cut),
        *_rows("first token at the client after the winner's", told),
    )


async def skew(bench: Bench) -> list[Table]:
    """Race eight, one race at a time; look when each was asked, if none won by then."""
    names = [{"skew": Order(4, "0", "40").model}] * 8
    arrived: dict[int, list[float]] = defaultdict(list)
    async with server(bench.upstream, Setup(names)) as contender:
        pool = Pool(contender.target)
        for number in range(SKEW_RACES):
            await pool.race(number, "skew", "P1 P2 P3 P4 P5 P6 P7 P8", 4)
        _, calls = await bench.upstream.seen()
    for call in calls:
        arrived[call.race].append(call.arrived)
    whole = [times for times in arrived.values() if len(times) == len(names)]
    assert len(whole) > SKEW_RACES / 2, "races were over before all had been asked"
    apart = [(max(times) - min(times)) * 1000 for times in whole]
    return figures(*_rows("first to last of eight racers' requests", apart))


async def policies(bench: Bench) -> list[Table]:
    """Take blocks of requests in turn; the same request meets the same latencies."""
    times: dict[str, list[float]] = {name: [] for name in POLICIES}
    calls: dict[str, list[float]] = {name: [0.0] for name in POLICIES}
    pools = {}
    for name, (_, settings) in POLICIES.items():
        names = [{"tail": Order(4, "0", "tail").model}] * 3
        start = server(bench.upstream, Setup(names, settings))
        pools[name] = Pool((await bench.stack.enter_async_context(start)).target)
    for block in range(BLOCKS + 1):
        for name, (providers, _) in POLICIES.items():
            await bench.upstream.seen()
            numbers = range(block * BLOCK, (block + 1) * BLOCK)
            taken = await _in_turn(pools[name], numbers, providers)
            made, _ = await bench.upstream.seen()
            if block:  # the first one teaches hedges when to start
                times[name] += taken
                calls[name][0] += made / (BLOCKS * BLOCK)
    rows = [
        Row(f"time to first token, p{percent}: ms", _quantile(times, percent))
        for percent in (50, 90, 99)
    ]
    note = (
        "Log-normal times to first token, median 40 ms; 3% of them are 4 to 12 times"
        f" as long. {BLOCKS * BLOCK:,} requests each."
    )
    rows.append(Row("upstream calls a request", calls))
    return [Table("Policies on a heavy-tailed upstream", SINGLE, rows, note)]


@define(eq=False)
class Pool:
    """Connections to one server, opened as they are needed."""

    target: Target
    _idle: list[Connection] = field(factory=list, init=False)

    async def race(self, number: int, model: str, providers: str, words: int) -> Answer:
        """Ask for one race; the upstream knows it by its number."""
        connection = self._idle.pop() if self._idle else await connect(self.target)
        request = self.target.request(
            model, stream=True, user=f"race-{number}", provider=providers
        )
        answer = await connection.ask(request, words)
        self._idle.append(connection)
        return answer


async def _race_at_a_rate(target: Target) -> dict[int, Answer]:
    pool = Pool(target)
    tasks: dict[int, asyncio.Task[Answer]] = {}
    started = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(CUT_RACES):
            due = started + number / RACES_PER_SECOND
            await asyncio.sleep(max(due - perf_counter(), 0))
            tasks[number] = group.create_task(
                pool.race(number, "cut", "P1 P2 P3 P4", 4)
            )
    return {number: task.result() for number, task in tasks.items()}


async def _in_turn(pool: Pool, numbers: Sequence[int], providers: str) -> list[float]:
    """Ask one race after another, AT_ONCE at a time; return the ms to first tokens."""
    left = iter(numbers)
    times: list[float] = []

    async def some() -> None:
        for number in left:
            answer = await pool.race(number, "tail", providers, 4)
            times.append(answer.ttft * 1000)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())
    return times


def _rows(what: str, milliseconds: list[float]) -> Iterable[Row]:
    cuts = quantiles(milliseconds, n=100)
    for percent in (50, 99):
        yield Row(f"{what}, p{percent}: ms", {SERVER: [cuts[percent - 1]]})


def _quantile(times: Mapping[str, list[float]], percent: int) -> dict[str, list[float]]:
    return {name: [quantiles(ms, n=100)[percent - 1]] for name, ms in times.items()}
