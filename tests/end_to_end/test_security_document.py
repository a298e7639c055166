"""SECURITY.md: its table is the code's, and its lines for nginx work."""

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.config.settings import (
    MediaSettings,
    RaceSettings,
    ResponseSettings,
    ServerSettings,
)
from server.process import connections, heads, serve
from server.stores import responses
from server.web import unpacking, unread, wrong_keys
from server.wire import reading
from server.wire.responses import request
from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import client
from tests.rig.upstream import says

TEXT = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
MIB = 1024 * 1024
DAY = 86_400


def test_defaults_are_those_of_the_code() -> None:
    """Who changes one of them changes the table."""
    server, race = ServerSettings(), RaceSettings()
    kept, media = ResponseSettings(), MediaSettings()

    for line in (
        f"`[server] max_body_bytes` | {server.max_body_bytes // MIB} MiB |",
        f"above {unpacking.FREE // MIB} MiB | fixed | {unpacking.RATIO} to 1 |",
        f"fixed | {unread.LARGEST} times `max_body_bytes` |",
        f"header_timeout` | {server.header_timeout:g} s |",
        f"{connections.PROGRESS} bytes a second, over {server.body_timeout:g} s |",
        f"{heads.REQUEST_LINE:,} bytes, {heads.HEADER // 1024} KiB, 256 KiB |",
        f"max_connections` | {server.max_connections:,} |",
        f"per_address` | {server.max_connections_per_address:,} |",
        f"{wrong_keys.AT_ONCE} at once; each further one is answered later",
        f"up to {wrong_keys.LONGEST:g} s; one is forgotten in 6 s",
        f"fixed | {reading.DEEPEST}; {reading.MOST_OBJECTS:,} |",
        f"fixed | {request.MOST_ITEMS:,}; {responses.DEEPEST:,} |",
        f"max_racers` | {race.max_racers} |",
        f"total_timeout` | {race.total_timeout:g} s |",
        f"{race.first_token_timeout:g} s, {race.idle_timeout:g} s |",
        f"fixed | {serve.SEND_TIMEOUT:g} s |",
        f"{kept.max_entries:,}; {kept.max_bytes // MIB} MiB; 30 days.",
        f"{media.max_bytes // MIB // 1024} GiB; {media.max_age / DAY:g} days.",
    ):
        assert line in TEXT


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
async def test_lines_for_nginx(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """A stream comes through them as it is made, and a whole answer too."""
    go_on = asyncio.Event()
    first, *rest = says("Hi", " there")[2:]
    upstream = await make_upstream([*says()[:2], first, go_on, *rest])
    server = await start_server(upstream.table("One"))

    async with in_front(server.url, tmp_path) as url, client(url) as through:
        async with through.open_chat("One") as answer:
            begun = await answer.content.readuntil(b"Hi")
            go_on.set()
            assert b"[DONE]" in begun + await answer.content.read()
        assert (await through.chat("One")).said == "Hi there"


@asynccontextmanager
async def in_front(url: str, folder: Path) -> AsyncIterator[str]:
    """Run nginx with the document's lines before the server at *url*."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (lines,) = re.findall(r"```nginx\n(.*?)```", TEXT, re.DOTALL)
    lines = lines.replace("http://127.0.0.1:1337", url)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port};\n{lines} }} }}\n"
    )
    process = await asyncio.create_subprocess_exec(
        *("nginx", "-p", str(folder), "-c", str(config)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
