"""Several serving processes behind one socket, and the one that keeps them running."""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import structlog
from attrs import define, field

from providers import EngineAddress, Engines
from server.config.settings import Config
from server.stores.responses import open_store

from .serve import Change, Load, Worker, on_hang_up, reread, serve

log = structlog.get_logger(__name__)

# Tells a worker, in its environment, which descriptor it inherits as its socket.
SOCKET = "INTERFERENCE_WORKER_SOCKET"
# Likewise, its number, from 1, and where the responses are that all workers share.
NUMBER = "INTERFERENCE_WORKER_NUMBER"
RESPONSES = "INTERFERENCE_WORKER_RESPONSES"
RESTART_DELAY = 1.0
# Seconds that a worker has, beyond its own time-out, before it is killed.
GRACE = 10.0

Endpoints = Mapping[str, EngineAddress]


async def supervise(
    config: Config, load: Load, sock: socket.socket, arguments: Sequence[str]
) -> None:
    """
    Run `config.server.workers` processes, each of them this command with *arguments*,
    and the embedded engines and responses that they share, until a signal says stop.
    """
    with tempfile.TemporaryDirectory(prefix="interference-") as folder:
        path = config.responses.path or str(Path(folder) / "responses.sqlite")
        async with open_store(config.responses, path):
            patience = config.server.shutdown_timeout
            await _supervise(config, load, _Crew(sock, arguments, path, patience))
    log.info("stopped")


async def _supervise(config: Config, load: Load, crew: "_Crew") -> None:
    engines = Engines()
    hang_ups = on_hang_up()
    running = await engines.adopt(config.engines(), 0.0)
    crew.endpoints = {name: engine.endpoint for name, engine in running.items()}
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, crew.stop)

    async def follow() -> None:
        current = config
        async for _ in hang_ups:
            if (new := reread(current, load)) is not None:
                retire_after = current.race.total_timeout
                adopted = await engines.adopt(new.engines(), retire_after)
                crew.tell({name: engine.endpoint for name, engine in adopted.items()})
                current = new

    following = asyncio.create_task(follow())
    try:
        await crew.run(config.server.workers)
    finally:
        following.cancel()
        await engines.aclose()


async def work(config: Config, load: Load, sock: socket.socket) -> None:
    """Serve as one of the workers; standard input brings orders, its end the end."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    first = _endpoints(await orders.readline())

    async def changes() -> AsyncIterator[Change]:
        current = config
        async for line in orders:
            if (new := reread(current, load)) is not None:
                yield new, _endpoints(line)
                current = new

    worker = Worker(int(os.environ[NUMBER]), os.environ[RESPONSES])
    await serve(config, first, sock, changes(), worker)


def _endpoints(line: bytes) -> Endpoints:
    rows = json.loads(line)
    return {
        name: EngineAddress(row["port"], row["api_key"]) for name, row in rows.items()
    }


@define(eq=False)
class _Crew:
    """The worker processes; one that dies is replaced."""

    sock: socket.socket
    arguments: Sequence[str]
    responses: str
    patience: float
    endpoints: Endpoints = field(factory=dict)
    _stopping: asyncio.Event = field(factory=asyncio.Event)
    _running: set[asyncio.subprocess.Process] = field(factory=set)

    async def run(self, count: int) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(1, count + 1):
                group.create_task(self._keep_one(number))

    def stop(self) -> None:
        """Pass a signal on: the first lets workers finish, the second does not."""
        self._stopping.set()
        for process in self._running:
            process.send_signal(signal.SIGTERM)

    def tell(self, endpoints: Endpoints) -> None:
        """Have every worker reload, with the engines at *endpoints*."""
        self.endpoints = endpoints
        for process in self._running:
            self._write(process)

    async def _keep_one(self, number: int) -> None:
        while not self._stopping.is_set():
            status = await self._run_one(number)
            if not self._stopping.is_set():
                log.error("worker died, another follows", status=status)
                await asyncio.wait(
                    [asyncio.ensure_future(self._stopping.wait())],
                    timeout=RESTART_DELAY,
                )

    async def _run_one(self, number: int) -> int:
        fd = self.sock.fileno()
        told = {SOCKET: str(fd), NUMBER: str(number), RESPONSES: self.responses}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "server",
            *self.arguments,
            env=os.environ | told,
            pass_fds=(fd,),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, who pass it on
        )
        self._running.add(process)
        try:
            self._write(process)
            if self._stopping.is_set():
                process.terminate()  # the signal came while it was being made
            return await self._ended(process)
        finally:
            self._running.discard(process)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        ended = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({ended}, timeout=self.patience + GRACE)
            if not ended.done():
                process.kill()
            return await ended
        finally:
            stopping.cancel()
            ended.cancel()

    def _write(self, process: asyncio.subprocess.Process) -> None:
        rows = {
            name: {"port": endpoint.port, "api_key": endpoint.api_key}
            for name, endpoint in self.endpoints.items()
        }
        if process.stdin is not None:
            process.stdin.write(json.dumps(rows).encode() + b"\n")
