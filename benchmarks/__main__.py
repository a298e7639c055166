"""The command line: `python -m benchmarks [NAME ...] [--peers]`, `make bench`."""

import asyncio
import os
import platform
import resource
import subprocess
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import click
import uvloop

from . import figures, growth, instructions, limits, races, workers
from . import peers as others
from .bench import Bench
from .contenders import field_in, nginx_path, nginx_problem
from .tables import Table

ALL: dict[str, Callable[[Bench], Awaitable[list[Table]]]] = {
    "unary": figures.unary,
    "burst": figures.burst,
    "alone": figures.alone,
    "first-token": figures.first_token,
    "racers": growth.racers,
    "cutoff": races.cutoff,
    "skew": races.skew,
    "memory": figures.memory,
    "instructions": instructions.instructions,
    "streams": growth.streams,
    "events": growth.events,
    "bodies": growth.bodies,
    "policies": races.policies,
    "limits": limits.limits,
    "traces": limits.traces,
    "workers": workers.workers,
}
# What is nothing without valgrind.
COUNTED = ("instructions", "traces")
# What the other gateways are measured in: they race nobody.
WITH_PEERS = ("unary", "burst", "alone", "first-token")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ALL)))
@click.option("--peers", is_flag=True, help="Install other gateways, and measure them.")
def main(names: tuple[str, ...], *, peers: bool) -> None:
    """Measure what Interference costs, beside the bare relay; all of it, or NAMES."""
    # Streams by the thousand: each is two connections of a gateway's.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    chosen = names or (WITH_PEERS if peers else tuple(ALL))
    if missing := instructions.problem():
        if any(name in COUNTED for name in names):
            raise click.ClickException(missing)
        chosen = tuple(name for name in chosen if name not in COUNTED)
    for what in filter(None, (missing, nginx_problem())):
        click.echo(f"{what}; it is left out", err=True)
    if peers:
        others.install()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tables, failed = runner.run(measured(chosen, peers=peers))
    click.echo(f"{where()}\n\n" + "\n".join(table.markdown() for table in tables))
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}")


async def measured(
    names: Iterable[str], *, peers: bool
) -> tuple[list[Table], list[str]]:
    """
    Take the benchmarks of these *names*.

    Return their tables, titles but once, and the names of those that failed.
    """
    tables: dict[str, Table] = {}
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            field = await stack.enter_async_context(field_in(Path(folder)))
            more = others.starts(field) if peers else {}
            bench = Bench(field, stack, {**field.starts(), **more})
            for name in names:
                started = perf_counter()
                try:
                    taken = await ALL[name](bench)
                except Exception:  # noqa: BLE001 - the others may still tell something
                    traceback.print_exc()
                    failed.append(name)
                    continue
                for table in taken:
                    merged = tables.setdefault(table.title, table.empty())
                    merged.rows.extend(table.rows)
                click.echo(f"{name}: {perf_counter() - started:.0f} s", err=True)
    return list(tables.values()), failed


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
