"""What systemd hears: that the server is ready, that it reloads, that it stops."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.conftest import StartServer


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_systemd_is_told(
    start_server: StartServer, tmp_path: Path, workers: str
) -> None:
    """Ready once, at a reload that it has begun and is over, and that it stops."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address)
        heard.setblocking(False)  # noqa: FBT003 - its name
        loop = asyncio.get_running_loop()

        async def hear() -> str:
            async with asyncio.timeout(20):
                return (await loop.sock_recv(heard, 1000)).decode()

        server = await start_server(
            arguments=["--workers", workers], environ={"NOTIFY_SOCKET": address}
        )
        assert await hear() == "READY=1"
        server.reload("")
        assert (await hear()).startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert await hear() == "READY=1"
        assert await server.stop() == 0
        assert await hear() == "STOPPING=1"
