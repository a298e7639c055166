"""What the limits of a key cost a request, and what traces do.

Each server is the same but for one thing; ratios are to a key without limits, of the
same run.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from attrs import evolve

from .bench import Bench, compared_all
from .contenders import Setup, server
from .figures import SMALL, cpu_per_answer
from .instructions import PATIENCE, count_unary, problem, step_by_step
from .processes import stop
from .tables import Row, Table

OPEN, KEYED, MEMORY, REDIS = "no keys", "a key", "limits", "limits in Redis"
TRACED = "traces"
# None of them is ever reached.
LIMITS = """
requests_per_minute = 100_000_000
tokens_per_minute = 1_000_000_000
tokens_per_day = 10_000_000_000
dollars_per_day = 10_000.0
dollars_per_month = 80_000.0
streams = 10_000
"""
TELEMETRY = "[telemetry]\nenabled = true"
# Nobody listens at the discard port: spans are made, packed, and sent in vain.
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
MISSING = "redis-server is missing: `apt-get install redis-server`"
COUNTED = 50
# Spans are packed by the hundred: few requests would meet that work, or miss it.
TRACES_COUNTED = 300


def setups(url: str) -> list[Setup]:
    """Return the servers to compare; *url* is Redis', "" where there is none."""
    limited = Setup(key=LIMITS, name=MEMORY)
    shared = evolve(limited, tables=f'[state]\nurl = "{url}"', name=REDIS)
    return [
        Setup(key=None, name=OPEN),
        Setup(name=KEYED),
        limited,
        *([shared] if url else []),
    ]


@asynccontextmanager
async def redis() -> AsyncIterator[str]:
    """Run a redis-server that keeps nothing; yield its URL, "" where it is missing."""
    path = shutil.which("redis-server")
    if path is None:
        yield ""
        return
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "redis.sock"
        process = await asyncio.create_subprocess_exec(
            *(path, "--port", "0", "--unixsocket", str(socket), "--dir", folder),
            *("--save", "", "--appendonly", "no"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(10):
                async for line in process.stdout:
                    if b"ready to accept connections" in line.lower():
                        break
            yield f"unix://{socket}"
        finally:
            await stop(process)


async def limits(bench: Bench) -> list[Table]:
    async with redis() as url:
        compared = setups(url)
        values = await _cpu(bench, compared)
        added = {
            name: [mine - base for mine, base in zip(each, values[KEYED], strict=True)]
            for name, each in values.items()
            if name not in {OPEN, KEYED}
        }
        rows = [
            Row("small unary request, 32 at once: µs CPU", values),
            Row("what limits add to it: µs CPU", added),
        ]
        if not problem():
            counted = await _instructions(compared, COUNTED)
            rows.append(Row("one at a time: thousands of instructions", counted))
    note = "" if url else MISSING
    return [Table("Limits", KEYED, rows, note, (OPEN, KEYED, MEMORY, REDIS))]


async def traces(_: Bench) -> list[Table]:
    traced = Setup(tables=TELEMETRY, environ=COLLECTOR, name=TRACED)
    counted = await _instructions([Setup(name=KEYED), traced], TRACES_COUNTED)
    label = "small unary request, one at a time: thousands of instructions"
    return [Table("Traces", KEYED, [Row(label, counted)])]


async def _cpu(bench: Bench, compared: Iterable[Setup]) -> dict[str, list[float]]:
    """Return the CPU µs of a request of each server, one a turn."""
    async with AsyncExitStack() as stack:
        contenders = [
            await stack.enter_async_context(server(bench.upstream, setup))
            for setup in compared
        ]
        request = contenders[0].target.request(SMALL.model, stream=False)
        return await compared_all(
            lambda each: cpu_per_answer(each, request, SMALL.events, at_once=32),
            contenders,
        )


async def _instructions(
    compared: Iterable[Setup], requests: int
) -> dict[str, list[float]]:
    """Return the thousands of instructions of a request of each server."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        async with step_by_step(Path(folder)) as (where, _):
            for setup in compared:
                async with (
                    asyncio.timeout(PATIENCE),
                    server(where, setup) as contender,
                ):
                    counted = await count_unary(contender, where, requests)
                found[setup.name] = [counted / 1000]
    return found
