"""Several serving processes, and the one that starts them and gives them orders."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from socket import socket

import structlog
from attrs import define, field

import server
from providers import Engine, Engines
from server.config.settings import Config
from server.limits.channel_store import keep_limits
from server.record.channel import Keeper, keep_states
from server.record.shared_races import keep_races
from server.stores.response_file import open_store
from server.stores.usage import keep_usage

from .channel_hub import Hub
from .listening import SocketFile
from .notify import READY, STOPPING, notify
from .reloading import Load, changed, outlived, reloads
from .worker import Order, Place

log = structlog.get_logger(__name__)

# Seconds before a worker replaces one that died soon after its start.
RESTART_DELAY = 1.0
# Seconds of a worker's start: one that dies later is replaced at once.
STEADY = 5.0
# Seconds that a worker has, beyond its own time-out, before it is killed.
GRACE = 10.0
# The folder that the packages of this process are in.
PACKAGES = Path(server.__path__[0]).parent


async def supervise(config: Config, load: Load, sockets: Sequence[socket]) -> None:
    """
    Run one worker for each of *sockets*, and the embedded engines and responses that
    they share, until a signal says stop.

    Only this process reads the configuration: all workers serve with the last one that
    was accepted, whenever they start.
    """
    with tempfile.TemporaryDirectory(prefix="interference-") as folder:
        path = config.responses.path or str(Path(folder) / "responses.sqlite")
        async with open_store(config.responses, path):
            patience = config.server.shutdown_timeout
            file = SocketFile.of(sockets[0])
            keeper = Keeper()
            keep_races(keeper)
            keep_limits(keeper)
            async with keep_usage(keeper, config.usage.path):
                with closing(Hub(keeper)) as hub:
                    keep_states(keeper, len(sockets), hub.members)
                    crew = _Crew(sockets, path, folder, patience, hub, file)
                    await _supervise(config, load, crew)
    log.info("stopped")


async def _supervise(config: Config, load: Load, crew: "_Crew") -> None:
    engines = Engines()
    read_again = reloads(config, load)
    crew.order = _order(config, await engines.adopt(config.engines(), 0.0))
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, crew.stop)

    async def follow() -> None:
        retire_after = config.race.total_timeout
        async for new in read_again:
            with outlived():
                adopted = await engines.adopt(new.engines(), retire_after)
                differs = changed(crew.order.config, new)
                crew.tell(_order(new, adopted))
                retire_after = new.race.total_timeout
                log.info("reloaded", changed=differs)

    following = asyncio.create_task(follow())
    notify(READY)  # the sockets listen: whoever connects now waits for a worker
    try:
        await crew.run()
    finally:
        following.cancel()
        await engines.aclose()


def _order(config: Config, engines: Mapping[str, Engine]) -> Order:
    return Order(config, {name: engine.endpoint for name, engine in engines.items()})


@define(eq=False)
class _Crew:
    """
    The worker processes; one that dies is replaced.

    *sockets* stay open here while the crew runs, so that connections that wait at a
    dead worker's socket are answered by its successor. *folder* is removed by workers
    if this process is killed, *file* when it stops.
    """

    sockets: Sequence[socket]
    responses: str
    folder: str
    patience: float
    hub: Hub
    file: SocketFile | None
    order: Order = field(init=False)
    _stopping: asyncio.Event = field(factory=asyncio.Event, init=False)
    _running: set[asyncio.subprocess.Process] = field(factory=set, init=False)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, sock in enumerate(self.sockets, 1):
                group.create_task(self._keep_one(number, sock))

    def stop(self) -> None:
        """Pass a signal on: the first lets workers finish, the second does not."""
        self._stopping.set()
        notify(STOPPING)
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        # Whoever connects from now on is refused, and the port is free for another.
        for sock in self.sockets:
            sock.close()
        if self.file is not None:
            self.file.remove()

    def tell(self, order: Order) -> None:
        """Send *order* to every worker, and to those that replace them later."""
        self.order = order
        for process in self._running:
            self._write(process)

    async def _keep_one(self, number: int, sock: socket) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            status = await self._run_one(number, sock)
            if not self._stopping.is_set():
                log.error("worker died, another follows", status=status)
            if loop.time() - started < STEADY:
                await self._pause(RESTART_DELAY)

    async def _pause(self, seconds: float) -> None:
        """Wait so many seconds, or until the crew is stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _run_one(self, number: int, sock: socket) -> int:
        with self.hub.connect() as link:
            files = sock.fileno(), link.fileno()
            process = await self._start(
                Place(*files, number, self.responses, self.folder)
            )
        self._running.add(process)
        try:
            self._write(process)
            if self._stopping.is_set():
                process.terminate()  # the signal came while it was started
            return await self._ended(process)
        finally:
            self._running.discard(process)

    async def _start(self, place: Place) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # nothing from the current folder, which may have a server.py
            "-m",
            "server.process.worker",
            place.text(),
            env=_environment(),
            pass_fds=(place.listening, place.link),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, who pass it on
        )

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
        if process.stdin is not None:
            process.stdin.write(self.order.line())


def _environment() -> dict[str, str]:
    """Return a worker's environment: systemd hears of the supervisor alone."""
    mine = {n: value for n, value in os.environ.items() if n != "NOTIFY_SOCKET"}
    return mine | {"PYTHONPATH": _python_path()}


def _python_path() -> str:
    """Return a worker's PYTHONPATH: first, the folder of this process's packages."""
    rest = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(PACKAGES), *([rest] if rest else [])])
