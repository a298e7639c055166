"""The command line: `python -m benchmarks [NAME ...] [--peers]`, `make bench`."""

import asyncio
import os
import platform
import resource
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import click
import uvloop

from . import figures, growth, instructions
from .bench import Bench
from .contenders import field_in, nginx_path
from .tables import Table

ALL: dict[str, Callable[[Bench], Awaitable[list[Table]]]] = {
    "unary": figures.unary,
    "burst": figures.burst,
    "alone": figures.alone,
    "first-token": figures.first_token,
    "racers": growth.racers,
    "memory": figures.memory,
    "instructions": instructions.instructions,
    "streams": growth.streams,
    "events": growth.events,
    "bodies": growth.bodies,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ALL)))
def main(names: tuple[str, ...]) -> None:
    """Measure what Interference costs, beside the bare relay; all of it, or NAMES."""
    # Streams by the thousand: each is two connections of a gateway's.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if not nginx_path():
        click.echo("nginx is left out: `apt-get install nginx-light`", err=True)
    if (missing := instructions.problem()) and "instructions" in names:
        raise click.ClickException(missing)
    if missing and not names:
        click.echo(missing, err=True)
    names = names or tuple(n for n in ALL if not (missing and n == "instructions"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tables = runner.run(measured(names))
    click.echo(f"{where()}\n\n" + "\n".join(table.markdown() for table in tables))


async def measured(names: Iterable[str]) -> list[Table]:
    """Take the benchmarks of these *names*; return their tables, titles but once."""
    tables: dict[str, Table] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            field = await stack.enter_async_context(field_in(Path(folder)))
            bench = Bench(field, stack, field.starts())
            for name in names:
                started = perf_counter()
                for table in await ALL[name](bench):
                    tables.setdefault(table.title, table.empty()).rows.extend(
                        table.rows
                    )
                click.echo(f"{name}: {perf_counter() - started:.0f} s", err=True)
    return list(tables.values())


def where() -> str:
    """Say when this was measured, on what, with what."""
    packages = ("aiohttp", "uvloop", "orjson")
    installed = [f"{name} {version(name)}" for name in packages]
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    if nginx := nginx_path():
        told = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True)  # noqa: S603
        installed.append(told.stderr.strip().rpartition(" ")[2].replace("/", " "))
    today = datetime.now(UTC).date().isoformat()
    return ", ".join(
        [
            today,
            f"{os.cpu_count()} × {processor}",
            f"Linux {platform.release().partition('-')[0]}",
            f"Python {platform.python_version()}",
            *installed,
        ]
    )


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
