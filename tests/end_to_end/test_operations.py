"""Running it: reloads, signals, several processes, logs, probes."""

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import Client, client
from tests.rig.procfs import children
from tests.rig.server_process import READY, Server, alone
from tests.rig.upstream import DONE, END, HEAD, Upstream, delta, says


async def start(
    start_server: StartServer, stack: AsyncExitStack, *toml: str, **more: object
) -> tuple[Server, Client]:
    server: Server = await start_server(*toml, **more)
    return server, await stack.enter_async_context(client(server.url))


async def holding(upstream: Upstream) -> asyncio.Event:
    """Script an answer that says one word, and the rest when the event is set."""
    go_on = asyncio.Event()
    rest = [delta(content="lo"), delta("stop"), DONE, END]
    upstream.script = [HEAD, delta(content="Hel"), go_on, *rest]
    return go_on


async def test_reload_takes_new_providers_and_keeps_open_streams(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """SIGHUP: what is open ends as it began; what comes next meets the new file."""
    old, new = await make_upstream(), await make_upstream(says("new"))
    go_on = await holding(old)
    server, me = await start(start_server, stack, old.table("Old"))

    async with me.open_chat("Old") as answer:
        assert b"Hel" in await answer.content.readuntil(b"\n\n")
        server.reload(new.table("New"))
        await server.logged("reloaded")
        after = await me.chat("New")
        gone = await me.chat("Old")
        go_on.set()
        rest = await answer.read()

    assert (after.said, gone.status) == ("new", 404)
    assert b"lo" in rest
    assert rest.endswith(b"data: [DONE]\n\n")


async def test_broken_file_changes_nothing(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """A reload of a file with a mistake is reported, and the server goes on."""
    upstream = await make_upstream(says("still here"))
    server, me = await start(start_server, stack, upstream.table("One"))

    server.reload("[race]\nmax_racer = 3")

    await server.logged(r"reload failed.*race\.max_racer: unknown key")
    assert (await me.chat("One")).said == "still here"


async def test_open_streams_may_finish_when_it_stops(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """SIGTERM: no new connection is taken, an open answer ends in peace, exit 0."""
    upstream = await make_upstream()
    go_on = await holding(upstream)
    server, me = await start(start_server, stack, upstream.table("One"))

    async with me.open_chat("One") as answer:
        await answer.content.readuntil(b"\n\n")
        server.signal(signal.SIGTERM)
        await server.logged("stopping")
        with pytest.raises(OSError, match="Connect"):
            async with client(server.url) as other:
                await other.get("/healthz")
        go_on.set()
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")

    assert await server.stop() == 0


@pytest.mark.parametrize("signals", [1, 2])
async def test_streams_that_do_not_finish_are_cut_with_an_error(
    start_server: StartServer,
    stack: AsyncExitStack,
    make_upstream: MakeUpstream,
    signals: int,
) -> None:
    """After shutdown_timeout, or at a second signal, an error frame is the end."""
    upstream = await make_upstream()
    await holding(upstream)
    patience = "0.2" if signals == 1 else "60"
    settings = f"[server]\nshutdown_timeout = {patience}"
    server, me = await start(start_server, stack, settings, upstream.table("One"))

    async with me.open_chat("One") as answer:
        await answer.content.readuntil(b"\n\n")
        for _ in range(signals):
            server.signal(signal.SIGTERM)
            await server.logged("stopping")
        rest = await answer.read()

    assert b'"code":"server_stopping"' in rest
    assert b"[DONE]" not in rest
    assert await server.stop() == 0
    async with asyncio.timeout(5):
        await upstream.hung_up.get()


async def test_request_without_a_winner_yet_is_cut_with_a_503(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """An answer that has not begun can still have its proper status."""
    upstream = await make_upstream([...])
    settings = "[server]\nshutdown_timeout = 0.1"
    server, me = await start(start_server, stack, settings, upstream.table("One"))
    asking = asyncio.create_task(me.chat("One"))
    await upstream.arrived.get()

    server.signal(signal.SIGTERM)

    answer = await asking
    assert (answer.status, answer.error["code"]) == (503, "server_stopping")


async def test_workers_share_the_socket_and_are_replaced(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """With --workers 2 both serve; one that is killed is followed by another."""
    upstream = await make_upstream(says("Hi"))
    server, me = await start(
        start_server, stack, upstream.table("One"), arguments=["--workers", "2"]
    )
    await server.logged("serving", times=2)
    first, second = children(server.process.pid)

    assert (await me.chat("One")).said == "Hi"
    seen = len(server.log)
    os.kill(first, signal.SIGKILL)
    await server.logged("worker died", since=seen)
    await server.logged("serving", since=seen)
    assert (await me.chat("One")).said == "Hi"
    assert second in children(server.process.pid)
    assert await server.stop() == 0


async def test_workers_end_with_their_parent(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """A killed parent leaves no worker behind that would still hold the port."""
    upstream = await make_upstream(says("Hi"))
    server, _ = await start(
        start_server, stack, upstream.table("One"), arguments=["--workers", "2"]
    )
    await server.logged("serving", times=2)

    server.signal(signal.SIGKILL)

    # Standard error is closed once the last process that had it is gone.
    await server.logged(r"\(end of log\)")


async def test_reload_reaches_every_worker(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """SIGHUP to the parent changes all of its workers."""
    upstream = await make_upstream(says("Hi"))
    server, me = await start(
        start_server, stack, upstream.table("Old"), arguments=["--workers", "2"]
    )
    await server.logged("serving", times=2)
    server.reload(upstream.table("New"))
    await server.logged("reloaded", times=3)

    for _ in range(8):
        assert (await me.chat("New")).said == "Hi"


async def test_log_says_what_happened_and_not_what_was_said(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """A JSON line a request: status, winner, times, tokens; no prompt, no key."""
    upstream = await make_upstream(says("a secret answer"))
    server, me = await start(
        start_server,
        stack,
        upstream.table("One", api_key="sk-provider-secret"),
        upstream.table("Off", enabled=False),
        arguments=["--log-format", "json"],
    )
    messages = [{"role": "user", "content": "a secret question"}]
    headers = {"X-Request-ID": "id-1", "Authorization": "Bearer client-secret"}
    body = {"model": "m", "provider": "One", "messages": messages, "stream": True}
    await me.request("POST", "/v1/chat/completions?key=x", json=body, headers=headers)

    line = json.loads((await server.logged(".*id-1.*"))[0])

    assert line["status"] == 200
    assert (line["winner"], line["racers"]) == ("One", "One:won")
    assert line["ttft_ms"] > 0
    assert (line["tokens_in"], line["tokens_out"]) == (3, 2)
    assert line["seconds"] > 0
    assert line["path"] == "/v1/chat/completions"
    assert "secret" not in "\n".join(server.log)


def _read_url(pipe: int) -> str:
    """Read a log until it says where the server is, and then no more."""
    with os.fdopen(pipe, encoding="utf-8") as log:
        found = next(filter(None, map(READY.search, log)))
    return found[1]


async def test_log_that_nobody_reads_any_more(
    tmp_path: Path, make_upstream: MakeUpstream
) -> None:
    """The end of what reads the log is no end of the server, nor of any request."""
    upstream = await make_upstream(says("hello"))
    config = tmp_path / "config.toml"
    config.write_text(alone(upstream.table("A")))
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "server", "--config", str(config), "--port", "0"),
        stderr=write,
    )
    os.close(write)
    try:
        url = await asyncio.to_thread(_read_url, read)
        async with client(url) as asking:
            for _ in range(3):
                assert (await asking.chat("A")).status == 200
    finally:
        process.terminate()
        await process.wait()


async def test_client_that_left_is_logged_as_such(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """Status 499 in the log: nobody was there to take the answer."""
    upstream = await make_upstream()
    await holding(upstream)
    server, me = await start(start_server, stack, upstream.table("One"))

    async with me.open_chat("One") as answer:
        await answer.content.readuntil(b"\n\n")

    await server.logged(r"path=/v1/chat/completions status=499 .* winner=One")


async def test_readiness_needs_a_usable_provider(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """/healthz says alive, /readyz says whether anybody could answer."""
    upstream = await make_upstream()
    _, nobody = await start(start_server, stack)
    _, somebody = await start(start_server, stack, upstream.table("One"))

    assert (await nobody.get("/healthz")).status == 200
    assert (await nobody.get("/readyz")).status == 503
    assert (await somebody.get("/readyz")).json == {"status": "ok"}
