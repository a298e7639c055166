"""What a request, an event, an open stream and a start cost: the main table's rows."""

import asyncio
from statistics import median

from .bench import TURNS, Bench, compared_all
from .contenders import NGINX, RELAY, SERVER, Contender, Field
from .load import ask_for, ask_times, connect, open_streams
from .processes import cpu_seconds, idle, rss_kib
from .tables import Row, Table
from .wire import Order

SECONDS = 0.7
SMALL = Order(4)
BURST = Order(200, "each")
# Longer than it is looked at, but not for ever: not everyone hangs up on the upstream
# when the client is gone.
ALONE = Order(60, "20")
IDLE = Order(2, "60000")
IDLE_STREAMS = 1000


def figures(*rows: Row) -> list[Table]:
    """Return *rows* of the main table."""
    return [Table("Figures", RELAY, list(rows), columns=(NGINX, RELAY, SERVER))]


async def cpu_per_answer(
    contender: Contender,
    request: bytes,
    words: int,
    at_once: int,
    seconds: float = SECONDS,
) -> float:
    """Return the CPU microseconds that an answer costs its gateway's process tree."""
    assert contender.pid is not None
    before = cpu_seconds(contender.pid)
    answers = await ask_for(seconds, contender.target, request, words, at_once)
    return (cpu_seconds(contender.pid) - before) / len(answers) * 1e6


async def cpu_per_event(
    upstream: Field,
    contender: Contender,
    order: Order,
    streams: int,
    seconds: float = SECONDS,
) -> float:
    """Return the CPU microseconds of an event, while *streams* are open."""
    assert contender.pid is not None
    request = contender.target.request(order.model, stream=True)
    most = min(streams, contender.streams)
    opened = await open_streams(contender.target, request, most)
    await upstream.go()
    await asyncio.sleep(0.2)
    before, seen = cpu_seconds(contender.pid), sum(c.answer.seen for c in opened)
    await asyncio.sleep(seconds)
    spent = cpu_seconds(contender.pid) - before
    events = sum(c.answer.seen for c in opened) - seen
    for connection in opened:
        connection.close()
    # Some notice with the next event that a client is gone; nobody else is measured
    # while they clean up.
    await asyncio.sleep(2 * int(order.gap) / 1000)
    await idle(contender.pid)
    return spent / events * 1e6


async def unary(bench: Bench) -> list[Table]:
    async def measure(contender: Contender) -> float:
        request = contender.target.request(SMALL.model, stream=False)
        return await cpu_per_answer(contender, request, SMALL.events, at_once=32)

    values = await compared_all(measure, await bench.contenders())
    return figures(Row("small unary request, 32 at once: µs CPU", values))


async def burst(bench: Bench) -> list[Table]:
    async def measure(contender: Contender) -> float:
        request = contender.target.request(BURST.model, stream=True)
        cost = await cpu_per_answer(contender, request, BURST.events, at_once=16)
        return cost / BURST.events

    values = await compared_all(measure, await bench.contenders())
    return figures(Row("event of 200 at once, 16 streams: µs CPU", values))


async def alone(bench: Bench) -> list[Table]:
    async def measure(contender: Contender) -> float:
        return await cpu_per_event(bench.upstream, contender, ALONE, streams=200)

    values = await compared_all(measure, await bench.contenders())
    return figures(Row("event alone every 20 ms, 200 streams: µs CPU", values))


async def first_token(bench: Bench) -> list[Table]:
    """Ask in turn directly and through a gateway, so that both meet the same noise."""
    direct = bench.upstream.direct

    async def measure(contender: Contender) -> float:
        taken: tuple[list[float], list[float]] = ([], [])
        ways = (direct.target, contender.target)
        connections = [await connect(target) for target in ways]
        requests = [target.request(SMALL.model, stream=True) for target in ways]
        for _ in range(600):
            for way, connection in enumerate(connections):
                answer = await connection.ask(requests[way], SMALL.events)
                taken[way].append(answer.ttft)
        for connection in connections:
            connection.close()
        return (median(taken[1]) - median(taken[0])) * 1000

    values = await compared_all(measure, await bench.contenders())
    return figures(Row("added time to first token, p50, one at a time: ms", values))


async def memory(bench: Bench) -> list[Table]:
    """Start each anew, since a process that was busy keeps memory."""
    starts = bench.upstream.starts()
    started: dict[str, list[float]] = {name: [] for name in starts}
    resident: dict[str, list[float]] = {name: [] for name in starts}
    each: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(TURNS):
        for name, start in starts.items():
            async with start() as contender:
                assert contender.pid is not None
                started[name].append(contender.started_in)
                resident[name].append(rss_kib(contender.pid) / 1024)
                each[name].append(await _kib_per_stream(contender, contender.pid))
    return figures(
        Row(f"open, nearly idle stream of {IDLE_STREAMS:,}: KiB", each),
        Row("resident memory, idle: MiB", resident),
        Row("start to first answered request: s", started),
    )


async def _kib_per_stream(contender: Contender, pid: int) -> float:
    request = contender.target.request(SMALL.model, stream=True)
    await ask_times(100, contender.target, request, SMALL.events, 10)
    before = rss_kib(pid)
    request = contender.target.request(IDLE.model, stream=True)
    opened = await open_streams(contender.target, request, IDLE_STREAMS)
    await asyncio.sleep(0.2)
    grown = rss_kib(pid) - before
    for connection in opened:
        connection.close()
    return grown / IDLE_STREAMS
