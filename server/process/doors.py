"""Bounds on connections: of all clients, and from each address."""

from collections import Counter
from time import monotonic

import structlog
from attrs import define, field

from server.config.server_settings import ServerSettings, is_loopback

log = structlog.get_logger(__name__)

# Seconds between two lines of the log about connections that were refused.
BETWEEN_LINES = 1.0


@define(eq=False)
class Doors:
    """Counts the open connections by the address that they come from."""

    _open: Counter[str] = field(factory=Counter, init=False)
    _all: int = field(default=0, init=False)
    _refusals: int = field(default=0, init=False)
    _last_line: float = field(default=0.0, init=False)

    def enter(self, address: str, settings: ServerSettings) -> str:
        """
        Let a connection in and count it, or return why it can't be served. "" is an
        address that may have any number of them.
        """
        if self._all >= settings.max_connections:
            return "The server has as many connections as it takes."
        most = settings.max_connections_per_address
        limited = most and address and self._open[address] >= most
        if limited and not is_loopback(address):
            return "There are too many connections from this address."
        self._open[address] += 1
        self._all += 1
        return ""

    def change(self, before: str, address: str, settings: ServerSettings) -> str:
        """Count a connection for another address, or return why it can't be."""
        self.leave(before)
        why = self.enter(address, settings)
        if why:
            self._open[before] += 1
            self._all += 1
        return why

    def leave(self, address: str) -> None:
        self._all -= 1
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def tell(self, why: str) -> None:
        """Log that a connection was refused: one line a second at most."""
        self._refusals += 1
        now = monotonic()
        if now - self._last_line >= BETWEEN_LINES:
            log.warning("connections refused", why=why, count=self._refusals)
            self._refusals, self._last_line = 0, now
