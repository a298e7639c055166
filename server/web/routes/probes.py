"""What an operator's machinery asks: is it alive, and can it serve?"""

from collections.abc import Mapping

import orjson
from aiohttp import web

from server.web.context import RESPONSES, VISIT

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
    troubles = {
        "responses": request.app[RESPONSES].trouble,
        "images": gateway.media.trouble,
    }
    if any(troubles.values()):
        told = {what: why for what, why in troubles.items() if why}
        return _status(200, "degraded", {"not_kept": told})
    return _status(200, "ok")


def _status(
    status: int, word: str, more: Mapping[str, object] | None = None
) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps({"status": word, **(more or {})}),
        content_type="application/json",
    )
