"""aiohttp as we call it: one session, no redirects, no waits without a bound."""

import asyncio
import contextlib
import ipaddress
import math
import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from time import perf_counter
from types import SimpleNamespace
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.connector import Connection
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.resolver import ThreadedResolver
from httptools import HttpParserError, HttpParserUpgrade
from yarl import URL

from providers.dialects import read_error
from providers.errors import (
    ProviderError,
    ProviderFailed,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnreachable,
)
from providers.settings import Limits

from .exchange import Exchange

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Seconds in which a TLS connection that is closed is to be answered in kind.
GOODBYE = 0.1
MAX_ERROR_BYTES = 64 * 1024
# Seconds that an error's body may take: its status is known, and says the most.
ERROR_PATIENCE = 2.0
# What happened to a connection, by the first class that an exception, or what caused
# it, is of.
BREAKS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((ContentEncodingError,), "its answer is compressed in a way that can't be read"),
    ((aiohttp.ClientConnectorDNSError,), "its host name can't be resolved"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "no TLS connection to it can be made"),
    (
        (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError),
        "the proxy to it can't be used",
    ),
    (
        (aiohttp.ClientConnectorError, ConnectionRefusedError),
        "no connection to it can be made",
    ),
    ((HttpParserError, HttpParserUpgrade), "its answer is not valid HTTP"),
    # RuntimeError: aiohttp has hung up by itself, since what came is no HTTP any more.
    ((aiohttp.ClientPayloadError, RuntimeError), "it broke its answer off"),
    ((aiohttp.ClientResponseError,), "its answer is not valid HTTP"),
)


class PublicResolver(ThreadedResolver):
    """Knows public addresses only: for URLs that others name (against SSRF)."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if not all(is_public(result["host"]) for result in found):
            raise OSError(None, "the address is not a public one")
        return found


class Request(aiohttp.ClientRequest):
    """
    A request that is not sent on when its connection is given up: closing alone would
    keep the connection until the upstream has taken everything, if it ever does.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        conn.add_callback(partial(_drop_unsent, conn.transport))
        return await super().send(conn)


def _drop_unsent(transport: asyncio.Transport | None) -> None:
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()


@contextlib.asynccontextmanager
async def open_session(*, public: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    """
    Open an HTTP session, which all providers may share.

    *public*: for URLs that the configuration does not name, to public addresses only.
    """
    # A compressed stream holds tokens back until the compressor has enough of them.
    headers = {"Accept-Encoding": "identity", "User-Agent": "interference/0.1"}
    resolver = PublicResolver() if public else None
    with warnings.catch_warnings():
        # aiohttp 4 will have no such option; without it, it is the loop's: 30 s.
        warnings.simplefilter("ignore", DeprecationWarning)
        connector = aiohttp.TCPConnector(
            limit=0, ttl_dns_cache=300, resolver=resolver, ssl_shutdown_timeout=GOODBYE
        )
    async with aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[_tracing()],
        request_class=Request,
    ) as session:
        yield session


def is_public(host: str) -> bool:
    """Say whether a host, if it is an IP address, is one of the public internet."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    if isinstance(address, ipaddress.IPv6Address):
        return address.is_global and all(a.is_global for a in _inside(address))
    return address.is_global


def _inside(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that a gateway would take out of an IPv6 address."""
    found = [address.ipv4_mapped, address.sixtofour]
    if address in NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]


def proxy_from_environment(url: URL) -> str | None:
    """Return the HTTP proxy that the environment names for *url*; none on loopback."""
    host = url.host or ""
    if host in {"localhost", "::1"} or host.startswith("127.") or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


# An answer to a call, by whichever way it was made.
Answer = Exchange | aiohttp.ClientResponse


async def check_status(response: Answer) -> None:
    """Raise the ProviderError that an answer's status stands for, if it is one."""
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls successful
        return
    try:
        raise await _error_of(response)
    finally:
        response.close()


async def _error_of(response: Answer) -> ProviderError:
    """Return what is raised elsewhere, since it will know who raises it."""
    status = response.status
    if status < 400:  # noqa: PLR2004 - below the errors: redirects
        text = f"it redirects (HTTP status {status}): check its base_url"
        return ProviderFailed(text, status=status)
    error = read_error(status, await read_explanation(response))
    # A header goes before what the body may have said.
    asked = retry_after(response.headers)
    error.retry_after = error.retry_after if asked is None else asked
    return error


async def read_explanation(response: Answer) -> bytes:
    """Read what an error says, as far as that is to be had."""
    body = bytearray()
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(ERROR_PATIENCE):
            while len(body) < MAX_ERROR_BYTES:
                if not (part := await read_some(response)):
                    break
                body += part
    return bytes(body[:MAX_ERROR_BYTES])


async def read_some(response: Answer) -> bytes:
    """Read what has come of a body, b"" at its end; or raise an aiohttp.ClientError."""
    if isinstance(response, Exchange):
        return await response.read()
    try:
        return await response.content.readany()
    except RuntimeError as exc:
        raise aiohttp.ClientPayloadError("the connection was closed") from exc


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a body to its end, or to *limit* bytes."""
    body = bytearray()
    while len(body) < limit and (part := await read_some(response)):
        body += part
    return bytes(body[:limit])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Return the seconds that an upstream asks to be left alone.

    `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
    """
    milliseconds = _number(headers.get("Retry-After-Ms", ""))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    value = headers.get("Retry-After", "")
    seconds = _number(value)
    if seconds is not None and seconds >= 0:
        return seconds
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# What a call fails with before there is an answer; ValueError is what HTTP can't say.
FAILURES = (aiohttp.ClientError, OSError, ValueError)


def failed_call(exc: Exception, limits: Limits) -> ProviderError:
    """Return what one of FAILURES is told as; what is late is late to connect."""
    if isinstance(exc, TimeoutError):
        return ProviderTimeout(f"no connection within {limits.connect_timeout:g} s")
    if isinstance(exc, aiohttp.ClientError | OSError):  # some are ValueErrors, too
        return ProviderUnreachable(what_broke(exc))
    return ProviderProtocolError("the request can't be sent to it")


def what_broke(exc: Exception) -> str:
    """Say what happened to a connection, without the address that aiohttp names."""
    chain: list[BaseException] = [exc]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    for classes, what in BREAKS:
        if any(isinstance(each, classes) for each in chain):
            return what
    return "it hung up"


def _tracing() -> aiohttp.TraceConfig:
    async def connected(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: object
    ) -> None:
        context.trace_request_ctx.connected = perf_counter()

    async def reused(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: object
    ) -> None:
        context.trace_request_ctx.connected = perf_counter()
        context.trace_request_ctx.reused = True

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(reused)
    return config
