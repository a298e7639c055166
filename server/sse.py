"""Server-sent events as we send them: on any method, of frames encoded already."""

from aiohttp import web
from aiohttp_sse import EventSourceResponse


class EventStream(EventSourceResponse):
    """
    aiohttp-sse's response, with its pings. Its time-out for clients that do not read is
    off: every connection has one already, from the socket that it was accepted on.
    """

    def __init__(self, *, ping_interval: float) -> None:
        super().__init__(
            sep="\n",
            allow_all_methods=True,
            ping_interval=ping_interval,
            send_timeout=None,
        )

    async def begin(self, request: web.Request) -> None:
        """Send the headers, and pings from now on; a second call does nothing."""
        if not self.prepared:
            await self.prepare(request)

    async def send_frames(self, frames: bytes) -> None:
        """Send whole frames; waits while the client is slower than they come."""
        if frames:
            await self.write(frames)

    async def finish(self, frames: bytes) -> None:
        """Send the last frames and end the answer."""
        self.stop_pings()
        await self.write_eof(frames)

    async def fail(self, frame: bytes) -> None:
        """Send an error as the last frame, and close the connection after it."""
        self.force_close()
        await self.finish(frame)

    def stop_pings(self) -> None:
        if self.prepared:
            self.stop_streaming()
