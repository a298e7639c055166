"""SECURITY.md: its table is the code's, and its lines for nginx and Caddy work."""

import asyncio
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from server.config.server_settings import ServerSettings
from server.config.settings import RaceSettings
from server.config.store_settings import MediaSettings, ResponseSettings
from server.process import connections, heads, listening
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
        f"handshake | `[server] header_timeout` | {server.header_timeout:g} s |",
        f"per_address` | {server.max_connections_per_address:,} |",
        f"{wrong_keys.AT_ONCE} at once; each further one is answered later",
        f"up to {wrong_keys.LONGEST:g} s; one is forgotten in 6 s",
        f"fixed | {reading.DEEPEST}; {reading.MOST_OBJECTS:,} |",
        f"fixed | {request.MOST_ITEMS:,}; {responses.DEEPEST:,} |",
        f"max_racers` | {race.max_racers} |",
        f"total_timeout` | {race.total_timeout:g} s |",
        f"{race.first_token_timeout:g} s, {race.idle_timeout:g} s |",
        f"fixed | {listening.SEND_TIMEOUT:g} s |",
        f"{kept.max_entries:,}; {kept.max_bytes // MIB} MiB; 30 days.",
        f"{media.max_bytes // MIB // 1024} GiB; {media.max_age / DAY:g} days.",
    ):
        assert line in TEXT


class Proxy(NamedTuple):
    """One that stands in the document, and what runs it with that and more lines."""

    program: str
    lines: str
    command: Callable[[str, Path, int], list[str]]


def nginx(lines: str, folder: Path, port: int) -> list[str]:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    config = folder / "nginx.conf"
    # As root it would go on as somebody who may not use our sockets.
    user = "user root; " if os.getuid() == 0 else ""
    config.write_text(
        f"{user}daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port};\n{lines} }} }}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(config)]


def caddy(lines: str, folder: Path, port: int) -> list[str]:
    config = folder / "Caddyfile"
    site = f"http://127.0.0.1:{port} {{\n    bind 127.0.0.1"
    # It believes nobody's X-Forwarded-For either, unless it is told to.
    believing = "servers {\n trusted_proxies static 127.0.0.1\n }\n"
    whole = f"{{\n admin off\n {believing}}}\n{lines}"
    config.write_text(whole.replace("llm.example.com {", site))
    return ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]


PROXIES = {
    "nginx": Proxy("nginx", "http://127.0.0.1:1337", nginx),
    "caddy": Proxy("caddy", "127.0.0.1:1337", caddy),
}
SOCKETS = {"nginx": "http://unix:{}", "caddy": "unix/{}"}


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("by", ["address", "socket"])
async def test_lines_for_proxies(
    start_server: StartServer,
    make_upstream: MakeUpstream,
    tmp_path: Path,
    name: str,
    by: str,
) -> None:
    """
    A stream comes through them as it is made, and a whole answer too; the server knows
    who the client is, and by which URL it came.
    """
    if which(name) is None:
        pytest.skip(f"{name} is not installed")
    go_on = asyncio.Event()
    first, *rest = says("Hi", " there")[2:]
    upstream = await make_upstream([*says()[:2], first, go_on, *rest])
    path = tmp_path / "s"
    toml = {
        "address": "[server]\ntrusted_proxies = ['127.0.0.1']",
        "socket": f"[server]\nunix_socket = '{path}'\n"
        "trusted_proxies = ['unix', '127.0.0.1']",
    }
    server = await start_server(toml[by], upstream.table("One"))
    proxy = PROXIES[name]
    place = proxy.lines.replace("127.0.0.1:1337", server.url.partition("//")[2])
    if by == "socket":
        place = SOCKETS[name].format(path)

    async with in_front(proxy, place, tmp_path) as url, client(url) as through:
        async with through.open_chat("One") as answer:
            begun = await answer.content.readuntil(b"Hi")
            go_on.set()
            assert b"[DONE]" in begun + await answer.content.read()
        assert (await through.chat("One")).said == "Hi there"
        based = await through.get("/v1", headers={"X-Forwarded-For": "203.0.113.9"})
        assert based.json["openai_base_url"] == f"{url}/v1"
        await through.get("/v1/nothing", headers={"X-Forwarded-For": "203.0.113.9"})
        await server.logged("/v1/nothing.*client=203.0.113.9")


def which(program: str) -> str | None:
    """Return where *program* is: on the path, or beside this Python."""
    return shutil.which(program) or shutil.which(
        program, path=str(Path(sys.executable).parent)
    )


@asynccontextmanager
async def in_front(proxy: Proxy, place: str, folder: Path) -> AsyncIterator[str]:
    """Run a proxy with the document's lines before the server at *place*."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = proxy.program
    (lines,) = re.findall(rf"```{program}\n(.*?)```", TEXT, re.DOTALL)
    assert proxy.lines in lines
    command = proxy.command(lines.replace(proxy.lines, place), folder, port)
    process = await asyncio.create_subprocess_exec(
        *(which(program) or program, *command[1:]),
        env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
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
