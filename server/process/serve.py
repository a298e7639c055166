"""One serving process: its sockets, its signals, its reloads, its end."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping

import structlog
from aiohttp import ClientSession, web
from attrs import frozen

from providers import Engines, open_session
from server.app import create_app
from server.config.settings import Config
from server.gateway import Gateway, RunningEngine
from server.limits.limiter import Limiter
from server.limits.opening import open_limiter
from server.record.channel import Channel, Keeper, OnlyProcess
from server.record.usage import Ledger
from server.stores.response_file import open_store
from server.stores.responses import ResponseStore
from server.stores.usage import keep_usage

from .reloading import Load, changed, outlived, reloads
from .runner import ClientRunner

log = structlog.get_logger(__name__)

KEEP_ALIVE = 75.0
BACKLOG = 1024
# Seconds for which a client may read nothing of its answer.
SEND_TIMEOUT = 120.0
# Seconds that connections have to take their last bytes once everything is cut off.
LAST_WORDS = 2.0
# Objects, and collections of the younger ones, before a collection of garbage.
COLLECT_AFTER = (5000, 20, 20)
Change = tuple[Config, Mapping[str, RunningEngine]]


@frozen
class Worker:
    """
    What a serving process is among the others: its *channel* to them and, if there are
    any, its number and the file that all keep; or else the *ledger* of what is used.
    """

    channel: Channel
    number: int | None = None
    responses: str | None = None
    ledger: Ledger | None = None

    def gateway(
        self,
        session: ClientSession,
        public_session: ClientSession,
        limiter: Limiter,
        config: Config,
    ) -> Gateway:
        """Return this process's gateway, which has adopted nothing yet."""
        made = Gateway(session, public_session, self.channel, limiter, self.number)
        made.usage.ledger = self.ledger
        if config.telemetry.enabled:
            from server.record.tracing import Tracing

            made.tracing = Tracing(config.telemetry, self.number)
        return made


def listen(config: Config) -> list[socket.socket]:
    """
    Return the sockets that listen where *config* says, one for each worker.

    The kernel spreads connections over sockets far more evenly than processes that
    share one do: of 400 at once, 92 to 107 to each of four workers, not 7 to 186. macOS
    sends all to one of them, so that there the workers share it. Raises OSError if the
    address can't be had.
    """
    host, port = config.server.host, config.server.port
    workers = config.server.workers
    alone = _listening(host, port, reuse_port=False)
    if workers == 1 or sys.platform != "linux":
        return [alone] * workers
    # Nobody else had the address, or that would have raised.
    port = alone.getsockname()[1]
    alone.close()
    return [_listening(host, port, reuse_port=True) for _ in range(workers)]


def _listening(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.create_server(
        address[:2], family=family, backlog=BACKLOG, reuse_port=reuse_port
    )
    # Every connection inherits it, whatever is answered over it. A client that stops
    # reading holds nothing but its connection and some buffers where the system does
    # not have it: its upstream is let go after the race's total_timeout.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SEND_TIMEOUT * 1000)
        )
    return sock


def url_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve_alone(config: Config, load: Load, sock: socket.socket) -> None:
    """
    Serve in this process alone, embedded engines and all, until a signal says stop.

    *load* reads the configuration again, on SIGHUP.
    """
    engines = Engines()
    read_again = reloads(config, load)

    async def changes() -> AsyncIterator[Change]:
        retire_after = config.race.total_timeout
        async for new in read_again:
            with outlived():
                yield new, await engines.adopt(new.engines(), retire_after)
                retire_after = new.race.total_timeout

    try:
        running = await engines.adopt(config.engines(), 0.0)
        keeper = Keeper()
        async with keep_usage(keeper, config.usage.path) as usage:
            me = Worker(OnlyProcess(keeper), ledger=usage.ledger)
            await serve(config, running, sock, changes(), me)
    finally:
        await engines.aclose()


def tell_left_out(config: Config) -> None:
    """Log which installed packages can't be used: the server does without them."""
    for problem in config.left_out:
        log.warning("providers left out", reason=problem)


async def serve(
    config: Config,
    engines: Mapping[str, RunningEngine],
    sock: socket.socket,
    changes: AsyncIterator[Change],
    worker: Worker,
) -> None:
    """
    Serve on *sock* until a signal says stop, or until *changes* end.

    Each of *changes* is the configuration to go on with, and the engines it wants.
    *worker* is what this process is among those of this server.
    """
    async with (
        open_session() as session,
        open_session(public=True) as public_session,
        open_store(config.responses, worker.responses) as responses,
        open_limiter(config.state, worker.channel) as limiter,
    ):
        gateway = worker.gateway(session, public_session, limiter, config)
        gateway.adopt(config, engines)
        stop = _on_stop_signals(gateway)
        following = asyncio.create_task(_follow(changes, gateway, responses, stop))
        app = create_app(gateway, responses)
        runner = ClientRunner(
            app, gateway, keepalive=KEEP_ALIVE, shutdown_timeout=LAST_WORDS
        )
        try:
            await runner.setup()
            site = web.SockSite(runner, sock, backlog=BACKLOG)
            await site.start()
            _collect_less_garbage()
            log.info("serving", url=url_of(sock), pid=os.getpid())
            await stop.wait()
            await site.stop()
            log.info("stopping", patience=gateway.config.server.shutdown_timeout)
            gateway.live.close()
            await gateway.drain.finish(gateway.config.server.shutdown_timeout)
        finally:
            following.cancel()
            await runner.cleanup()
            await gateway.aclose()
    log.info("stopped")


def _collect_less_garbage() -> None:
    """
    Exempt all objects that exist now from garbage collection, and collect seldom: no
    request leaves garbage behind (`tests/rig/leak_watch.py`), and collections took 4 %
    of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _follow(
    changes: AsyncIterator[Change],
    gateway: Gateway,
    responses: ResponseStore,
    stop: asyncio.Event,
) -> None:
    async for config, engines in changes:
        with outlived():
            differs = changed(gateway.config, config)
            gateway.adopt(config, engines)
            responses.settings = config.responses
            log.info("reloaded", changed=differs)
    stop.set()


def _on_stop_signals(gateway: Gateway) -> asyncio.Event:
    """Catch SIGTERM and SIGINT: the first stops, the second cuts answers off."""
    stop = asyncio.Event()

    def stopping() -> None:
        if stop.is_set():
            gateway.drain.cut()
        stop.set()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping)
    return stop
