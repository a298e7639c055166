"""A client on a bare socket: it reads when it is told to, and leaves as it is told."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from attrs import define, field
from yarl import URL

from .client import CHAT

Leaving = Literal["close", "reset", "half-close"]
LEAVINGS: tuple[Leaving, ...] = ("close", "reset", "half-close")
LONGEST = 1024


@define(eq=False)
class RawClient:
    """One connection; *received* is all that has been read from it."""

    sock: socket.socket
    received: bytearray = field(factory=bytearray)

    async def ask(self, body: dict[str, Any], path: str = CHAT) -> None:
        """Send a request, whole."""
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        await self.send(head.encode() + content)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def read(self) -> bool:
        """Read what there is; return False at the end."""
        async with asyncio.timeout(30):
            got = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 20)
        self.received += got
        return bool(got)

    async def until(self, pattern: bytes) -> None:
        """Read until *pattern*, a short one, comes."""
        seen = 0
        while not re.search(pattern, self.received[seen:]):
            seen = max(len(self.received) - LONGEST, 0)
            assert await self.read(), f"no {pattern!r} in {bytes(self.received)!r}"

    async def to_the_end(self) -> bytes:
        """Read until the server hangs up; return all that was read."""
        while await self.read():
            pass
        return bytes(self.received)

    def leave(self, how: Leaving = "close") -> None:
        if how == "half-close":
            self.sock.shutdown(socket.SHUT_WR)
            return
        if how == "reset":
            reset_on_close(self.sock)
        self.sock.close()


@asynccontextmanager
async def raw_client(
    url: str, receive_buffer: int | None = None
) -> AsyncIterator[RawClient]:
    """Connect to the server at *url*; *receive_buffer*: less than the kernel's own."""
    address = URL(url).host, URL(url).port
    with socket.socket() as sock:
        sock.setblocking(False)  # noqa: FBT003 - positional only
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, address)
        yield RawClient(sock)


def reset_on_close(sock: socket.socket) -> None:
    """Have *sock* closed the hard way: no lingering, so that TCP sends a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def unchunked(body: bytes) -> bytes:
    """Return a chunked body's content, as far as it goes."""
    content = bytearray()
    at = 0
    while (end := body.find(b"\r\n", at)) > 0:
        size = int(body[at:end], 16)
        content += body[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
    return bytes(content)
