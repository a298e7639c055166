"""The guard in `make check`: fails where the server takes too many instructions.

The limits are ratios to the bare relay, counted in the same run, so that they hold on
other machines and other builds of Python too.
"""

import asyncio
import sys
import tomllib
from pathlib import Path

import uvloop

from .contenders import RELAY, SERVER
from .instructions import UNITS, counts, problem

LIMITS = Path(__file__).with_name("limits.toml")


async def main() -> int:
    """Print each ratio and its limit; return the exit status."""
    limits = tomllib.loads(LIMITS.read_text(encoding="utf-8"))
    status = 0
    for unit, values in (await counts(turns=1)).items():
        ratio = values[SERVER][0] / values[RELAY][0]
        verdict = "ok" if ratio <= limits[unit] else "TOO MUCH"
        status |= ratio > limits[unit]
        sys.stdout.write(
            f"{UNITS[unit]}: {values[SERVER][0]:,.0f} instructions, {ratio:.2f} times"
            f" the bare relay's, at most {limits[unit]:.2f}: {verdict}\n"
        )
    return status


if __name__ == "__main__":
    if missing := problem():
        sys.exit(missing)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(main()))
