"""What procfs and the process clocks tell of a process and all its descendants."""

import asyncio
import os
import time
from pathlib import Path

# CPU seconds in a twentieth of a second that are more than a rest.
BUSY = 0.003
TICK = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """Return *pid* and all its descendants."""
    found = [pid]
    for each in found:
        try:
            for task in Path(f"/proc/{each}/task").iterdir():
                children = (task / "children").read_text(encoding="ascii")
                found.extend(int(child) for child in children.split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a tree has had, its dead included, to the nanosecond."""
    return sum(_own(each) + _of_the_dead(each) for each in tree(pid))


def cpu_seconds_each(pid: int) -> dict[int, float]:
    """Return the CPU time of each living process of a tree, by its id."""
    return {each: _own(each) for each in tree(pid)}


def rss_kib(pid: int) -> float:
    """Return the resident memory of a tree."""
    return sum(_rss(each) for each in tree(pid))


def _own(pid: int) -> float:
    # Linux makes a process's CPU clock's number of its id: see clock_getcpuclockid(3).
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _of_the_dead(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    user, system = stat.rpartition(")")[2].split()[13:15]
    return (int(user) + int(system)) / TICK


def _rss(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    _, _, after = status.partition("VmRSS:")
    return int(after.split(maxsplit=1)[0]) if after else 0


async def idle(pid: int, patience: float = 20.0) -> None:
    """Wait until a tree has nothing left to do, within reason."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        before = cpu_seconds(pid)
        await asyncio.sleep(0.05)
        if cpu_seconds(pid) - before < BUSY:
            return


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a process that was started here, the hard way if it does not want to."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(20):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
