"""
Plays the matrix, and prints it: what a client is told, fault by fault; then the faults
that come from elsewhere than from a provider, and what they cost a healthy client.

Run it with `make faults`. A column is a shape of race, as `Cell` names them; where an
answer that is not streamed comes to something else than a stream, it stands behind it.
The second table has what upstreams get wrong and are understood in, and what vendors
demand, surface by surface; the third, odd answers that were asked for in one piece.
The exit status is 1 if a cell is wrong, or if anything is left behind.
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .elsewhere import Trial, attacked, play
from .judging import SHAPES, Finding
from .matrix import matrix
from .odd_matrix import OddFinding
from .odd_matrix import play as play_oddities
from .shortcuts import play_shortcuts
from .surfaces import BODIES
from .table import http_errors, named

# Wide enough for every row where no terminal says how wide it is.
WIDTH = 180
COLORS = {"healthy": "green", "answers": "green", "interrupted": "yellow"}


async def main() -> int:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    started = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        async with matrix(Path(folder)) as played:
            await played.play([*named(), *http_errors()])
        (Path(folder) / "odd").mkdir()
        odd = (await play_oddities(Path(folder) / "odd")).findings
        (Path(folder) / "quick").mkdir()
        quick = await play_shortcuts(Path(folder) / "quick")
        async with attacked(Path(folder)) as server:
            trials = await play(server)
    findings = played.findings
    console.print(table(findings))
    console.print(odd_table(odd))
    console.print(quick_table(quick))
    console.print(from_elsewhere(trials))
    wrong = [problem for each in findings for problem in each.problems]
    wrong += [problem for each in [*odd, *quick] for problem in each.problems]
    wrong += [problem for trial in trials for problem in trial.wrong]
    for problem in [*wrong, *played.left]:
        console.print(f"[red]wrong:[/] {escape(problem)}")
    seconds = perf_counter() - started
    console.print(
        f"{len(findings) + len(odd) + len(quick)} cells in {seconds:.0f} s,"
        f" {len(wrong) or 'nothing'} wrong,"
        f" {len(played.left) or 'nothing'} left behind."
    )
    return 1 if wrong or played.left else 0


def table(findings: Iterable[Finding]) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("fault")
    for shape in SHAPES:
        made.add_column(shape, no_wrap=shape == SHAPES[0])
    for name, outcomes in rows(findings):
        pairs = zip(outcomes[::2], outcomes[1::2], strict=True)  # not all have them all
        made.add_row(escape(name), *(_told(*pair) for pair in pairs))
    return made


def odd_table(findings: Iterable[OddFinding]) -> Table:
    """Return what becomes of each oddity on each surface, streamed and whole."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("oddity")
    for path in BODIES:
        made.add_column(path.removeprefix("/v1/"))
    by_id: dict[str, list[OddFinding]] = {}
    for each in findings:
        by_id.setdefault(each.cell.id, []).append(each)
    for cells in by_id.values():
        odd = cells[0].cell.oddity
        outcomes: dict[str, list[str]] = {}
        for each in cells:
            outcome = f"{'wrong: ' * bool(each.problems)}{each.outcome}"
            outcomes.setdefault(each.cell.asked.path, []).append(outcome)
        name = f"{odd.section}. {odd.name} ({odd.kind})"
        # Not all that clients ask can be asked on each surface.
        pairs = (outcomes.get(path, ["–", "–"]) for path in BODIES)
        made.add_row(escape(name), *(_told(*pair) for pair in pairs))
    return made


def quick_table(findings: Iterable[OddFinding]) -> Table:
    """Return what becomes of odd answers that are asked for in one piece."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("oddity, asked for in one piece")
    by_name: dict[str, dict[str, str]] = {}
    for each in findings:
        odd, path = each.cell.oddity, each.cell.asked.path
        outcome = f"{'wrong: ' * bool(each.problems)}{each.outcome}"
        name = f"{odd.section}. {odd.name} ({odd.kind})"
        by_name.setdefault(name, {})[path] = outcome
    for path in BODIES:
        made.add_column(path.removeprefix("/v1/"))
    for name, outcomes in by_name.items():
        made.add_row(escape(name), *(_colored(outcomes[path]) for path in BODIES))
    return made


def from_elsewhere(trials: Iterable[Trial]) -> Table:
    """Return what was tried from elsewhere, and what it cost a healthy client."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("from elsewhere", "outcome", "longest gap", "/healthz", "memory"):
        made.add_column(title)
    for trial in trials:
        waits = (f"{seconds * 1000:.0f} ms" for seconds in (trial.gap, trial.probe))
        grown = f"{trial.grown / 1024:+.0f} MiB"
        made.add_row(escape(trial.name), escape(trial.outcome), *waits, grown)
    return made


def rows(findings: Iterable[Finding]) -> list[tuple[str, Sequence[str]]]:
    """Return each fault with its outcomes; HTTP errors that come to the same, once."""
    by_fault: dict[tuple[str, int | None], list[str]] = {}
    for each in findings:
        fault = each.cell.fault
        outcome = f"{'wrong: ' if each.problems else ''}{each.outcome}"
        by_fault.setdefault((fault.name, fault.status), []).append(outcome)
    alike: dict[tuple[str, tuple[str, ...]], list[int | None]] = {}
    for (name, status), outcomes in by_fault.items():
        alike.setdefault((name, tuple(outcomes)), []).append(status)
    return [
        (f"{name}: {spans(statuses)}" if None not in statuses else name, outcomes)
        for (name, outcomes), statuses in alike.items()
    ]


def spans(numbers: Iterable[int | None]) -> str:
    """Write numbers in ascending order as people do: 400, 404-412."""
    found: list[list[int]] = []
    for number in filter(None, numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in found)


def _told(streamed: str, whole: str) -> str:
    told = _colored(streamed)
    return told if streamed == whole else f"{told} / {_colored(whole)}"


def _colored(outcome: str) -> str:
    color = "red" if outcome.startswith("wrong") else COLORS.get(outcome)
    return f"[{color}]{escape(outcome)}[/]" if color else escape(outcome)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
