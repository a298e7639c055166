"""aiohttp's session as we use it: no redirects, no waits without a bound."""

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace

import aiohttp
from aiohttp.connector import Connection

from .addresses import PublicResolver

# Seconds in which a TLS connection that is closed is to be answered in kind.
GOODBYE = 0.1


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


def _tracing() -> aiohttp.TraceConfig:
    async def connected(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: object
    ) -> None:
        context.trace_request_ctx.connect()

    async def reused(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: object
    ) -> None:
        context.trace_request_ctx.reused = True
        context.trace_request_ctx.connect()

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(reused)
    return config
