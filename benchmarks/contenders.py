"""The servers that are measured, each a real process, and the upstream behind them."""

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
from attrs import frozen

from providers import vendors

from .load import KEY, Target, WrongAnswer, ask_times
from .processes import stop
from .upstream import Call
from .wire import Order

LANES = 8
RELAY = "bare relay"
SERVER = "Interference"
NGINX = "nginx"
DIRECT = "direct"
NGINX_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 16m;
    client_body_buffer_size 8m;
    keepalive_requests 100000000;
    upstream fake {{ server 127.0.0.1:{upstream}; keepalive 2048;
                     keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://fake;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


# The first lane once more, passed through to for clients of the Responses API.
NATIVE = """
[providers.Native]
kind = "openai"
responses = "native"
base_url = "http://127.0.0.1:{port}/v1"
"""


@frozen
class Contender:
    """
    A server that runs; *pid* is its tree's root, None where there is none. More than
    *streams* at a time are too many for it.
    """

    name: str
    target: Target
    pid: int | None = None
    started_in: float = 0.0
    streams: int = 10_000


Start = Callable[[], AbstractAsyncContextManager[Contender]]


@frozen
class Field:
    """
    Where everything happens: the fake upstream's ports, a folder for files, and the
    command that the Python servers run under, if any.
    """

    ports: Sequence[int]
    folder: Path
    under: Sequence[str] = ()

    def starts(self) -> dict[str, Start]:
        """Return how to start each server that is always measured."""
        found: dict[str, Start] = {}
        if nginx_path():
            found[NGINX] = partial(nginx, self)
        found[RELAY] = partial(relay, self)
        found[SERVER] = partial(server, self)
        return found

    async def seen(self) -> tuple[int, list[Call]]:
        """Return the number of calls, and those of races, since the last time."""
        log = await self._get("log")
        return log["calls"], [Call(*row) for row in log["raced"]]

    async def go(self) -> None:
        """Have the upstream's paced streams go on."""
        await self._get("go")

    async def _get(self, path: str) -> Any:
        url = f"http://127.0.0.1:{self.ports[0]}/{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.json()

    @property
    def direct(self) -> Contender:
        """The way without a gateway."""
        return Contender(DIRECT, Target(self.ports[0]))


@asynccontextmanager
async def field_in(folder: Path) -> AsyncIterator[Field]:
    """Start the fake upstream."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.upstream", str(LANES)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield Field(json.loads(await process.stdout.readline()), folder)
    finally:
        await stop(process)


def nginx_path() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def nginx_problem() -> str:
    """Say that nginx is missing, and how to get it; "" if it is there."""
    return "" if nginx_path() else "nginx is missing: `apt-get install nginx-light`"


@asynccontextmanager
async def nginx(where: Field) -> AsyncIterator[Contender]:
    port = free_port()
    folder = where.folder / f"nginx-{port}"
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(
        NGINX_CONFIG.format(folder=folder, port=port, upstream=where.ports[0])
    )
    words = [str(nginx_path()), "-p", str(folder), "-c", str(config)]
    async with running(Command(NGINX, words, Target(port)), folder) as contender:
        yield contender


@asynccontextmanager
async def relay(where: Field) -> AsyncIterator[Contender]:
    port = free_port()
    upstream = f"http://127.0.0.1:{where.ports[0]}/v1"
    words = [sys.executable, "-m", "benchmarks.relay", upstream, str(port)]
    command = Command(RELAY, [*where.under, *words], Target(port))
    async with running(command, where.folder) as contender:
        yield contender


@frozen
class Setup:
    """
    How the server differs from what most benchmarks run. *models* are each provider's
    names for orders; *race*, *server* and *key* are settings of those tables, *tables*
    others. With a *key* of None it asks for none.
    """

    models: Sequence[Mapping[str, str]] = ({},) * LANES
    race: str = ""
    server: str = ""
    key: str | None = ""
    tables: str = ""
    environ: Mapping[str, str] = {}
    name: str = SERVER


USUAL = Setup()


@asynccontextmanager
async def server(where: Field, setup: Setup = USUAL) -> AsyncIterator[Contender]:
    """
    Start the server as users run it, but for the embedded model: a key, a log, health.

    Its providers P1, P2, … are the upstream's lanes; P1 is asked where a request names
    nobody.
    """
    port = free_port()
    config = where.folder / f"server-{port}.toml"
    config.write_text(configuration(where, port, setup))
    words = [sys.executable, "-m", "server", "--config", str(config)]
    command = Command(
        setup.name,
        [*where.under, *words],
        Target(port),
        environ=setup.environ,
    )
    async with running(command, where.folder) as contender:
        yield contender


def configuration(where: Field, port: int, setup: Setup) -> str:
    """Return the server's configuration: nothing on that would ask the network."""
    off = [f'[providers."{name}"]\nenabled = false' for name in vendors()]
    digest = sha256(KEY.encode()).hexdigest()
    key = f'[[auth.keys]]\nname = "bench"\nsha256 = "{digest}"\n{setup.key}'
    lanes = [
        f'[providers.P{lane}]\nkind = "openai"\nbase_url = "http://127.0.0.1:{at}/v1"'
        f"\napi_key = 'sk-upstream'\n[providers.P{lane}.models]\n"
        + "".join(f'"{ours}" = "{order}"\n' for ours, order in names.items())
        for lane, (at, names) in enumerate(
            zip(where.ports, setup.models, strict=False), start=1
        )
    ]
    return "\n".join(
        [
            f"[server]\nport = {port}\n{setup.server}",
            f'[race]\ndefault_providers = ["P1"]\n{setup.race}',
            "" if setup.key is None else key,
            setup.tables,
            *off,
            *lanes,
            NATIVE.format(port=where.ports[0]),
            "",
        ]
    )


@frozen
class Command:
    """How a server is started, and how long that may take."""

    name: str
    words: Sequence[str]
    target: Target
    patience: float = 60.0
    environ: Mapping[str, str] = {}


@asynccontextmanager
async def running(command: Command, folder: Path) -> AsyncIterator[Contender]:
    """Run *command* until it has answered a request, and to the end of the block."""
    log = folder / f"{command.name.replace(' ', '-')}-{command.target.port}.log"
    started = perf_counter()
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command.words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**clean_environment(), **command.environ},
        )
    try:
        await answered(
            process, command.target, command.patience, lambda: log.read_text()[-2000:]
        )
        took = perf_counter() - started
        yield Contender(command.name, command.target, process.pid, took)
    finally:
        await stop(process)


async def answered(
    process: asyncio.subprocess.Process,
    target: Target,
    patience: float,
    told: Callable[[], str],
) -> None:
    """Ask until there is an answer."""
    request = target.request(Order(1).model, stream=True)
    until = perf_counter() + patience
    while True:
        try:
            await ask_times(1, target, request, 1)
        except* (OSError, WrongAnswer) as group:
            if process.returncode is not None or perf_counter() > until:
                raise RuntimeError(f"{process}: {told()}") from group
        else:
            return
        await asyncio.sleep(0.002)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """Return the environment less what would make servers ask somebody else."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_TOKEN", "_API_KEY")) and name != "INTERFERENCE_CONFIG"
    }
