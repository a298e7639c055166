"""Several workers: what they run, what they share, and what they leave."""

import asyncio
import signal
import socket
import sys
from pathlib import Path

import pytest
from yarl import URL

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import client
from tests.rig.procfs import children, sockets
from tests.rig.server_process import running
from tests.rig.upstream import HEAD, delta, says

TWO = ["--workers", "2"]
# The command that the package installs.
INTERFERENCE = str(Path(sys.executable).with_name("interference"))


def shared(folder: Path) -> list[Path]:
    """Return the folders that workers share in the one for temporary files."""
    return list(folder.glob("interference-*"))


async def test_they_run_this_server_whatever_lies_about(
    tmp_path: Path, make_upstream: MakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module `server` in the folder that the server is started in is none of its."""
    (tmp_path / "server.py").write_text("raise SystemExit('not this one')")
    upstream = await make_upstream(says("Hi"))
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "config.toml"

    async with running(
        config, upstream.table("One"), *TWO, command=[INTERFERENCE]
    ) as server:
        await server.logged("serving", times=2)
        async with client(server.url) as me:
            assert (await me.chat("One")).said == "Hi"

    assert not any("not this one" in line for line in server.log)


async def test_connections_are_spread(start_server: StartServer) -> None:
    """Of 200 connections that are opened at once, each of two workers has its share."""
    server = await start_server(arguments=TWO)
    await server.logged("serving", times=2)
    workers = children(server.process.pid)
    before = {worker: sockets(worker) for worker in workers}

    async with asyncio.TaskGroup() as group:
        url = URL(server.url)
        opening = [
            group.create_task(asyncio.open_connection(url.host, url.port))
            for _ in range(200)
        ]
    for reading in opening:
        _, writer = reading.result()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for reading in opening:
        await reading.result()[0].readline()

    held = [sockets(worker) - before[worker] for worker in workers]
    assert sum(held) == 200
    assert min(held) > 60  # five deviations off the mean
    for reading in opening:
        reading.result()[1].close()


async def test_the_port_is_free_while_they_drain(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """From the stop on nobody new is let in, and another server may have the port."""
    upstream = await make_upstream([HEAD, delta(content="Hi"), ...])
    server = await start_server(upstream.table("One"), arguments=TWO)
    await server.logged("serving", times=2)
    address = ("127.0.0.1", URL(server.url).port or 0)
    async with client(server.url) as me, me.open_chat("One") as answer:
        await answer.content.readline()

        server.signal(signal.SIGTERM)
        await server.logged("stopping", times=2)

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address).close()
        socket.create_server(address).close()
        server.signal(signal.SIGTERM)
        assert await server.stop() == 0


async def test_a_killed_parent_leaves_nothing(
    start_server: StartServer, tmp_path: Path
) -> None:
    """What workers shared in a temporary folder goes with the last of them."""
    server = await start_server(arguments=TWO, environ={"TMPDIR": str(tmp_path)})
    await server.logged("serving", times=2)
    assert shared(tmp_path)

    server.signal(signal.SIGKILL)
    await server.logged(r"\(end of log\)")

    assert not shared(tmp_path)


async def test_a_port_in_use_is_told(start_server: StartServer) -> None:
    """Workers don't join another server's port, which SO_REUSEPORT would let them."""
    server = await start_server(arguments=TWO)
    port = str(URL(server.url).port)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "--port", port, *TWO),
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await process.communicate()

    assert process.returncode == 1
    assert b"can't listen on 127.0.0.1" in error
