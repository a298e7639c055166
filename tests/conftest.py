"""What every test may ask for: upstreams, servers, clients, all of them real."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from .rig import client
from .rig import server_process as process
from .rig.gradio_process import Space, running, visited
from .rig.upstream import Step, Upstream, upstream

MakeUpstream = Callable[..., Awaitable[Upstream]]
StartServer = Callable[..., Awaitable[process.Server]]
Serve = Callable[..., Awaitable[client.Client]]


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
