"""Debian's nginx before a server, with as little configuration as people give it."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

CONFIG = """
daemon off;
master_process off;
error_log {folder}/error.log;
pid {folder}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {url};
            {more}
        }}
    }}
}}
"""
# What people add to the bare `proxy_pass`, which speaks HTTP/1.0 to the server.
FRONTS = {
    "HTTP/1.0": "",
    "HTTP/1.1": 'proxy_http_version 1.1; proxy_set_header Connection "";',
}


def found() -> str | None:
    """Return where nginx is, which may not be on an ordinary user's path."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@asynccontextmanager
async def nginx(url: str, version: str, folder: Path) -> AsyncIterator[str]:
    """
    Put nginx before the server at *url*, which it asks by HTTP of that *version*, and
    yield its own URL. Raises FileNotFoundError where nginx is missing.
    """
    program = found()
    if program is None:
        raise FileNotFoundError("nginx is not installed")
    port = _free_port()
    text = CONFIG.format(folder=folder, port=port, url=url, more=FRONTS[version])
    config = folder / "nginx.conf"
    config.write_text(text, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(program, "-p", str(folder), "-e", str(folder / "error.log")),
        *("-c", str(config)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listening(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    """Wait until somebody listens there, since nginx does not say when it does."""
    async with asyncio.timeout(10):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
    raise OSError("nginx did not start")
