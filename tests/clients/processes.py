"""Runs a command as a person would, and leaves nothing of it running."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

SECONDS = 60.0
SHOWN = 400


async def run(
    command: Iterable[str],
    folder: Path,
    environ: Mapping[str, str],
    seconds: float = SECONDS,
) -> tuple[int | None, str]:
    """
    Run *command* in *folder* for so many *seconds* at most, and return its exit status,
    None if it had to be ended, and its output. Nothing that it has started is left.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while read := await process.stdout.read(2**16):
                output += read
            await process.wait()
        return process.returncode, output.decode(errors="replace")
    except TimeoutError:
        said = output.decode(errors="replace")
        return None, f"{said}\nstill running after {seconds:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def last_words(output: str) -> str:
    """Return the line that tells best what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()]
    return shortened((telling or lines or [""])[-1])


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
