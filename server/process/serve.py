"""One serving process: its sockets, its signals, its reloads, its end."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

import structlog
from attrs import field, frozen

from providers import Engines, open_session
from server.app import create_app
from server.config.settings import Config
from server.gateway import Gateway, RunningEngine, Shared
from server.limits.opening import open_limiter
from server.record.channel import Channel, Keeper, OnlyProcess, keep_states
from server.record.counters import Counters
from server.record.usage import Ledger
from server.stores.response_file import open_store
from server.stores.responses import ResponseStore
from server.stores.usage import keep_usage

from .listening import Site, url_of
from .notify import READY, STOPPING, notify
from .pulse import Pulse
from .reloading import Load, changed, outlived, reloads
from .runner import ClientRunner

if TYPE_CHECKING:
    from server.record.tracing import Tracing

log = structlog.get_logger(__name__)

KEEP_ALIVE = 75.0
# Seconds that connections have to take their last bytes once everything is cut off.
LAST_WORDS = 2.0
# Objects, and collections of the younger ones, before a collection of garbage.
COLLECT_AFTER = (5000, 20, 20)
Change = tuple[Config, Mapping[str, RunningEngine]]
Adopt = Callable[[Config, Mapping[str, RunningEngine]], None]


@frozen
class Worker:
    """
    What a serving process is among the others: its *channel* to them, its *counters*
    and, if there are any, its number and the file that all keep; or else the *ledger*
    of what is used.
    """

    channel: Channel
    counters: Counters = field(factory=Counters)
    number: int | None = None
    responses: str | None = None
    ledger: Ledger | None = None


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
        keep_states(keeper, 1, lambda: 1)
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
        gateway = Gateway(
            session,
            public_session,
            Shared(
                channel=worker.channel,
                counters=worker.counters,
                limiter=limiter,
                ledger=worker.ledger,
                worker=worker.number,
                tracing=_tracing(config, worker.number),
            ),
        )
        gateway.adopt(config, engines)
        pulse = Pulse(gateway, (session, public_session))
        try:
            await _listen(gateway, responses, sock, changes, worker)
        finally:
            pulse.stop()
            await gateway.aclose()
    log.info("stopped")


async def _listen(
    gateway: Gateway,
    responses: ResponseStore,
    sock: socket.socket,
    changes: AsyncIterator[Change],
    worker: Worker,
) -> None:
    """Serve *gateway* on *sock*, and follow *changes*, until a signal says stop."""
    stop = _on_stop_signals(gateway)
    runner = ClientRunner(
        create_app(gateway, responses),
        gateway,
        keepalive=KEEP_ALIVE,
        shutdown_timeout=LAST_WORDS,
    )
    await runner.setup()
    site = Site(runner, sock, gateway.config)
    adopt = _adopting(gateway, responses, site)
    following = asyncio.create_task(_follow(changes, gateway, adopt, stop))
    try:
        await site.start()
        _collect_less_garbage()
        log.info("serving", url=url_of(sock, gateway.config), pid=os.getpid())
        notify(READY)
        await stop.wait()
        await site.stop()
        if worker.number is None:
            site.remove_file()
        await _drain(gateway)
    finally:
        following.cancel()
        await runner.cleanup()


async def _drain(gateway: Gateway) -> None:
    """Let what is open come to its end, as long as that may take."""
    patience = gateway.config.server.shutdown_timeout
    log.info("stopping", patience=patience)
    gateway.live.close()
    await gateway.drain.finish(patience)


def _tracing(config: Config, worker: int | None) -> "Tracing | None":
    """Return what traces requests, if that is wanted: it is an extra, and large."""
    if not config.telemetry.enabled:
        return None
    from server.record.tracing import Tracing

    return Tracing(config.telemetry, worker)


def _collect_less_garbage() -> None:
    """
    Exempt all objects that exist now from garbage collection, and collect seldom: no
    request leaves garbage behind (`tests/rig/leak_watch.py`), and collections took 4 %
    of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _adopting(gateway: Gateway, responses: ResponseStore, site: Site) -> Adopt:
    """Return what has all of them go on with another configuration."""

    def adopt(config: Config, engines: Mapping[str, RunningEngine]) -> None:
        gateway.adopt(config, engines)
        responses.settings = config.responses
        site.show_certificate(config)

    return adopt


async def _follow(
    changes: AsyncIterator[Change],
    gateway: Gateway,
    adopt: Adopt,
    stop: asyncio.Event,
) -> None:
    async for config, engines in changes:
        with outlived():
            differs = changed(gateway.config, config)
            adopt(config, engines)
            log.info("reloaded", changed=differs)
    stop.set()


def _on_stop_signals(gateway: Gateway) -> asyncio.Event:
    """Catch SIGTERM and SIGINT: the first stops, the second cuts answers off."""
    stop = asyncio.Event()

    def stopping() -> None:
        notify(STOPPING)
        if stop.is_set():
            gateway.drain.cut()
        stop.set()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping)
    return stop
