"""One request and its answer, over a connection of aiohttp's pool but past its reader.

aiohttp's connector has all that a connection needs: the pool, DNS, TLS, proxies. Its
session and its streams cost more than the rest of a race, and a task that wakes up for
every event. Here what arrives goes on in the same turn of the event loop.
"""

import asyncio
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from time import perf_counter
from typing import Protocol

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from attrs import define, field

from .attempt import Attempt
from .parser import AnswerParser

# How often a call is sent at most: dead connections that nobody has noticed are few.
MAX_SENT = 3
# Spare connections that are being opened at a time, and the seconds that one may take.
MOST_OPENING = 8
SPARE_TIMEOUT = 10.0
# Seconds after the race: its own first token goes out before.
SPARE_AFTER = 0.02
# Bytes that are handed on at once: for a slow client, what is made of them waits, which
# is many times their size.
MOST_AT_ONCE = 32 * 1024
FORBIDDEN = re.compile(r"[\r\n\0]")


class Taker(Protocol):
    """Whoever takes the body of an answer as it arrives."""

    def take(self, data: bytes) -> bool:
        """Take some of the body; return whether that is enough for now."""
        ...

    def end(self, error: Exception | None) -> None:
        """Take in that the body is over: whole, if there is no *error*."""
        ...


@define(eq=False)
class Line:
    """Where connections come from: *connector* makes them for *origin*."""

    connector: aiohttp.BaseConnector
    origin: aiohttp.ClientRequest
    _opening: set[asyncio.Task[None]] = field(factory=set, init=False)

    async def connect(self, seconds: float, traces: list[Trace]) -> Connection:
        """Take a connection from the pool, or make one within so many seconds."""
        return await self.connector.connect(self.origin, traces, _within(seconds))

    def open_spare(self) -> None:
        """
        Have a connection ready in place of one that was hung up on.

        Or who has lost a race would meet the next one with a handshake before it, while
        the winner's connection is open still: it would lose again for having lost.
        """
        if len(self._opening) < MOST_OPENING:
            task = asyncio.ensure_future(self._open_spare())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_spare(self) -> None:
        await asyncio.sleep(SPARE_AFTER)
        with suppress(aiohttp.ClientError, OSError):
            connection = await self.connect(SPARE_TIMEOUT, [])
            connection.release()


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
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._taker: Taker | None = None
        # What has come of the body and nobody has taken yet.
        self._rest = b""
        self._held = False
        self._paused = False
        self._over = False
        self._closed = False
        self._error: Exception | None = None

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, by name in any case."""
        return self._answer.headers

    async def open(self, head: bytes, body: bytes, connect_timeout: float) -> None:
        """
        Connect within so many seconds, send a request, and wait for its answer's head.

        Sends again where a kept-alive connection was dead already.
        """
        for sent in range(1, MAX_SENT + 1):
            self._attempt.begin()
            connection = await self._connect(connect_timeout)
            try:
                self._send(connection, head, body)
                await self._head()
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
                # Each round takes one such connection out of the pool.
                if sent == MAX_SENT or not self._attempt.was_stale(exc):
                    raise
                self._over, self._error = False, None
            except BaseException:
                self.close()
                raise
            else:
                self._attempt.headers = perf_counter()
                return

    async def read(self) -> bytes:
        """Return what has come of the body, b"" at its end; raise what broke it."""
        while not self._rest:
            if self._error is not None:
                raise self._let_go()
            if self._over:
                return b""
            self._resume_reading()
            await self._wait()
        data, self._rest = self._rest, b""
        return data

    def hand_to(self, taker: Taker) -> None:
        """Hand the body to *taker* from now on, what has come of it at once."""
        self._taker = taker
        self._go_on()

    def resume(self) -> None:
        """Go on after a taker had enough."""
        if self._held:
            self._held = False
            self._go_on()

    def linger(self, seconds: float) -> None:
        """Hang up in so many seconds, unless the answer is over by then."""
        self._taker, self._rest = None, b""
        if not self._over:
            self._loop.call_later(seconds, self.close)

    def cut_off(self) -> None:
        """Hang up in the middle of an answer, and have another connection opened."""
        lost = self._connection is not None
        self.close()
        if lost:
            self._line.open_spare()

    def close(self) -> None:
        """Hang up, if the answer is not over yet."""
        self._taker, self._rest, self._closed = None, b"", True
        if not self._over:
            self._finish(aiohttp.ClientConnectionError("closed"))

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        answer = self._answer
        body = answer.feed(data)
        if body:
            if self._rest or self._held or self._taker is None:
                self._keep(body)
            elif len(body) <= MOST_AT_ONCE:
                self._held = self._taker.take(body)
            else:
                self._rest = body
                self._pump()
        if answer.complete or answer.error is not None:
            self._finish(answer.error)
        elif self._waiter is not None:
            self._wake()

    def eof_received(self) -> None:
        """Let the transport close by itself, which it tells."""

    def connection_lost(self, exc: Exception | None) -> None:
        connection, self._transport = self._connection, None
        if connection is not None and connection.protocol is not None:
            connection.protocol.connection_lost(exc)
        self._answer.lost(exc)
        self._finish(self._answer.error)

    async def _connect(self, seconds: float) -> Connection:
        try:
            connection = await self._line.connect(seconds, [_Watch(self._attempt)])
        except TimeoutError as exc:
            raise aiohttp.ConnectionTimeoutError from exc
        if self._closed:
            connection.close()
            raise aiohttp.ClientConnectionError("closed")
        self._attempt.connected = perf_counter()
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

    async def _head(self) -> None:
        while not self.status:
            if self._error is not None:
                raise self._let_go()
            await self._wait()

    def _let_go(self) -> Exception:
        """Return what broke it, for it to be raised, and to know this from then on."""
        error, self._error = self._error, None
        return error or aiohttp.ClientConnectionError("closed")

    async def _wait(self) -> None:
        """Wait until something has come, or nothing can come any more."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _go_on(self) -> None:
        self._pump()
        if not self._held:
            self._resume_reading()

    def _pump(self) -> None:
        """Hand on what has come, until the taker has enough."""
        while self._rest and not self._held and self._taker is not None:
            part, self._rest = self._rest, b""
            if len(part) > MOST_AT_ONCE:
                part, self._rest = part[:MOST_AT_ONCE], part[MOST_AT_ONCE:]
            self._held = self._taker.take(part)
        if self._over and not self._rest and not self._held:
            taker, self._taker = self._taker, None
            if taker is not None:
                taker.end(self._error)

    def _keep(self, body: bytes) -> None:
        self._rest += body
        full = len(self._rest) > MOST_AT_ONCE
        if full and not self._paused and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True

    def _resume_reading(self) -> None:
        if self._paused and self._transport is not None:
            self._transport.resume_reading()
        self._paused = False

    def _finish(self, error: Exception | None) -> None:
        """Take in that the answer is over, whole or broken by *error*."""
        if self._over:
            return
        self._over, self._error = True, error
        self._hand_back(reuse=error is None and self._answer.reusable)
        self._pump()
        self._wake()

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


@lru_cache(maxsize=100)
def _within(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=seconds, ceil_threshold=math.inf)


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


def request_head(target: str, headers: Mapping[str, str]) -> bytes:
    """
    Return the head of a POST to *target*, up to the length of its body.

    Raises ValueError for what HTTP can't say.
    """
    if FORBIDDEN.search("".join((target, *headers, *headers.values()))):
        raise ValueError("a header has a line break in it")
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"POST {target} HTTP/1.1\r\n{lines}Content-Length: ".encode()
