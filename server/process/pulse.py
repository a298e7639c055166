"""What is looked up now and then while a process serves, for its metrics."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import perf_counter

from aiohttp import BaseConnector, ClientSession
from attrs import define, field
from yarl import URL

from server.gateway import Gateway

# Seconds between two looks.
BETWEEN = 0.5
Place = tuple[str, int | None]


@define(eq=False)
class Pulse:
    """
    Measures how late the event loop is, and counts connections to providers, until it
    is stopped.
    """

    gateway: Gateway
    sessions: Sequence[ClientSession]
    _due: float = field(default=0.0, init=False)
    _next: asyncio.TimerHandle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._set_gauges()
        self._wait()

    def stop(self) -> None:
        self._next.cancel()

    def _wait(self) -> None:
        self._due = perf_counter() + BETWEEN
        self._next = asyncio.get_running_loop().call_later(BETWEEN, self._look)

    def _look(self) -> None:
        late = max(perf_counter() - self._due, 0.0)
        self.gateway.metrics.loop_lag.observe(late)
        self._set_gauges()
        self._wait()

    def _set_gauges(self) -> None:
        metrics, state = self.gateway.metrics, self.gateway.limiter.store.state
        if state is not None:
            metrics.state_up.set((), float(state == "ok"))
        open_now: Counter[Place] = Counter()
        for session in self.sessions:
            if session.connector is not None:
                open_now += connections(session.connector)
        for name, place in self._places():
            metrics.connections.set((name,), float(open_now[place]))

    def _places(self) -> list[tuple[str, Place]]:
        """Return where each provider is."""
        catalog = self.gateway.catalog
        return [
            (provider.id, _place(URL(provider.settings.base_url)))
            for provider in catalog.usable()
        ]


def connections(connector: BaseConnector) -> Counter[Place]:
    """Count the connections to each host and port: aiohttp tells it nowhere."""
    count: Counter[Place] = Counter()
    for key, idle in connector._conns.items():  # noqa: SLF001 - as above
        count[key.host, key.port] += len(idle)
    for key, used in connector._acquired_per_host.items():  # noqa: SLF001 - as above
        count[key.host, key.port] += len(used)
    return count


def _place(url: URL) -> Place:
    return url.host or "", url.port
