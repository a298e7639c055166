"""One request and its answer, over a connection of aiohttp's pool but past its reader.

aiohttp's connector has all that a connection needs: the pool, DNS, TLS, proxies. Its
session and its streams cost more than the rest of a race, and a task that wakes up for
every event. Here what arrives goes on in the same turn of the event loop.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Protocol

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from .attempt import Attempt
from .inbox import Inbox
from .line import Line
from .parser import AnswerParser

# Bytes that are handed on at once: for a slow client, what is made of them waits, which
# is many times their size.
MOST_AT_ONCE = 32 * 1024


class Taker(Protocol):
    """Whoever takes the body of an answer as it arrives."""

    def take(self, data: bytes) -> bool:
        """Take some of the body; return whether that is enough for now."""
        ...

    def end(self, error: Exception | None) -> None:
        """Take in that the body is over: whole, if there is no *error*."""
        ...


class Exchange(asyncio.Protocol):
    """
    One request, and its answer from the head on.

    `open` connects, sends, and returns when the head is there; then the body is
    `read`, or handed to a taker. Errors are aiohttp's. `close` may be called at any
    time and hangs up at once.
    """

    def __init__(self, line: Line, attempt: Attempt) -> None:
        self._line = line
        self._attempt = attempt
        self._answer: AnswerParser  # from the moment that something is sent
        self._connection: Connection | None = None
        self._transport: asyncio.Transport | None = None
        self._inbox: Inbox[bytes] = Inbox(b"", MOST_AT_ONCE)
        self._paused = False
        self._closed = False

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, by name in any case."""
        return self._answer.headers

    def open(self, head: bytes, body: bytes, connect_timeout: float) -> Awaitable[None]:
        """
        Connect within so many seconds, send a request, and wait for its answer's head.

        Sends again where a kept-alive connection was dead already. Whoever waits for
        it closes it if that fails.
        """
        ask = partial(self._ask, head, body, connect_timeout)
        return self._attempt.send(ask, self._line.stale)

    async def read_all(self, most: int) -> bytes:
        """
        Return the whole body, or its beginning that is longer than *most* bytes.

        Raises what broke it.
        """
        inbox, size = self._inbox, 0
        parts: list[bytes] = []
        while size <= most:
            if inbox.kept:
                parts.append(inbox.take())
                size += len(parts[-1])
                self._attempt.received += len(parts[-1])
                continue
            inbox.check()
            if inbox.over:
                break
            self._resume_reading()
            await inbox.wait()
        return b"".join(parts)

    async def read(self) -> bytes:
        """Return what has come of the body, b"" at its end; raise what broke it."""
        inbox = self._inbox
        while not inbox.kept:
            inbox.check()
            if inbox.over:
                return b""
            self._resume_reading()
            await inbox.wait()
        return inbox.take()

    def hand_to(self, taker: Taker) -> None:
        """Hand the body to *taker* from now on, what has come of it at once."""
        self._inbox.push_to(taker.take, taker.end)
        if not self._inbox.full:
            self._resume_reading()

    def resume(self) -> None:
        """Go on after a taker had enough."""
        if self._inbox.full and not self._inbox.go_on():
            self._resume_reading()

    def linger(self, seconds: float) -> None:
        """Hang up in so many seconds, unless the answer is over by then."""
        self._inbox.clear()
        if not self._inbox.over:
            asyncio.get_running_loop().call_later(seconds, self.close)

    def cut_off(self) -> None:
        """Hang up in the middle of an answer, and have another connection opened."""
        lost = self._connection is not None
        self.close()
        if lost:
            self._line.open_spare()

    def close(self) -> None:
        """Hang up, if the answer is not over yet."""
        self._inbox.clear()
        self._closed = True
        if not self._inbox.over:
            self._finish(aiohttp.ClientConnectionError("closed"))

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        inbox, answer = self._inbox, self._answer
        if inbox.over:
            return
        body = answer.feed(data)
        if not body:
            inbox.wake()  # the head may be there
        elif (
            inbox.put(body)
            and len(inbox.kept) > MOST_AT_ONCE
            and not self._paused
            and self._transport is not None
        ):
            self._transport.pause_reading()
            self._paused = True
        if answer.complete or answer.error is not None:
            self._finish(answer.error)

    def eof_received(self) -> None:
        """Let the transport close by itself, which it tells."""

    def connection_lost(self, exc: Exception | None) -> None:
        connection, self._transport = self._connection, None
        if connection is not None and connection.protocol is not None:
            connection.protocol.connection_lost(exc)
        self._answer.lost(exc)
        self._finish(self._answer.error)

    async def _ask(self, head: bytes, body: bytes, connect_timeout: float) -> None:
        connection = await self._connect(connect_timeout)
        if self._inbox.over:  # with the connection before
            self._inbox = Inbox(b"", MOST_AT_ONCE)
        self._send(connection, head, body)
        inbox, answer = self._inbox, self._answer
        while not answer.status:
            inbox.check()
            await inbox.wait()

    async def _connect(self, seconds: float) -> Connection:
        try:
            connection = await self._line.connect(seconds, [_Watch(self._attempt)])
        except TimeoutError as exc:
            raise aiohttp.ConnectionTimeoutError from exc
        if self._closed:
            connection.close()
            raise aiohttp.ClientConnectionError("closed")
        self._attempt.connect()
        return connection

    def _send(self, connection: Connection, head: bytes, body: bytes) -> None:
        transport, protocol = connection.transport, connection.protocol
        if transport is None or protocol is None or protocol.should_close:
            # Something has come while nobody used it, be it the end.
            connection.close()
            raise aiohttp.ServerDisconnectedError
        self._connection, self._transport = connection, transport
        transport.set_protocol(self)
        transport.writelines((head, body))
        self._answer = AnswerParser()

    def _resume_reading(self) -> None:
        if self._paused and self._transport is not None:
            self._transport.resume_reading()
        self._paused = False

    def _finish(self, error: Exception | None) -> None:
        """Take in that the answer is over, whole or broken by *error*."""
        if self._inbox.over:
            return
        self._hand_back(reuse=error is None and self._answer.reusable)
        self._inbox.end(error)

    def _hand_back(self, *, reuse: bool) -> None:
        """Return the connection to the pool, for others to use or for good."""
        self._resume_reading()
        connection, self._connection = self._connection, None
        transport, self._transport = self._transport, None
        if connection is None:
            return
        self._answer.close()
        if transport is not None:
            if connection.protocol is not None:
                transport.set_protocol(connection.protocol)
            reuse = reuse and not transport.get_write_buffer_size()
            if not reuse:
                # Closing alone would wait: for the upstream to take all that is sent to
                # it, and over TLS to say goodbye, while it generates on.
                transport.abort()
        if reuse:
            connection.release()
        else:
            connection.close()


class _Watch(Trace):
    """Notes whether a connection comes from the pool."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    async def send_connection_reuseconn(self) -> None:
        self._attempt.reused = True

    async def _pass(self, host: str = "") -> None:
        pass

    send_connection_queued_start = send_connection_queued_end = _pass
    send_connection_create_start = send_connection_create_end = _pass
    send_dns_resolvehost_start = send_dns_resolvehost_end = _pass
    send_dns_cache_hit = send_dns_cache_miss = _pass
