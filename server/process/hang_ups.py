"""SIGHUP, from the first moment of the process on."""

import asyncio
import signal
from collections.abc import AsyncIterator

# One entry for each SIGHUP that came before anybody was there to act on it.
EARLY: list[int] = []


def note_early() -> None:
    """Let no SIGHUP end this process, which it does where nobody has caught it."""
    signal.signal(signal.SIGHUP, lambda number, _: EARLY.append(number))


def hang_ups() -> AsyncIterator[None]:
    """Catch SIGHUP in the running loop; iterate over its arrivals, early ones too."""
    arrived = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, arrived.set)
    if EARLY:
        arrived.set()

    async def arrivals() -> AsyncIterator[None]:
        while True:
            await arrived.wait()
            arrived.clear()
            yield

    return arrivals()
