"""What a second worker brings: requests, and open streams."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from .bench import Bench, compared
from .contenders import Contender, Setup, server
from .figures import SECONDS, SMALL
from .load import ask_for, open_streams
from .processes import cpu_seconds_each, idle, rss_kib
from .tables import Row, Table
from .wire import Order

ONE, TWO = "1 worker", "2 workers"
AT_ONCE = 64
STREAMS = 2000
# Open while they are looked at, with a word every two seconds.
IDLE = Order(100, "2000")
LOOK = 7.0  # s


async def workers(bench: Bench) -> list[Table]:
    async with AsyncExitStack() as stack:
        measures: dict[str, Callable[[], Awaitable[float]]] = {}
        for count, name in ((1, ONE), (2, TWO)):
            setup = Setup(server=f"workers = {count}", name=name)
            contender = await stack.enter_async_context(server(bench.upstream, setup))
            measures[name] = partial(_rate, contender, count)
        rates = await compared(measures)
    label = "small unary requests that its cores have time for: a second"
    rows = [Row(label, rates)]
    memory = {}
    for count, name in ((1, ONE), (2, TWO)):
        setup = Setup(server=f"workers = {count}", name=name)
        async with server(bench.upstream, setup) as contender:
            memory[name] = [await _kib_a_stream(bench, contender, count * STREAMS)]
    label = f"open stream of {STREAMS:,} a worker, none dropped: KiB"
    return [Table("Workers", ONE, [*rows, Row(label, memory)])]


async def _rate(contender: Contender, cores: int) -> float:
    """
    Return how many requests a second *contender* could answer with *cores* of its own.

    The busiest of its processes bounds that, and so does the time of all of them, their
    parent's included. What the upstream and the client take is not in it.
    """
    assert contender.pid is not None
    request = contender.target.request(SMALL.model, stream=False)
    before = cpu_seconds_each(contender.pid)
    target = contender.target
    answers = await ask_for(SECONDS, target, request, SMALL.events, AT_ONCE)
    after = cpu_seconds_each(contender.pid)
    spent = [seconds - before[pid] for pid, seconds in after.items()]
    return len(answers) / max(*spent, sum(spent) / cores)


async def _kib_a_stream(bench: Bench, contender: Contender, streams: int) -> float:
    """
    Return by how much memory grows with each open stream. Raises RuntimeError if one
    of them ends, or is passed over.
    """
    assert contender.pid is not None
    await idle(contender.pid)
    before = rss_kib(contender.pid)
    request = contender.target.request(IDLE.model, stream=True)
    opened = await open_streams(contender.target, request, streams)
    await bench.upstream.go()
    await asyncio.sleep(LOOK)
    grown = rss_kib(contender.pid) - before
    dropped = sum(each.closed or each.answer.seen < 3 for each in opened)  # noqa: PLR2004
    for connection in opened:
        connection.close()
    if dropped:
        raise RuntimeError(f"{dropped} of {streams} streams are no longer served")
    return grown / streams
