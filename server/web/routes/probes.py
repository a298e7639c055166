"""What an operator's machinery asks: is it alive, and can it serve?"""

from http import HTTPStatus

from aiohttp import web

from server.web.context import RESPONSES, VISIT
from server.web.json_answers import json_answer
from server.wire.probes import StatusPayload, readiness

routes = web.RouteTableDef()


@routes.get("/healthz")
async def is_alive(_: web.Request) -> web.Response:
    alive: StatusPayload = {"status": "ok"}
    return json_answer(alive)


@routes.get("/readyz")
async def is_ready(request: web.Request) -> web.Response:
    gateway = request[VISIT].gateway
    if gateway.drain.draining:
        return _unavailable("draining")
    if not gateway.catalog.usable():
        return _unavailable("no usable provider")
    troubles = {
        "responses": request.app[RESPONSES].trouble,
        "images": gateway.media.trouble,
        "races": gateway.races_trouble,
        "usage": await gateway.usage.trouble(),
        "keys": gateway.keys.trouble,
    }
    return json_answer(readiness(troubles, gateway.limiter.store.state))


def _unavailable(reason: str) -> web.Response:
    status: StatusPayload = {"status": reason}
    return json_answer(status, status=HTTPStatus.SERVICE_UNAVAILABLE)
