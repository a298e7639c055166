"""A server that stops asks its clients to come back over another connection."""

from aiohttp import web

from server.keys import GATEWAY


async def close_when_draining(
    request: web.Request, response: web.StreamResponse
) -> None:
    if request.config_dict[GATEWAY].drain.draining:
        response.force_close()
