"""What all kinds of calls do alike: open, check the status, say what broke them."""

import asyncio
from collections.abc import Mapping

import aiohttp

from providers.dialects import UNREADABLE, Call
from providers.errors import (
    LACKS,
    SUCCESSFUL,
    Phase,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnreachable,
    not_called,
)
from providers.http.attempt import Attempt
from providers.http.exchange import Exchange
from providers.http.reading import error_of, what_broke
from providers.settings import Limits
from providers.upstream import Upstream

from .answer import unreadable

# What a call may raise besides ProviderError, and what of it is its connection's fault.
BREAKS = (aiohttp.ClientError, OSError, *UNREADABLE)
LOST = (aiohttp.ClientError, OSError)


class OpenCall:
    """
    One call to *upstream*, and how far it is. It was *begun* by the loop's clock.

    *answered*: the head of a good answer is there. *too_late*: why it was given up.
    """

    def __init__(self, upstream: Upstream, limits: Limits) -> None:
        self.upstream = upstream
        self.limits = limits
        self.attempt = Attempt()
        self.begun = asyncio.get_running_loop().time()
        self.exchange: Exchange | None = None
        self.answered = False
        self.too_late = ""

    @property
    def phase(self) -> Phase:
        """How far the call is, before the first token."""
        if self.answered:
            return "first_token"
        return "connect" if self.attempt.connected is None else "headers"

    async def open(self, call: Call, connect_within: float) -> Exchange:
        """
        Send *call*, on a connection that is there within so many seconds.

        Return its answer, whose head is there and says that all is well. Raises
        ProviderError.
        """
        try:
            head = self.upstream.head(call)
            if self.attempt.trace:
                head = with_headers(head, self.attempt.trace)
        except ValueError as exc:
            error = ProviderProtocolError("the request can't be sent to it")
            raise not_called(error) from exc
        self.exchange = exchange = self.upstream.exchange(self.attempt)
        try:
            await exchange.open(head, call.body, connect_within)
            if exchange.status not in SUCCESSFUL:
                raise await error_of(exchange, self.upstream.waits.error_body)
            if self.too_late:
                raise TimeoutError  # it came, but too late: it has been thrown away
        except LOST as exc:
            hurried = connect_within < self.limits.connect_timeout
            what = "answer" if hurried else "connection"
            raise self.broken(exc, f"no {what} within {connect_within:g} s") from exc
        self.answered = True
        return exchange

    def again(self) -> "OpenCall":
        """Return another call, which goes on with this one's time and attempt."""
        call = OpenCall(self.upstream, self.limits)
        call.attempt, call.begun = self.attempt, self.begun
        return call

    def give_up(self, too_late: str) -> None:
        """Hang up, since it is *too_late*; this wakes whoever waits for the answer."""
        self.too_late = too_late
        self.close()

    def close(self) -> None:
        """Hang up at once, if that is not done yet."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.close()

    def broken(self, exc: Exception, late: str = "") -> ProviderError:
        """Return what *exc* is for a race; *late* is the text of a time-out."""
        if self.too_late:
            return ProviderTimeout(self.too_late)
        return mapped(exc, late)

    def failed(self, error: ProviderError, phase: Phase | None = None) -> ProviderError:
        """Return *error* with the phase of the call, and without its secrets."""
        error.phase = phase or self.phase
        return self.upstream.cleaned(error)


def with_headers(head: bytes, more: Mapping[str, str]) -> bytes:
    """Return a request's head with *more* headers, which only this call has."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
    return head.removesuffix(b"\r\n") + lines.encode() + b"\r\n"


def mapped(exc: Exception, late: str) -> ProviderError:
    """Return what one of BREAKS is for a race; *late* is the text of a time-out."""
    if isinstance(exc, TimeoutError):
        return ProviderTimeout(late)
    if isinstance(exc, aiohttp.ClientError | OSError):  # some are ValueErrors, too
        if getattr(exc, "errno", None) in LACKS:
            return not_called(
                ProviderUnreachable("this server has no file descriptors left")
            )
        return ProviderUnreachable(what_broke(exc))
    return unreadable(exc)
