"""Streams over HTTP/1.0 and 1.1, through proxies, and the request that comes next."""

import asyncio
import contextlib
import json
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT
from tests.rig.raw_client import raw_client, unchunked
from tests.rig.server_process import Server
from tests.rig.upstream import DONE, END, HEAD, ROLE, Upstream, delta, event, says

ASK = [{"role": "user", "content": "hello"}]
# The three streams: where they are, and what asks for them.
SURFACES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": ASK},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"messages": ASK, "max_tokens": 99},
}
SURFACE = pytest.mark.parametrize("path", SURFACES)
WORDS = [f"word{number} " for number in range(12)]
# It says so much, and fails.
BROKEN = [
    HEAD,
    ROLE,
    delta(content="Hi"),
    0.05,
    event({"error": {"message": "broken"}}),
]
SLOW = [HEAD, 0.3, ROLE, delta(content="Hi"), 0.3, delta("stop"), DONE, END]
TIMES = 6


def body(path: str, provider: str, *, stream: bool = True) -> bytes:
    asked = {"model": "m", "provider": provider, "stream": stream, **SURFACES[path]}
    return json.dumps(asked).encode()


def post(path: str, content: bytes, version: str, *headers: str) -> bytes:
    lines = [
        f"POST {path} HTTP/{version}",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *headers,
        "\r\n",
    ]
    return "\r\n".join(lines).encode() + content


async def whole(url: str, request: bytes) -> tuple[str, bytes]:
    """Return the head and the body of an answer after which the server hangs up."""
    async with raw_client(url) as client:
        await client.send(request)
        head, _, rest = (await client.to_the_end()).partition(b"\r\n\r\n")
    return head.decode(), rest


def lines_of_events(stream: bytes) -> list[bytes]:
    """Return the lines that are not empty, all of which have to be an event's."""
    lines = [line for line in stream.split(b"\n") if line]
    assert lines
    for line in lines:
        assert line.startswith((b"data: ", b"event: ", b":")), line
    return lines


@pytest.fixture
async def server(start_server: StartServer, make_upstream: MakeUpstream) -> Server:
    """Start a server before one who speaks well, one who breaks, and a slow one."""
    scripts = {"Up": says(*WORDS), "Broken": BROKEN, "Slow": SLOW}
    upstreams: dict[str, Upstream] = {
        name: await make_upstream(script) for name, script in scripts.items()
    }
    tables = [upstream.table(name) for name, upstream in upstreams.items()]
    return await start_server(
        "[server]\nping_interval = 0.1\nheader_hold = 0.1", *tables
    )


@pytest.mark.parametrize("provider", ["Up", "Broken", "Slow"])
async def test_streams_have_no_chunks_for_clients_that_know_none(
    server: Server, provider: str
) -> None:
    """Over HTTP/1.0 events, errors and pings stand bare, and the end is the end."""
    for path in SURFACES:
        asked = body(path, provider)
        head, bare = await whole(server.url, post(path, asked, "1.0"))
        _, kept = await whole(
            server.url, post(path, asked, "1.0", "Connection: keep-alive")
        )
        other, chunks = await whole(
            server.url, post(path, asked, "1.1", "Connection: close")
        )

        assert "Transfer-Encoding" not in head
        assert "\r\nConnection: close" in head
        assert "\r\nTransfer-Encoding: chunked" in other
        assert "\r\nConnection: close" in other
        assert chunks.endswith(b"\r\n0\r\n\r\n")
        shown = lines_of_events(bare)
        assert lines_of_events(kept)
        assert lines_of_events(unchunked(chunks))
        if provider == "Slow":
            assert b": ping" in shown
        if provider == "Broken":
            assert b"error" in shown[-1]
        if provider == "Up":
            assert all(word.encode() in bare for word in WORDS)
            assert len(shown) == len(lines_of_events(unchunked(chunks)))


@SURFACE
async def test_connection_serves_the_next_request_after_a_broken_stream(
    server: Server, path: str
) -> None:
    """After the error's frame and the last chunk, again and again, on one socket."""
    async with raw_client(server.url) as client:
        for _ in range(TIMES):
            client.received.clear()
            await client.send(post(path, body(path, "Broken"), "1.1"))
            await client.until(rb"\r\n0\r\n\r\n$")
            head, _, chunks = bytes(client.received).partition(b"\r\n\r\n")
            shown = unchunked(chunks)
            assert b"Connection: close" not in head
            assert b"error" in shown.rstrip().rpartition(b"\n\n")[2]
            assert b"[DONE]" not in shown

            client.received.clear()
            await client.send(post(path, body(path, "Up", stream=False), "1.1"))
            await client.until(rb"word11")
            assert client.received.startswith(b"HTTP/1.1 200 OK\r\n")


@SURFACE
async def test_pools_lose_no_request_after_a_broken_stream(
    server: Server, path: str
) -> None:
    """The pooled connections of aiohttp, httpx and requests are good for more."""
    broken, sound = body(path, "Broken"), body(path, "Up", stream=False)
    headers = {"Content-Type": "application/json"}
    url = server.url + path

    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(TIMES):
            async with session.post(url, data=broken) as answer:
                assert b"error" in await answer.read()
            async with session.post(url, data=sound) as answer:
                assert answer.status == 200
    async with httpx.AsyncClient(headers=headers) as client:
        for _ in range(TIMES):
            assert b"error" in (await client.post(url, content=broken)).content
            assert (await client.post(url, content=sound)).status_code == 200
    async with httpx2.AsyncClient(headers=headers) as newer:
        for _ in range(TIMES):
            assert b"error" in (await newer.post(url, content=broken)).content
            assert (await newer.post(url, content=sound)).status_code == 200

    def with_requests() -> None:
        with requests.Session() as session:
            for _ in range(TIMES):
                asked = session.post(url, data=broken, headers=headers, timeout=30)
                assert b"error" in asked.content
                asked = session.post(url, data=sound, headers=headers, timeout=30)
                assert asked.status_code == 200

    await asyncio.to_thread(with_requests)


AGENT = """
const http = require("http"), [url, ...bodies] = process.argv.slice(1);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const ask = (body) => new Promise((resolve, reject) => {
  const headers = { "content-type": "application/json" };
  const asked = http.request(url, { agent, method: "POST", headers }, (answer) => {
    let text = "";
    answer.on("data", (piece) => (text += piece));
    answer.on("end", () => resolve([answer.statusCode, text.includes("error")]));
    answer.on("error", reject);
  });
  asked.on("error", reject);
  asked.end(body);
});
(async () => {
  for (let i = 0; i < 10; i++)
    for (const body of bodies) console.log(JSON.stringify(await ask(body)));
  process.exit(0);
})().catch((error) => { console.log(error); process.exit(1); });
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node: .ci/run has it")
@SURFACE
async def test_nodes_agent_loses_no_request_after_a_broken_stream(
    server: Server, path: str
) -> None:
    """Node's http.Agent asks again on the same socket, at once."""
    process = await asyncio.create_subprocess_exec(
        *("node", "-e", AGENT, server.url + path),
        *(body(path, "Broken").decode(), body(path, "Up").decode()),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()

    assert process.returncode == 0, out.decode()
    expected = ["[200,true]", "[200,false]"] if path == CHAT else None
    lines = out.decode().split()
    assert len(lines) == 20
    assert all(line.startswith("[200,") for line in lines)
    assert expected is None or lines == expected * 10


NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass {url}; {more} }}
  }}
}}
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@asynccontextmanager
async def nginx(folder: Path, url: str, more: str = "") -> AsyncIterator[str]:
    """Start an nginx before the server at *url*; return its own URL."""
    folder.mkdir()  # noqa: ASYNC240 - small, and nothing else runs yet
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, url=url, more=more))
    process = await asyncio.create_subprocess_exec(
        *("nginx", "-c", str(config), "-e", str(folder / "error.log"))
    )
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.skipif(
    shutil.which("nginx") is None, reason="needs nginx: apt-get install nginx-light"
)
@pytest.mark.parametrize(
    "more", ["", 'proxy_http_version 1.1; proxy_set_header Connection "";']
)
async def test_streams_come_whole_through_nginx(
    server: Server, tmp_path: Path, more: str
) -> None:
    """With nothing but `proxy_pass`, or with HTTP/1.1: what is sent is what comes."""
    async with (
        nginx(tmp_path / "nginx", server.url, more) as url,
        aiohttp.ClientSession() as session,
    ):
        for path in SURFACES:
            for provider in ("Up", "Broken", "Slow"):
                async with session.post(
                    url + path,
                    data=body(path, provider),
                    headers={"Content-Type": "application/json"},
                ) as answer:
                    shown = await answer.read()
                assert answer.status == 200
                lines_of_events(shown)
                if provider == "Up":
                    assert all(word.encode() in shown for word in WORDS)


async def test_whole_answers_are_the_same_over_every_version(server: Server) -> None:
    """HTTP/1.0 with and without keep-alive, HTTP/1.1 with and without close."""
    asked = body(CHAT, "Up", stream=False)
    bodies = set()
    for version, headers in (
        ("1.0", ()),
        ("1.0", ("Connection: keep-alive",)),
        ("1.1", ()),
        ("1.1", ("Connection: close",)),
    ):
        async with raw_client(server.url) as client:
            await client.send(post(CHAT, asked, version, *headers))
            await client.until(rb"\}\}$")
            bodies.add(bytes(client.received).partition(b"\r\n\r\n")[2])

    assert len(bodies) == 1
