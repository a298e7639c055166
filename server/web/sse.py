"""Server-sent events as we send them: frames that are encoded already."""

import asyncio

from aiohttp import HttpVersion11, web
from aiohttp.hdrs import CONNECTION
from aiohttp_sse import EventSourceResponse

from .middlewares.draining import close_after


class EventStream(EventSourceResponse):
    """
    aiohttp-sse's response, with its pings. Its time-out for clients that do not read is
    off: every connection has one from the socket that accepted it.
    """

    # The headers wait for the first frames, to leave in one write with them.
    _send_headers_immediately = False

    def __init__(self, request: web.Request, *, ping_interval: float) -> None:
        super().__init__(
            sep="\n",
            allow_all_methods=True,
            ping_interval=ping_interval,
            send_timeout=None,
        )
        self._request = request
        # HTTP/1.1's chunks have an end; in HTTP/1.0, the connection's end is it.
        self._in_chunks = request.version >= HttpVersion11
        del self.headers[CONNECTION]  # aiohttp sets it as it is right
        if not self._in_chunks:
            close_after(self)
        self._protocol = request.protocol
        self._timer: asyncio.TimerHandle | None = None
        self._beginning: asyncio.Task[None] | None = None

    def hold(self, seconds: float) -> None:
        """
        Send the headers after so many seconds, unless they were sent before: clients
        and proxies do not wait for them for ever.
        """
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._stop_holding)

    async def begin(self, frames: bytes = b"") -> None:
        """Send the headers, unless they are sent, with the first *frames*."""
        self._let_go()
        if self._beginning is not None:
            await self._beginning
        elif not self.prepared:
            await self.prepare(self._request)
        if frames:
            await self.write(frames)
        else:
            self._request.writer.send_headers()

    def put(self, frames: bytes) -> bool:
        """
        Send whole frames; return whether the client is behind, and `catch_up` is due.

        They go past aiohttp's writer, which costs more than all else about an event, in
        the same encoding. Raises ConnectionResetError if the client is gone.
        """
        if not frames:
            return False
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has hung up")
        if self._in_chunks:
            frames = b"%x\r\n%b\r\n" % (len(frames), frames)
        transport.write(frames)
        return self._protocol.writing_paused

    async def catch_up(self) -> None:
        """Wait until the client has read most of what it was sent."""
        await self._request.writer.drain()

    async def finish(self, frames: bytes) -> None:
        """Send the last frames and end the answer."""
        self.stop()
        await self.write_eof(frames)

    def stop(self) -> None:
        """Stop the timers: send neither headers nor pings by itself any more."""
        self._let_go()
        if self._beginning is not None:
            self._beginning.cancel()
        # Pings have not begun if the client was gone before the headers.
        if self.is_connected():
            self.stop_streaming()
            # A cancelled task keeps its traceback, whose frames know this response: a
            # reference cycle.
            self._ping_task = None

    def _let_go(self) -> None:
        """Cancel the timer and forget it: each refers to the other."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_holding(self) -> None:
        self._beginning = asyncio.ensure_future(self._begin_alone())
        # Its failure is also that of the next write, which reports it.
        self._beginning.add_done_callback(
            lambda task: task.cancelled() or task.exception()
        )

    async def _begin_alone(self) -> None:
        if not self.prepared:
            await self.prepare(self._request)
            self._request.writer.send_headers()
