"""Upstreams behind TLS, as all vendors are, before a real server process."""

import asyncio
import os
import socket
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from tests.conftest import MakeUpstream, Serve
from tests.rig.pictures import generated, picture
from tests.rig.upstream import HEAD, ROLE, answers, says

HALF = 500_000


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return what an upstream on this machine serves with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a server that trusts the upstream's certificate."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(file)
    return {"SSL_CERT_FILE": str(file)}


async def test_race(
    serve: Serve,
    make_upstream: MakeUpstream,
    tls: ssl.SSLContext,
    trusting: dict[str, str],
) -> None:
    """The winner's stream arrives whole, the loser is hung up on."""
    slow = await make_upstream([HEAD, ROLE, ...], tls=tls)
    words = says("a" * HALF, "b" * HALF)
    fast = await make_upstream([slow.asked, *words], tls=tls)
    client = await serve(slow.table("Slow"), fast.table("Fast"), environ=trusting)
    long = [{"role": "user", "content": "x" * 2 * HALF}]

    answer = await client.chat("Slow Fast", stream=True, messages=long)

    assert answer.said == "a" * HALF + "b" * HALF
    async with asyncio.timeout(5):
        await slow.hung_up.get()
    assert len(fast.requests[0].body) > 2 * HALF


async def test_connections_are_used_again(
    serve: Serve,
    make_upstream: MakeUpstream,
    tls: ssl.SSLContext,
    trusting: dict[str, str],
) -> None:
    """One handshake is enough for one answer after another, streamed or not."""
    upstream = await make_upstream(says("a"), tls=tls)
    client = await serve(upstream.table("One"), environ=trusting)

    for stream in (True, False) * 5:
        assert (await client.chat("One", stream=stream)).status == 200

    chats = [each for each in upstream.requests if each.method == "POST"]
    assert len(chats) == 10
    assert upstream.connections <= 2  # another one asks for the list of models


async def test_who_has_lost_may_win(
    serve: Serve,
    make_upstream: MakeUpstream,
    tls: ssl.SSLContext,
    trusting: dict[str, str],
) -> None:
    """
    A loser does not lose again for having lost: its connection is gone, but another one
    is there, handshake and all, when the next race begins.
    """
    both = [await make_upstream(says(name), tls=tls) for name in "AB"]
    tables = [each.table(name) for each, name in zip(both, "AB", strict=True)]
    client = await serve(*tables, environ=trusting)
    won: Counter[str] = Counter()

    for _ in range(60):
        won[(await client.chat("A B", stream=True)).said] += 1
        async with asyncio.timeout(5):
            while not all(each.idle for each in both):  # noqa: ASYNC110 - it comes
                await asyncio.sleep(0.001)

    assert min(won["A"], won["B"]) > 60 / 6, won


@asynccontextmanager
async def tunnel(port: int) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Start a proxy that connects everybody to *port*; yield what it was told."""
    told: list[bytes] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await reader.readuntil(b"\r\n\r\n"))
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(copy(reader, outer), copy(inner, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", told


async def test_through_a_proxy(
    serve: Serve,
    make_upstream: MakeUpstream,
    authority: trustme.CA,
    trusting: dict[str, str],
) -> None:
    """The environment's proxy makes a tunnel, kept for the next calls, with a login."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("provider.test").configure_cert(context)
    upstream = await make_upstream(says("Hi"), tls=context)
    table = '[providers.P]\nkind = "openai"\nbase_url = "https://provider.test/v1"'
    async with tunnel(upstream.port) as (address, told):
        environ = {**trusting, "https_proxy": f"http://me:secret@{address}"}
        client = await serve(table, environ=environ)
        answers = [await client.chat("P", stream=s) for s in (True, False) * 2]

    assert [answer.said for answer in answers] == ["Hi"] * 4
    assert len(told) <= 2  # another one asks for the list of models
    assert told[0].startswith(b"CONNECT provider.test:443 ")
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0" in told[0]
    assert "proxy-authorization" not in upstream.requests[-1].headers


class Deaf:
    """An upstream that begins to answer, and then neither reads nor writes."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(20)
        self._tls = tls
        self.hung_up = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.listening.getsockname()[1]}/v1"

    def _serve(self) -> None:
        while not self.hung_up.is_set():
            plain, _ = self.listening.accept()
            plain.settimeout(20)
            with self._tls.wrap_socket(plain, server_side=True) as wrapped:
                if not wrapped.recv(100_000).startswith(b"POST"):
                    continue  # it is asked for its models
                wrapped.sendall(HEAD + ROLE)
                # Past TLS: what it has to say at the end, and then the end itself.
                with socket.socket(fileno=os.dup(wrapped.fileno())) as raw:
                    raw.settimeout(20)
                    with suppress(ConnectionError):
                        while raw.recv(1000):
                            pass
                self.hung_up.set()


@pytest.mark.parametrize("task", ["chat", "images"])
async def test_hanging_up_waits_for_no_goodbye(
    serve: Serve,
    make_upstream: MakeUpstream,
    tls: ssl.SSLContext,
    trusting: dict[str, str],
    task: str,
) -> None:
    """A loser's connection ends at once, whether it says goodbye in TLS or not."""
    deaf = Deaf(tls)
    painted = answers(200, generated(picture()), ["Content-Type: application/json"])
    fast = await make_upstream([0.3, *(says("Hi") if task == "chat" else painted)])
    table = f'[providers.Deaf]\nkind = "openai"\nbase_url = "{deaf.url}"'
    client = await serve(table, fast.table("Fast"), environ=trusting)

    if task == "chat":
        answer = await client.chat("Deaf Fast", stream=True)
    else:
        body = {"model": "m", "provider": "Deaf Fast", "prompt": "x"}
        answer = await client.request("POST", "/v1/images/generate", json=body)

    assert (answer.status, answer.headers["X-Provider"]) == (200, "Fast")
    with deaf.listening:
        assert await asyncio.to_thread(deaf.hung_up.wait, 3)


async def test_certificate_that_nobody_knows(
    serve: Serve, make_upstream: MakeUpstream, tls: ssl.SSLContext
) -> None:
    """An upstream that can't prove who it is gets nothing."""
    upstream = await make_upstream(says("a"), tls=tls)
    client = await serve(upstream.table("One"))

    answer = await client.chat("One", stream=True)

    assert answer.status == 502
    (told,) = answer.json["error"]["providers"]
    assert told["message"] == "no TLS connection to it can be made"
    assert upstream.requests == []
