"""A server that stops asks its clients to come back over another connection."""

from aiohttp import web

from server.keys import GATEWAY


def close_when_draining(request: web.Request, response: web.StreamResponse) -> None:
    if request.app[GATEWAY].drain.draining:
        response.force_close()
