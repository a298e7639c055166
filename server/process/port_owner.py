"""Finds the process that listens on a port, where the system tells."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

TABLES = ("net/tcp", "net/tcp6")
LISTENS = "0A"
SOCKET = re.compile(r"socket:\[(\d+)\]")


def port_owner(port: int, proc: Path = Path("/proc")) -> int | None:
    """Return the process that listens on *port*; None where that can't be known."""
    sockets = {
        inode for table in TABLES for inode in _listeners(proc / table, f"{port:04X}")
    }
    for folder in proc.glob("[0-9]*"):
        if sockets.intersection(_sockets(folder / "fd")):
            return int(folder.name)
    return None


def _listeners(table: Path, port: str) -> Iterator[str]:
    """Yield the sockets of a table of the kernel's that listen on a port."""
    with suppress(OSError):
        for line in table.read_text().splitlines()[1:]:
            columns = line.split()
            if columns[1].endswith(f":{port}") and columns[3] == LISTENS:
                yield columns[9]


def _sockets(descriptors: Path) -> Iterator[str]:
    """Yield the sockets of a process, if its descriptors may be read."""
    with suppress(OSError):
        for descriptor in descriptors.iterdir():
            with suppress(OSError):
                if match := SOCKET.fullmatch(str(descriptor.readlink())):
                    yield match[1]
