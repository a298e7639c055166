"""SIGHUP, from the first moment of the process on."""

import asyncio
import signal
from collections.abc import AsyncIterator

# One entry for each SIGHUP that came before `hang_ups` was called.
EARLY: list[int] = []


def note_early() -> None:
    """Note SIGHUPs, which would end the process until somebody handles them."""
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
