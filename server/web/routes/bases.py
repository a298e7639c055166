"""The base URLs themselves: some clients try them before anything else."""

from aiohttp import web

from server.web.base_urls import base_url
from server.web.context import VISIT
from server.web.json_answers import json_answer
from server.wire.probes import server_payload

from .paths import providers_in_path

routes = web.RouteTableDef()


@routes.get("/v1")
@routes.get("/v1/")
@routes.get("/api/{providers}")
@routes.get("/api/{providers}/")
@routes.get("/api/{providers}/v1")
@routes.get("/api/{providers}/v1/")
async def show_base(request: web.Request) -> web.Response:
    """Say what is here; raises what a race of the path's providers would."""
    visit = request[VISIT]
    visit.gateway.catalog.models(visit.client, providers_in_path(request))
    return json_answer(
        server_payload(
            openai_base_url=base_url(request),
            anthropic_base_url=base_url(request, anthropic=True),
        )
    )
