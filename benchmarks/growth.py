"""How costs grow with racers, open streams, events a stream, and bodies."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from .bench import Bench, compared, compared_all
from .contenders import RELAY, SERVER, Contender, Setup, server
from .figures import cpu_per_answer, cpu_per_event, figures
from .tables import Row, Table
from .wire import Order

RACERS = (1, 2, 4, 8)
STREAMS = (10, 100, 500, 2000)
EVENTS = (10, 100, 1000, 10_000)
BODIES = (1_000, 10_000, 100_000, 1_000_000, 4_000_000)
# Events a second of all streams together, however many they are.
RATE = 4000
TURNS = 3
SECONDS = 0.4
TEXT = 'A line of a long prompt, with "quotes" and an end.\n' * 80_000


async def racers(bench: Bench) -> list[Table]:
    """Racer n says its first word after 5n ms, so that all have been asked by then."""
    (relay,) = await bench.contenders(RELAY)
    orders = [Order(4, "0", str(5 * lane)).model for lane in range(1, 9)]
    names = [{"race": order} for order in orders]
    request = relay.target.request(orders[0], stream=True)
    measures = {"relay": partial(cpu_per_answer, relay, request, 4, at_once=16)}
    async with server(bench.upstream, Setup(names)) as contender:
        for count in RACERS:
            providers = " ".join(f"P{lane}" for lane in range(1, count + 1))
            request = contender.target.request("race", stream=True, provider=providers)
            measures[str(count)] = partial(
                cpu_per_answer, contender, request, 4, at_once=16
            )
        values = await compared(measures)
    rows = [
        Row(
            f"race of {count}: µs CPU a request",
            {RELAY: values["relay"], SERVER: values[str(count)]},
        )
        for count in RACERS
    ]
    most, least = values[str(RACERS[-1])], values["1"]
    ratios = [many / one for many, one in zip(most, least, strict=True)]
    return [
        *figures(Row("race of 8, CPU to that of a race of 1: ×", {SERVER: ratios})),
        Table("Racers", RELAY, rows, "The relay asks one upstream, always."),
    ]


async def streams(bench: Bench) -> list[Table]:
    async def measure(count: int, contender: Contender) -> float:
        gap = str(1000 * count // RATE)
        order = Order(10_000, gap)
        return await cpu_per_event(bench.upstream, contender, order, count, SECONDS)

    what = f"Open streams, {RATE:,} events a second in all: µs CPU an event"
    return [await _table(bench, what, "streams", STREAMS, measure)]


async def events(bench: Bench) -> list[Table]:
    async def measure(count: int, contender: Contender) -> float:
        request = contender.target.request(Order(count).model, stream=True)
        cost = await cpu_per_answer(contender, request, count, 4, SECONDS)
        return cost / count

    what = "Events of a stream, all at once: µs CPU an event"
    return [await _table(bench, what, "events", EVENTS, measure)]


async def bodies(bench: Bench) -> list[Table]:
    async def measure(count: int, contender: Contender) -> float:
        request = contender.target.request(
            Order(4).model, stream=False, prompt=TEXT[:count]
        )
        return await cpu_per_answer(contender, request, 4, 4, SECONDS)

    what = "Request bodies: µs CPU a request"
    return [await _table(bench, what, "bytes", BODIES, measure)]


async def _table(
    bench: Bench,
    title: str,
    unit: str,
    sizes: Iterable[int],
    measure: Callable[[int, Contender], Awaitable[float]],
) -> Table:
    contenders = await bench.contenders(RELAY, SERVER)
    rows = []
    for size in sizes:
        each = partial(measure, size)
        values = await compared_all(each, contenders, TURNS)
        rows.append(Row(f"{size:,} {unit}", values))
    return Table(title, RELAY, rows)
