"""What procfs tells of processes, and waiting for the end of one that is not ours."""

import asyncio
import os
import re
import signal
from pathlib import Path


def children(pid: int) -> set[int]:
    """Return the process ids of a process's children."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return {int(child) for child in listed.split()}


def engines(pid: int) -> set[int]:
    """Return the process ids of a process's embedded engines."""
    return {
        child
        for child in children(pid)
        if b"local/child.py" in Path(f"/proc/{child}/cmdline").read_bytes()
    }


def sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(link.startswith("socket:") for link in links)


def resident(pid: int) -> int:
    """Return a process's resident memory, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kib)


def queued(pid: int) -> float:
    """
    Return the seconds that a process's main thread has waited for a CPU so far, ready
    to run: the others' doing, not its own. 0 where the system does not tell.
    """
    try:
        told = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
    except FileNotFoundError:
        return 0.0
    return int(told.split()[1]) / 1e9


def catches(pid: int, number: signal.Signals) -> bool:
    """Say whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (mask,) = re.findall(r"^SigCgt:\s+(\w+)$", status, re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)


async def ended(pid: int) -> None:
    """Wait for the end of any process."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    try:
        loop.add_reader(descriptor, over.set)
        async with asyncio.timeout(10):
            await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
