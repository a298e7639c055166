"""
Drives the real clients, and prints what came of it: client by client, upstream by
upstream.

Run it with `make clients`. The exit status is 1 if any turn failed.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .driving import TARGETS, Job, Outcome, Target, drive
from .installing import install
from .recorded_requests import record, source
from .sessions import every_job

# Wide enough for every column where no terminal says how wide it is.
WIDTH = 160
AT_ONCE = 2


def main() -> int:
    arguments = _arguments()
    # Whoever ends this process wants its clients and servers ended, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = perf_counter()
    turns = chosen(arguments)
    install(job.client.commands for job, _ in turns)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(f"Installed after {perf_counter() - began:.0f} s.")
    if arguments.install:
        return 0
    outcomes = asyncio.run(drive_all(turns))
    if arguments.record:
        record(outcomes)
    console.print(table(outcomes))
    failures = [each for each in outcomes if each.failed]
    for (name, error), targets in by_error(failures).items():
        where = f"{name} at {'; '.join(targets)}"
        console.print(f"[red]{escape(where)}:[/] {escape(error)}")
    console.print(
        f"{len(outcomes)} turns in {perf_counter() - began:.0f} s,"
        f" {len(failures) or 'none'} failed."
    )
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.clients")
    parser.add_argument("clients", nargs="*", help="their names' beginnings; all")
    parser.add_argument("--upstreams", nargs="*", default=(), help="likewise")
    parser.add_argument(
        "--record", action="store_true", help="keep what they send, for the tests"
    )
    parser.add_argument(
        "--itself", action="store_true", help="without a server, where that can be"
    )
    parser.add_argument("--install", action="store_true", help="and do no more")
    return parser.parse_args()


def chosen(arguments: argparse.Namespace) -> list[tuple[Job, Target]]:
    """Return what to do, where."""
    jobs = [job for job in every_job() if _chosen(job.name, arguments.clients)]
    if arguments.record or arguments.itself:
        return [(job, source(job.client)) for job in jobs]
    targets = [t for t in TARGETS if _chosen(t.name, arguments.upstreams)]
    return [(job, target) for job in jobs for target in targets]


def _chosen(name: str, beginnings: Iterable[str]) -> bool:
    wanted = tuple(each.lower() for each in beginnings)
    return not wanted or name.lower().startswith(wanted)


async def drive_all(turns: Iterable[tuple[Job, Target]]) -> list[Outcome]:
    """Do each job at its target, two at once."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def turn(job: Job, target: Target) -> Outcome:
        async with limit:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                return await drive(job, target, Path(folder))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(turn(*each)) for each in turns]
    return [task.result() for task in tasks]


def by_error(failures: Iterable[Outcome]) -> dict[tuple[str, str], list[str]]:
    """Return where each job failed with each error."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in failures:
        found.setdefault((each.name, str(each.error)), []).append(each.target)
    return found


def table(outcomes: Iterable[Outcome]) -> Table:
    """Return the outcomes as a table: a row for each client, a column for a target."""
    rows: dict[str, dict[str, Outcome]] = {}
    for each in outcomes:
        rows.setdefault(each.name, {})[each.target] = each
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("client")
    for target in next(iter(rows.values()), {}):
        made.add_column(target)
    for client, row in rows.items():
        made.add_row(client, *map(_told, row.values()))
    return made


def _told(outcome: Outcome) -> str:
    if outcome.failed:
        return "[red]fails[/]"
    if outcome.expected:
        return "refused, rightly"
    return f"[green]works[/], {outcome.seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
