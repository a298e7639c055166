"""What `python -m server replay` shows: the recorded races, and the same run again."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from server.racing.strategies import STRATEGIES, Policy

from .races_file import UnreadableLog, read
from .replay import Replay, Tally

# Wide enough for every line where no terminal says how wide it is.
WIDTH = 120


def show(files: Sequence[Path], policy: Policy, seed: int) -> None:
    """Print the table; exit with an error if a file is no log of races."""
    try:
        races = [race for file in files for race in read(file)]
    except (OSError, UnreadableLog) as exc:
        sys.exit(str(exc))
    if not races:
        sys.exit("There is no chat in it whose race was decided.")
    replay = Replay(races, policy, seed)
    tally = replay.run()
    recorded = Tally.recorded(races)
    name = STRATEGIES[policy.strategy].title(policy)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(_table({"as recorded": recorded, name: tally}, recorded))
    console.print(_footnote(replay), highlight=False)


def _footnote(replay: Replay) -> str:
    every = replay.known + replay.drawn
    text = (
        f"{replay.drawn} of {every} times are not in the log, since the racer was cut"
        " off or never started: they were drawn from the same provider's other races"
        f" (seed {replay.seed}). What always loses may be slower than any of them."
    )
    if replay.unknown:
        names = ", ".join(sorted(replay.unknown))
        text += f" Left out, as the log has no answer of theirs: {names}."
    return text


def _table(rows: dict[str, Tally], recorded: Tally) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("policy")
    for column in ("races", "p50 ms", "p90 ms", "p99 ms", "calls", "a race", "failed"):
        table.add_column(column, justify="right")
    table.add_column("winner as recorded", justify="right")
    for name, tally in rows.items():
        races = len(tally.winners)
        same = sum(a == b for a, b in zip(tally.winners, recorded.winners, strict=True))
        table.add_row(
            name,
            str(races),
            *(_ms(tally.quantile(percent)) for percent in (50, 90, 99)),
            str(tally.calls),
            f"{tally.calls / races:.3f}",
            str(tally.failed),
            f"{same / races:.1%}",
        )
    return table


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}"
