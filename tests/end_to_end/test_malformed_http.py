"""What HTTP's parser refuses, and what is refused at a request's head."""

import asyncio
import gzip
import json
from typing import Any

from attrs import frozen

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT, hello
from tests.rig.raw_client import raw_client
from tests.rig.server_process import Server
from tests.rig.upstream import says

from .test_requests import key

SECRET = "sk-nobody-may-read-this"
PAGE = "http://localhost:5173"
HEAD = (
    f"POST {CHAT}?key={SECRET} HTTP/1.1\r\nHost: localhost\r\nOrigin: {PAGE}\r\n"
    f"Authorization: Bearer {SECRET}\r\nCookie: {SECRET}\r\n"
).encode()
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MESSAGES = HEAD.replace(b"chat/completions", b"messages")
TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 507
# The parts in which it is sent, the status, and a word of the message.
MALFORMED: dict[str, tuple[list[bytes], int, str]] = {
    "no request line": ([SECRET.encode() + b"\r\n\r\n"], 400, "request line"),
    "no such method": ([HEAD.replace(b"POST", b"P\xf6ST") + b"\r\n"], 400, "line"),
    "HTTP/3.7": ([HEAD.replace(b"/1.1", b"/3.7") + b"\r\n"], 400, "request line"),
    "HTTP/2.0": ([HEAD.replace(b"/1.1", b"/2.0") + b"\r\n"], 400, "request line"),
    "TLS": ([TLS], 400, "HTTPS"),
    "no Host": ([b"GET / HTTP/1.1\r\n\r\n"], 400, "Host"),
    "two Hosts": ([HEAD + b"Host: b\r\n\r\n"], 400, "twice"),
    "blank in a name": ([HEAD + f"X {SECRET}: a\r\n\r\n".encode()], 400, "header"),
    "NUL in a header": ([HEAD + f"X: {SECRET}\0\r\n\r\n".encode()], 400, "header"),
    "NUL, later": ([HEAD, f"X: {SECRET}\0\r\n\r\n".encode()], 400, "header"),
    "two lengths": (
        [HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"],
        400,
        "Length",
    ),
    "no length": ([HEAD + b"Content-Length: ten\r\n\r\n"], 400, "Length"),
    "odd transfer": ([HEAD + b"Transfer-Encoding: br\r\n\r\n"], 400, "Transfer"),
    "bad chunk": ([CHUNKED + SECRET.encode() + b"\r\n"], 400, "chunks"),
    "bad chunk, later": ([CHUNKED, SECRET.encode() + b"\r\n"], 400, "chunks"),
    "bad second chunk": ([CHUNKED, b"1\r\n{\r\n", b"zz\r\n"], 400, "chunks"),
    "chunk too long": ([CHUNKED, b"1\r\n{{{{\r\n"], 400, "chunks"),
    "long header": ([HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n"], 431, "65536"),
    "huge header": ([HEAD + b"X: " + b"x" * 7_000_000 + b"\r\n\r\n"], 431, "65536"),
    "long head": ([HEAD] + [b"X: " + b"x" * 60_000 + b"\r\n"] * 9, 431, "262144"),
    "many headers": ([HEAD + b"X: y\r\n" * 500 + b"\r\n"], 400, "many headers"),
    "long line": ([b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n"], 414, "8190"),
}


@frozen
class Got:
    """An answer as it came over a socket, and whether the server hung up after it."""

    status: int
    head: str
    body: bytes
    ended: bool

    @property
    def error(self) -> Any:
        return json.loads(self.body)["error"]


async def ask(server: Server, parts: list[bytes], gap: float = 0.05) -> Got:
    """Send *parts* one after another, and read what comes, to its end if it has one."""
    async with raw_client(server.url) as client:
        for part in parts:
            await client.send(part)
            await asyncio.sleep(gap if len(parts) > 1 else 0)
        try:
            async with asyncio.timeout(2):
                await client.to_the_end()
            ended = True
        except TimeoutError:
            ended = False
        head, _, body = bytes(client.received).partition(b"\r\n\r\n")
        return Got(int(head.split()[1]), head.decode(), body, ended)


async def test_what_is_no_http_gets_an_error_object(start_server: StartServer) -> None:
    """It has an id and CORS headers, repeats nothing, and is one line in the log."""
    server = await start_server()

    for name, (parts, status, word) in MALFORMED.items():
        before = len(server.log)
        got = await ask(server, parts)

        assert got.status == status, name
        assert word in got.error["message"], name
        assert got.error["type"] == "invalid_request_error", name
        assert got.error["code"] == "invalid_http", name
        assert "\r\nX-Request-ID: " in got.head, name
        assert "\r\nConnection: close" in got.head, name
        if parts[0].startswith(HEAD):
            assert f"\r\nAccess-Control-Allow-Origin: {PAGE}\r\n" in got.head, name
        assert got.ended, name
        await server.logged(rf"request .*status={status}.* error=", before)
        logged = server.log[before:]
        assert SECRET not in got.head + got.body.decode() + "\n".join(logged), name
        assert len(logged) == 1, logged


async def test_shape_is_that_of_the_api(start_server: StartServer) -> None:
    """Anthropic's clients get errors of theirs, also where only a head is known."""
    server = await start_server()

    for parts in ([MESSAGES + b"X: \0\r\n\r\n"], [MESSAGES, b"X: \0\r\n\r\n"]):
        got = await ask(server, parts)
        assert json.loads(got.body)["type"] == "error"
        assert "\r\nRequest-ID: " in got.head


async def test_server_names_no_versions(start_server: StartServer) -> None:
    """Nobody learns which release of what is to be attacked."""
    server = await start_server()

    for head in (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"GET x\r\n"):
        got = await ask(server, [head + b"Connection: close\r\n\r\n"])
        assert "\r\nServer: Interference\r\n" in got.head


async def test_header_lines_of_64_kib_are_taken(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Browsers send the cookies of all ports of localhost; nothing of them goes on."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(upstream.table("One"))
    body = json.dumps(hello("One")).encode()
    cookies = b"Cookie: " + b"c" * (65_536 - 8)
    head = HEAD.replace(b"Cookie: " + SECRET.encode(), cookies)

    got = await ask(
        server,
        [head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body],
    )

    assert got.status == 200
    assert "cookie" not in upstream.requests[0].headers


LENGTH = b"Content-Length: 10737418240\r\n"
WITH_KEY = b"x-api-key: k-key\r\n"
ZIPPED = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n"
BOMB = gzip.compress(b" " * 32_000_000)
REFUSED: dict[str, tuple[bytes, bytes, int]] = {
    "key": (b"POST /v1/chat/completions", LENGTH, 401),
    "key, packed": (b"POST /v1/chat/completions", ZIPPED % 500_000, 401),
    "route": (b"POST /v1/nothing", WITH_KEY + LENGTH, 404),
    "method": (b"PUT /v1/chat/completions", WITH_KEY + LENGTH, 405),
    "length": (b"POST /v1/chat/completions", WITH_KEY + LENGTH, 413),
    "length, form": (b"POST /v1/audio/transcriptions", WITH_KEY + LENGTH, 413),
    "encoding": (
        b"POST /v1/messages",
        WITH_KEY + b"Content-Encoding: lzma\r\nContent-Length: 500000\r\n",
        415,
    ),
    "two encodings": (
        b"POST /v1/responses",
        WITH_KEY + b"Content-Encoding: gzip, br\r\nContent-Length: 500000\r\n",
        415,
    ),
}


async def test_heads_that_say_enough_are_refused_without_their_bodies(
    start_server: StartServer,
) -> None:
    """Key, route, method, length and encoding: the answer comes before the body has."""
    server = await start_server(key("k"))

    for name, (line, headers, status) in REFUSED.items():
        head = line + b" HTTP/1.1\r\nHost: localhost\r\n" + headers
        waiting = head + b"Expect: 100-continue\r\n\r\n"
        for parts in ([head + b"\r\n"], [head + b"\r\n{"], [waiting]):
            got = await ask(server, parts)
            assert got.status == status, name
            assert got.error["message"], name
            assert "\r\nConnection: close" in got.head, name
            assert got.ended, name


async def test_body_is_asked_for_when_its_head_is_taken(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Who expects `100 Continue` gets it, and then the answer."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(upstream.table("One"))
    body = json.dumps(hello("One")).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-Continue\r\n\r\n"
    )

    async with raw_client(server.url) as client:
        await client.send(head.encode())
        await client.until(rb"^HTTP/1.1 100 Continue\r\n\r\n$")
        await client.send(body)
        await client.until(rb"HTTP/1.1 200 OK\r\n")


async def test_refused_bodies_are_not_unpacked_and_hold_up_nobody(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Bombs that come without a key cost their bytes, and nobody else any time."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(key("k"), upstream.table("One"))
    head = HEAD + ZIPPED % (len(BOMB) * 50) + b"\r\n"

    async def bomb() -> None:
        got = await ask(server, [head, *[BOMB] * 50], gap=0)
        assert got.status == 401

    async with asyncio.TaskGroup() as group:
        bombs = [group.create_task(bomb()) for _ in range(8)]
        while not all(task.done() for task in bombs):
            async with asyncio.timeout(1):
                healthy = await ask(
                    server,
                    [b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n"],
                )
                assert healthy.status == 200
