"""TLS by configuration: a certificate and its key, read again on SIGHUP."""

import asyncio
import signal
import ssl
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import trustme
from yarl import URL

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT, hello
from tests.rig.server_process import alone
from tests.rig.upstream import says


def issue(folder: Path) -> trustme.CA:
    """Have the server's files hold a certificate of an authority; return that."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (folder / "certificate.pem").write_bytes(chain)
    return authority


def table(folder: Path) -> str:
    return (
        f'[server]\ntls_certificate = "{folder}/certificate.pem"\n'
        f'tls_key = "{folder}/key.pem"\nheader_timeout = 2.0'
    )


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def said(url: str, authority: trustme.CA) -> str:
    """Chat on a connection of its own, with whom *authority* vouches for."""
    async with aiohttp.ClientSession() as session:
        posted = session.post(
            url + CHAT, json=hello("One", stream=True), ssl=trusting(authority)
        )
        async with posted as answer:
            return await answer.text()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_certificate_changes_while_it_serves(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path, workers: str
) -> None:
    """
    Streams come by HTTPS; SIGHUP shows the new certificate, a broken one changes
    nothing, not even for a worker that starts after it.
    """
    upstream = await make_upstream(says("Hi"))
    first = issue(tmp_path)
    server = await start_server(
        table(tmp_path), upstream.table("One"), arguments=["--workers", workers]
    )
    await server.logged("serving", times=int(workers))
    assert server.url.startswith("https://127.0.0.1:")
    assert "Hi" in await said(server.url, first)

    second = issue(tmp_path)
    server.signal(signal.SIGHUP)
    await server.logged("reloaded.*tls.certificate", times=1 if workers == "1" else 3)
    assert "Hi" in await said(server.url, second)
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await said(server.url, first)

    (tmp_path / "key.pem").write_bytes(trustme.CA().private_key_pem.bytes())
    server.signal(signal.SIGHUP)
    await server.logged("nothing changes.*server.tls_key: is not the key of the cert")
    for _ in range(4):
        assert "Hi" in await said(server.url, second)

    server.config.write_text(alone(upstream.table("One")))
    server.signal(signal.SIGHUP)
    await server.logged("needs a restart.*server.tls_certificate")


async def test_who_speaks_no_tls_is_hung_up_on(
    start_server: StartServer, tmp_path: Path
) -> None:
    """HTTP, or nothing at all, on the port of HTTPS ends soon, and quietly."""
    issue(tmp_path)
    server = await start_server(table(tmp_path))
    port = URL(server.url).port

    async def end(sent: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with asyncio.timeout(15):
        await asyncio.gather(end(b"GET / HTTP/1.1\r\n\r\n"), end(b""), end(b"\x16\x03"))

    await server.stop()
    assert not any("Traceback" in line or "error" in line for line in server.log)
