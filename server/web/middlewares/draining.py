"""A server that stops asks its clients to come back over another connection."""

from aiohttp import web

from server.web.context import VISIT


def close_when_draining(request: web.Request, response: web.StreamResponse) -> None:
    if request[VISIT].gateway.drain.draining:
        response.force_close()
