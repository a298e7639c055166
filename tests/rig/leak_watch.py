"""
The real server in a process that says, on SIGUSR1, what is alive in it: a line of JSON
on standard error, with the numbers of its tasks, by what they run, and of its objects
that belong to one request, by class. There is no garbage collection: what is over has
to go by itself, or large bodies would wait for one.

`python -m tests.rig.leak_watch ARGUMENTS` is `python -m server ARGUMENTS` otherwise,
but for $SEND_TIMEOUT, which is for tests that can't wait for the server's own,
$REMEMBERED, the races, times and choices of racers that it keeps, and $LEAK, the bytes
of each race that it is to lose, to see whether that is noticed. *allocated* are the
bytes that the C library has given out: all of them with PYTHONMALLOC=malloc.
"""

import asyncio
import ctypes
import gc
import json
import os
import signal
from collections import Counter
from types import FrameType
from typing import Any

from aiohttp import ClientResponse, web

from providers import ChatCall
from server.__main__ import main
from server.gateway import Gateway
from server.process import listening
from server.racing import eligibility, times
from server.racing.race import Race
from server.record import log
from server.record.story import Story

# What is made for one request, and must be gone with it.
TRANSIENT = {web.Request, web.StreamResponse, ClientResponse, ChatCall, Race}


class Mallinfo(ctypes.Structure):
    """What glibc's mallinfo2 returns."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks"),
            *("fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def allocated() -> int:
    """Return the bytes in use; 0 where the C library does not tell."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return 0
    mallinfo.restype = Mallinfo
    told = mallinfo()
    return int(told.uordblks + told.hblkhd)


def lose(count: int) -> None:
    """Have each race leave *count* bytes behind."""
    lost, finished = [], Gateway.finished

    def losing(self: Gateway, story: Story) -> None:
        lost.append(bytes(count))
        finished(self, story)

    setattr(Gateway, "finished", losing)  # noqa: B010 - mypy: no method is assigned


def report(_: int, __: FrameType | None) -> None:
    tasks = asyncio.all_tasks(asyncio.get_running_loop())
    objects = Counter(map(type, gc.get_objects()))
    alive = {
        "tasks": Counter(map(_what, tasks)),
        "allocated": allocated(),
        "tracked": objects.total(),
        "objects": {
            kind.__name__: number
            for kind, number in objects.items()
            # Not issubclass: abstract classes would remember each answer.
            if not TRANSIENT.isdisjoint(kind.__mro__)
        },
    }
    # Not sys.stderr: the signal may have come while something is written to it.
    os.write(2, f"alive {json.dumps(alive)}\n".encode())


def _what(task: asyncio.Task[Any]) -> str:
    name = getattr(task.get_coro(), "__qualname__", "")
    return str(name or task.get_name())


if __name__ == "__main__":
    gc.disable()
    signal.signal(signal.SIGUSR1, report)
    if patience := os.environ.get("SEND_TIMEOUT"):
        listening.SEND_TIMEOUT = float(patience)
    if number := os.environ.get("REMEMBERED"):
        for module in (log, times, eligibility):
            module.REMEMBERED = int(number)  # type: ignore[attr-defined]
    if leak := os.environ.get("LEAK"):
        lose(int(leak))
    main("python -m server")
