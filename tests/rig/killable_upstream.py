"""An upstream in a process of its own, which may be killed: it begins, and waits."""

import asyncio
import sys

from .upstream import HEAD, ROLE, delta, upstream


async def main() -> None:
    async with upstream([HEAD, ROLE, delta(content="Hel"), ...]) as made:
        sys.stdout.write(f"{made.port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
