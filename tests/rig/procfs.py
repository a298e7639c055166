"""What procfs tells of processes, and waiting for the end of one that is not ours."""

import asyncio
import os
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
