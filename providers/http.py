"""aiohttp as we call it: one session, no redirects, no waits without a bound."""

import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from attrs import define
from yarl import URL

from .dialects import read_error
from .errors import ProviderFailed

MAX_ERROR_BYTES = 64 * 1024
# What happened to a connection, by the first class that an exception is of.
BREAKS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
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
    ((aiohttp.ClientPayloadError,), "it broke its answer off"),
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


@contextlib.asynccontextmanager
async def open_session(*, public: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    """
    Open an HTTP session, which all providers may share.

    *public*: for URLs that the configuration does not name, to public addresses only.
    """
    # A compressed stream holds tokens back until the compressor has enough of them.
    headers = {"Accept-Encoding": "identity", "User-Agent": "interference/0.1"}
    resolver = PublicResolver() if public else None
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, resolver=resolver),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[_tracing()],
    ) as session:
        yield session


def is_public(address: str) -> bool:
    """Say whether a host, if it is an IP address, is one of the public internet."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_global
    except ValueError:
        return True


@define
class Attempt:
    """What aiohttp tells of the connection that a request was given."""

    connected: bool = False
    reused: bool = False


def proxy_from_environment(url: URL) -> str | None:
    """Return the HTTP proxy that the environment names for *url*; none on loopback."""
    host = url.host or ""
    if host in {"localhost", "::1"} or host.startswith("127.") or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(url.scheme) or proxies.get("all")


async def check_status(response: aiohttp.ClientResponse) -> None:
    """Raise the ProviderError that an answer's status stands for, if it is one."""
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls successful
        return
    try:
        if status < 400:  # noqa: PLR2004 - below the errors: redirects
            text = f"it redirects (HTTP status {status}): check its base_url"
            raise ProviderFailed(text, status=status)
        error = read_error(status, await read_body(response, MAX_ERROR_BYTES))
        error.retry_after = retry_after(response.headers)
        raise error
    finally:
        response.close()


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a body to its end, or to *limit* bytes."""
    body = bytearray()
    while len(body) < limit and (part := await response.content.readany()):
        body += part
    return bytes(body[:limit])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Return the seconds that an upstream asks to be left alone.

    `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
    """
    try:
        if milliseconds := headers.get("Retry-After-Ms"):
            return max(float(milliseconds) / 1000, 0.0)
        value = headers.get("Retry-After")
        if value is None:
            return None
        if value.strip().replace(".", "", 1).isdecimal():
            return float(value)
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None


def what_broke(exc: Exception) -> str:
    """Say what happened to a connection, without the address that aiohttp names."""
    for classes, what in BREAKS:
        if isinstance(exc, classes):
            return what
    return "it hung up"


def _tracing() -> aiohttp.TraceConfig:
    async def connected(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: object
    ) -> None:
        context.trace_request_ctx.connected = True

    async def reused(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: object
    ) -> None:
        context.trace_request_ctx.connected = True
        context.trace_request_ctx.reused = True

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(reused)
    return config
