"""A real redis-server on a Unix socket or a port of loopback, gone with its test."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define


@define
class RedisServer:
    """A running server: its *url*, and what can be done to it."""

    url: str
    _process: asyncio.subprocess.Process

    def hang(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


@asynccontextmanager
async def redis_server(folder: Path, port: int = 0) -> AsyncIterator[RedisServer]:
    """
    Run one that keeps nothing on disk, until the end of the block.

    It listens at a Unix socket in *folder*, and at *port* of loopback unless that is 0.
    """
    socket = folder / "redis.sock"
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "unixsocket": str(socket),
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
    }
    arguments = [
        text for name, value in options.items() for text in (f"--{name}", value)
    ]
    process = await asyncio.create_subprocess_exec(
        "redis-server", *arguments, stdout=asyncio.subprocess.PIPE, cwd=folder
    )
    assert process.stdout is not None
    server = RedisServer(
        f"redis://127.0.0.1:{port}/0" if port else f"unix://{socket}", process
    )
    try:
        async with asyncio.timeout(10):
            async for line in process.stdout:
                if b"ready to accept connections" in line.lower():
                    break  # it says so once for each of the two
        yield server
    finally:
        await server.kill()
