"""SIGHUP: the configuration is read again, whatever it finds there."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import client
from tests.rig.procfs import catches, children
from tests.rig.server_process import READY, Server, alone, without_keys
from tests.rig.upstream import says

TROUBLES = {
    "home": ("[media]\ndirectory = '~nosuchuser/x'", "whose home is"),
    "nul": ('[media]\ndirectory = "a\\u0000b"', "must not have control characters"),
    "deep": ("a = " + "[" * 5000, "nested too deep"),
    "broken": ("[server", "not valid TOML"),
}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_bad_reload_is_told_and_the_next_one_works(
    start_server: StartServer, make_upstream: MakeUpstream, trouble: str, workers: str
) -> None:
    """What can't be used is told with its reason, and changes nothing, not for good."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(upstream.table("Old"), arguments=["--workers", workers])
    text, reason = TROUBLES[trouble]

    server.config.write_text(text)
    server.signal(signal.SIGHUP)
    await server.logged(f"reload failed, nothing changes.*{reason}")
    async with client(server.url) as me:
        assert (await me.chat("Old")).said == "Hi"
    server.reload(upstream.table("New"))
    await server.logged("reloaded", times=1 if workers == "1" else 3)

    async with client(server.url) as me:
        assert (await me.chat("New")).said == "Hi"


async def test_a_file_that_was_not_there_is_found(
    tmp_path: Path, make_upstream: MakeUpstream
) -> None:
    """The configuration is looked for at each reload, not at the start alone."""
    upstream = await make_upstream(says("Hi"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "--port", "0"),
        cwd=tmp_path,
        env=without_keys(),
        stderr=asyncio.subprocess.PIPE,
    )
    server = Server(process, tmp_path / "config.toml")
    reading = asyncio.create_task(server.read_log())
    server.url = (await server.logged(READY.pattern))[1]

    server.reload(upstream.table("New"))
    await server.logged("reloaded")

    async with client(server.url) as me:
        assert (await me.chat("New")).said == "Hi"
    # One that has gone again is a mistake: the defaults would serve whoever asks.
    server.config.unlink()
    server.signal(signal.SIGHUP)
    await server.logged("reload failed, nothing changes.*No such file")
    async with client(server.url) as me:
        assert (await me.chat("New")).said == "Hi"
    assert await server.stop() == 0
    await reading


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_what_needs_a_restart_is_named_each_time(
    start_server: StartServer, workers: str
) -> None:
    """A key that a reload can't change is named at every reload until the restart."""
    server = await start_server(arguments=["--workers", workers])

    for _ in range(2):
        seen = len(server.log)
        server.reload("[server]\nmax_body_bytes = 9")
        await server.logged("needs a restart.*server.max_body_bytes", since=seen)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_signal_at_the_start(tmp_path: Path, workers: str) -> None:
    """A SIGHUP that comes while the server starts ends nothing, and is acted upon."""
    config = tmp_path / "config.toml"
    config.write_text(alone(""))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "--config", str(config), "--port", "0"),
        *("--workers", workers),
        stderr=asyncio.subprocess.PIPE,
    )
    server = Server(process, config)
    while not catches(process.pid, signal.SIGHUP):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)

    server.signal(signal.SIGHUP)
    reading = asyncio.create_task(server.read_log())

    await server.logged("serving")
    await server.logged("reloaded")
    assert await server.stop() == 0
    await reading


async def test_a_worker_outlives_the_signal(start_server: StartServer) -> None:
    """SIGHUP to a worker, who takes its orders from the process before it, is none."""
    server = await start_server(arguments=["--workers", "2"])
    await server.logged("serving", times=2)
    workers = children(server.process.pid)

    for worker in workers:
        os.kill(worker, signal.SIGHUP)
    server.reload("")
    await server.logged("reloaded", times=3)

    assert children(server.process.pid) == workers


async def test_workers_agree_though_the_file_is_broken(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Who follows a worker serves as its siblings do, not as the file says by then."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(upstream.table("One"), arguments=["--workers", "2"])
    await server.logged("serving", times=2)
    server.config.write_text("[server")

    seen = len(server.log)
    for worker in children(server.process.pid):
        os.kill(worker, signal.SIGKILL)
    await server.logged("serving", since=seen, times=2)

    for _ in range(8):
        async with client(server.url) as me:
            assert (await me.chat("One")).said == "Hi"
