"""The sockets that the server listens on: of an address, or a file."""

import asyncio
import errno
import os
import socket
import stat
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from attrs import frozen

from server.config.settings import Config

from .runner import ClientRunner

BACKLOG = 1024
# Seconds for which a client may take nothing of what is sent to it.
SEND_TIMEOUT = 120.0
# What a Unix socket's file is created without: it is for its user and group.
UMASK = 0o117


def listen(config: Config) -> list[socket.socket]:
    """
    Return the sockets that listen where *config* says, one for each worker.

    The kernel spreads connections over sockets far more evenly than processes that
    share one do: of 400 at once, 92 to 107 to each of four workers, not 7 to 186. macOS
    sends all to one of them, so that there the workers share it, and a file has only
    one anywhere. Raises OSError if the address can't be had.
    """
    host, port = config.server.host, config.server.port
    workers = config.server.workers
    if config.server.unix_socket:
        return [_listening_at(Path(config.server.unix_socket))] * workers
    alone = _listening(host, port, reuse_port=False)
    if workers == 1 or sys.platform != "linux":
        return [alone] * workers
    # Nobody else had the address, or that would have raised.
    port = alone.getsockname()[1]
    alone.close()
    return [_listening(host, port, reuse_port=True) for _ in range(workers)]


def url_of(sock: socket.socket, config: Config) -> str:
    """Return where clients find the server that listens on *sock*."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    scheme = "https" if config.tls else "http"
    return f"{scheme}://{place}{config.server.path_prefix}"


class Site(web.SockSite):
    """Serves on *sock*, which may be any that `listen` returns."""

    def __init__(
        self, runner: ClientRunner, sock: socket.socket, config: Config
    ) -> None:
        self._tls = config.tls.context() if config.tls else None
        super().__init__(runner, sock, ssl_context=self._tls, backlog=BACKLOG)
        self._file = SocketFile.of(sock)
        self._handshake = config.server.header_timeout if config.tls else None

    async def start(self) -> None:
        await web.BaseSite.start(self)
        loop, server = asyncio.get_running_loop(), self._runner.server
        if server is None:
            raise RuntimeError("the runner is to be set up first")
        make: Callable[..., Awaitable[asyncio.AbstractServer]] = (
            loop.create_unix_server
            if self._sock.family == socket.AF_UNIX
            else loop.create_server
        )
        self._server = await make(
            server,
            sock=self._sock,
            ssl=self._tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=self._handshake,
        )

    def show_certificate(self, config: Config) -> None:
        """Show the certificate of *config* to whoever connects from now on."""
        if self._tls is not None and config.tls:
            config.tls.put_into(self._tls)

    def remove_file(self) -> None:
        """Remove the socket's file, if it has one: nobody finds us there any more."""
        if self._file is not None:
            self._file.remove()


@frozen
class SocketFile:
    """The file of a Unix socket, known by its inode: another's is left alone."""

    path: Path
    inode: int

    @classmethod
    def of(cls, sock: socket.socket) -> "SocketFile | None":
        """Return that of *sock*, if it has one."""
        if sock.family != socket.AF_UNIX:
            return None
        path = Path(sock.getsockname())
        return cls(path, path.stat().st_ino)

    def remove(self) -> None:
        try:
            if self.path.stat().st_ino == self.inode:
                self.path.unlink()
        except FileNotFoundError:
            pass


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


def _listening_at(path: Path) -> socket.socket:
    _make_room(path)
    sock = socket.socket(socket.AF_UNIX)
    before = os.umask(UMASK)
    try:
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _make_room(path: Path) -> None:
    """Remove the socket of a server that is gone; raises OSError for all else there."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "a file of that name is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "another server listens there")
