"""Lines between two processes, over a pair of sockets, that nobody waits for."""

import asyncio
from collections import deque
from collections.abc import Callable
from socket import socket

import structlog
from attrs import define, field

log = structlog.get_logger(__name__)

# Bytes that are read at once.
READ = 256 * 1024
# Fleeting lines that wait for a process that is behind: the oldest are dropped.
WAITING = 1000


@define(eq=False)
class Link:
    """
    One end of a pair of Unix sockets.

    *receive* is called with each line, *lost* once when the other end is gone: all that
    it had sent is received by then. No transport of the event loop's does that: it
    closes when a write fails, whatever has come and is not read yet.
    """

    sock: socket
    receive: Callable[[bytes], None]
    lost: Callable[[], None]
    # Bytes that the system has not taken yet: whole lines, but for the first.
    _firm: bytearray = field(factory=bytearray, init=False)
    _fleeting: deque[bytes] = field(factory=lambda: deque(maxlen=WAITING), init=False)
    _begun: bytes = field(default=b"", init=False)
    _writing: bool = field(default=False, init=False)
    _loop: asyncio.AbstractEventLoop = field(
        factory=asyncio.get_running_loop, init=False
    )

    def __attrs_post_init__(self) -> None:
        self.sock.settimeout(0)
        self._loop.add_reader(self.sock, self._read)

    def send(self, line: bytes, *, fleeting: bool = False) -> None:
        """Give a line, which ends in a newline, to the system, now or soon."""
        if self.sock.fileno() < 0:
            return  # nobody would read it
        if self._writing:
            if fleeting:
                self._fleeting.append(line)
            else:
                self._firm += line
            return
        self._firm += line
        self._write()

    def close(self) -> None:
        """Give up the connection; what the system has not taken yet is lost."""
        if self.sock.fileno() >= 0:
            self._loop.remove_reader(self.sock)
            self._loop.remove_writer(self.sock)
            self.sock.close()

    def _write(self) -> None:
        try:
            while self._firm or self._fleeting:
                if not self._firm:
                    self._firm += self._fleeting.popleft()
                del self._firm[: self.sock.send(self._firm)]
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self.sock, self._write)
            return
        except OSError:
            # The other end is gone, which reading will tell once all is read.
            self._firm.clear()
            self._fleeting.clear()
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self.sock)

    def read_all(self) -> None:
        """Receive all that has come so far."""
        while self._read():
            pass

    def _read(self) -> bool:
        """Receive some of what has come; False: there was nothing."""
        if self.sock.fileno() < 0:
            return False
        try:
            data = self.sock.recv(READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # it died, and had not read all: after all that it had sent
        if not data:
            self.close()
            self.lost()
            return False
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            self._take(line)
        return True

    def _take(self, line: bytes) -> None:
        try:
            self.receive(line)
        except Exception as exc:  # the lines after it are as good as any
            log.exception("a message between processes is lost", reason=repr(exc))
