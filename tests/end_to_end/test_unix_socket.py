"""A Unix socket to listen on, with one worker and with several."""

import asyncio
import signal
import socket
import stat
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT, hello
from tests.rig.upstream import says


async def said(path: Path, **headers: str) -> str:
    """Chat over the socket; return the answer."""
    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(
            f"http://localhost{CHAT}", json=hello("One"), headers=headers
        ) as answer,
    ):
        return await answer.text()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_serves_on_it(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path, workers: str
) -> None:
    """
    It is its user's and group's, takes the place of one that a killed server has left,
    is refused to a second server, and goes with the server.
    """
    path = tmp_path / "here.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    upstream = await make_upstream(says("Hi"))
    toml = f'[server]\nunix_socket = "{path}"\ntrusted_proxies = ["unix"]'
    server = await start_server(
        toml, upstream.table("One"), arguments=["--workers", workers]
    )
    await server.logged("serving", times=int(workers))

    assert server.url == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert "Hi" in await said(path)
    await said(path, Host="evil.example", **{"X-Forwarded-For": "203.0.113.9"})
    await server.logged(
        "host_not_allowed.*client=203.0.113.9|client=203.0.113.9.*host_not_allowed"
    )
    second = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "--config", str(server.config)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await second.communicate()
    assert f"can't listen on {path}: another server listens there" in told.decode()
    assert "Hi" in await said(path)

    assert await server.stop() == 0
    assert not path.exists()


async def test_killed_supervisor_leaves_none(
    start_server: StartServer, tmp_path: Path
) -> None:
    """The workers, who end with it, take the socket's file with them."""
    path = tmp_path / "here.sock"
    server = await start_server(
        f'[server]\nunix_socket = "{path}"', arguments=["--workers", "2"]
    )
    await server.logged("serving", times=2)

    server.signal(signal.SIGKILL)
    await server.logged(r"\(end of log\)")

    assert not path.exists()
