"""
Plays the matrix, and prints it: each client before each upstream, case by case.

Run it with `make matrix`. A mark stands for a stream, the next one for a whole answer.
The exit status is 1 if a cell is wrong.
"""

import asyncio
import sys
import tempfile
from itertools import product
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .cells import CASES, KINDS, Cell, bench, every_cell, problem
from .clients import CLIENTS

WIDTH = 180


async def main() -> int:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    with tempfile.TemporaryDirectory() as folder:
        async with bench(Path(folder) / "config.toml") as played:
            found = {cell: await problem(played, cell) for cell in every_cell()}
    console.print(table(found))
    wrong = [text for text in found.values() if text]
    for text in wrong:
        console.print(f"[red]wrong:[/] {escape(text)}")
    console.print(f"{len(found)} cells, {len(wrong) or 'nothing'} wrong.")
    return 1 if wrong else 0


def table(found: dict[Cell, str]) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("client - upstream")
    for client, kind in product(CLIENTS, KINDS):
        made.add_column(f"{client}\n{kind}")
    for case in CASES:
        marks = []
        for client, kind in product(CLIENTS, KINDS):
            cells = (Cell(client, how, kind, case) for how in (True, False))
            marks.append(" ".join("wrong" if found[cell] else "ok" for cell in cells))
        made.add_row(case, *marks)
    return made


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
