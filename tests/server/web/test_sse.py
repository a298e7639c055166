"""The event stream's response, where no process of the server can be brought to."""

import asyncio

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.web.sse import EventStream


async def test_stream_may_fail_before_it_begins() -> None:
    """A client that is gone before its headers is a lost connection, and no more."""
    ended: asyncio.Queue[object] = asyncio.Queue()

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        response = EventStream(request, ping_interval=1.0)
        with pytest.raises(ConnectionError):
            await response.begin()
        response.stop()
        ended.put_nowait(response)
        return response

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.get(server.make_url("/"))
        async with asyncio.timeout(5):
            await ended.get()
