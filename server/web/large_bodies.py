"""What large requests take, beside the event loop: others are answered meanwhile."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# Bytes of a body that may have thousands of items in it.
LARGE = 256 * 1024


async def computed(work: Callable[[], T], size: int) -> T:
    """Return what *work* makes of a body of this *size*, in bytes; it may raise."""
    return await asyncio.to_thread(work) if size > LARGE else work()
