"""The guard in `make check`: fails where the server takes too many instructions.

The limits are ratios to the bare relay, counted in the same run, so that they hold on
other machines and other builds of Python too.
"""

import asyncio
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop

from .contenders import RELAY, SERVER
from .instructions import UNITS, counts, problem

LIMITS = Path(__file__).with_name("limits.toml")


def judged(
    counts: Mapping[str, Mapping[str, Sequence[float]]], limits: Mapping[str, float]
) -> tuple[list[str], bool]:
    """Return a line for each unit counted, and whether all keep to their limits."""
    lines, kept = [], True
    for unit, values in counts.items():
        mine, relay = values[SERVER][0], values[RELAY][0]
        ratio, most = mine / relay, limits[unit]
        kept = kept and ratio <= most
        lines.append(
            f"{UNITS[unit]}: {mine:,.0f} instructions, {ratio:.2f} times the bare"
            f" relay's, at most {most:.2f}: {'ok' if ratio <= most else 'TOO MUCH'}"
        )
    return lines, kept


def main() -> int:
    """Print each ratio and its limit; return the exit status."""
    limits = tomllib.loads(LIMITS.read_text(encoding="utf-8"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        lines, kept = judged(runner.run(counts(turns=1)), limits)
    sys.stdout.write("\n".join([*lines, ""]))
    if not kept:
        sys.stdout.write(f"The limits are in {LIMITS}; it says when to raise one.\n")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(problem() or main())
