"""The providers: who can be named in a request, and what each one has."""

import orjson
from aiohttp import web

from server.racing.catalog import provider_payload
from server.web.context import VISIT

routes = web.RouteTableDef()


@routes.get("/providers")
async def list_providers(request: web.Request) -> web.Response:
    usable = request[VISIT].gateway.catalog.usable(request[VISIT].client)
    body = orjson.dumps([provider_payload(provider) for provider in usable])
    return web.Response(body=body, content_type="application/json")


@routes.get("/providers/{id}")
async def retrieve_provider(request: web.Request) -> web.Response:
    gateway = request[VISIT].gateway
    name = request.match_info["id"]
    details = gateway.catalog.details(name, request[VISIT].client)
    body = orjson.dumps(details)
    return web.Response(body=body, content_type="application/json")
