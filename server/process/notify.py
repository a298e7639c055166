"""What systemd is told of a service of `Type=notify`."""

import os
from contextlib import suppress
from socket import AF_UNIX, SOCK_DGRAM, socket
from time import monotonic_ns

READY = "READY=1"
STOPPING = "STOPPING=1"


def notify(*states: str) -> None:
    """Send *states* to whoever has started this service, if that wants to hear them."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # the name of an abstract socket
    # Nobody may be there any more, which is no trouble of whoever is served here.
    with suppress(OSError), socket(AF_UNIX, SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.send("\n".join(states).encode())


def notify_reloading() -> None:
    """Tell that a reload has begun; it ends with READY."""
    notify("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")
