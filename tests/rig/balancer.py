"""Debian's haproxy before several servers, as operators run it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

CONFIG = """
global
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option redispatch
    retries 3
    retry-on conn-failure
listen interference
    bind 127.0.0.1:{port}
    balance leastconn
    option httpchk GET /readyz
    default-server check inter 200ms fall 1 rise 1 init-addr none
{servers}
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@asynccontextmanager
async def balancer(folder: Path, urls: Sequence[str]) -> AsyncIterator[str]:
    """Run one before the servers at *urls*; yield its own URL."""
    port = free_port()
    servers = [
        f"    server s{number} {urlsplit(url).netloc}"
        for number, url in enumerate(urls)
    ]
    file = folder / "haproxy.cfg"
    file.write_text(CONFIG.format(port=port, servers="\n".join(servers)))
    process = await asyncio.create_subprocess_exec(
        "haproxy", "-db", "-f", str(file), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
