"""Who can be named in a request, and what each one has."""

from aiohttp import web

from server.web.context import VISIT
from server.web.json_answers import json_answer
from server.wire.providers import provider_details, provider_payload

routes = web.RouteTableDef()


@routes.get("/providers")
async def list_providers(request: web.Request) -> web.Response:
    usable = request[VISIT].gateway.catalog.usable(request[VISIT].client)
    return json_answer([provider_payload(provider) for provider in usable])


@routes.get("/providers/{id}")
async def retrieve_provider(request: web.Request) -> web.Response:
    gateway, client = request[VISIT].gateway, request[VISIT].client
    provider = gateway.catalog.provider(request.match_info["id"], client)
    record = await gateway.records.of(provider.id)
    return json_answer(provider_details(provider, gateway.catalog, record))
