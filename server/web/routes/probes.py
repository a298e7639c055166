"""What an operator's machinery asks: is it alive, and can it serve?"""

import orjson
from aiohttp import web

from server.web.context import VISIT

routes = web.RouteTableDef()


@routes.get("/healthz")
async def is_alive(_: web.Request) -> web.Response:
    return _status(200, "ok")


@routes.get("/readyz")
async def is_ready(request: web.Request) -> web.Response:
    gateway = request[VISIT].gateway
    if gateway.drain.draining:
        return _status(503, "draining")
    if not gateway.catalog.usable():
        return _status(503, "no usable provider")
    return _status(200, "ok")


def _status(status: int, word: str) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps({"status": word}),
        content_type="application/json",
    )
