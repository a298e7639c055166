"""The models: one list for OpenAI's clients and Anthropic's, and who serves each."""

from collections.abc import Mapping

import orjson
from aiohttp import web

from server.errors import ModelNotFound
from server.web.context import VISIT

from .paths import providers_in_path

routes = web.RouteTableDef()

# `created`, 0, as Anthropic's clients read it: nobody says when models were made.
UNKNOWN = "1970-01-01T00:00:00Z"


@routes.get("/models")
async def list_models(request: web.Request) -> web.Response:
    models = await _models(request)
    names = list(models)
    return _json(
        {
            "object": "list",
            "data": [_payload(request, name, models[name]) for name in names],
            "has_more": False,
            "first_id": names[0] if names else None,
            "last_id": names[-1] if names else None,
        }
    )


@routes.get("/models/{id:.+}")
async def retrieve_model(request: web.Request) -> web.Response:
    models = await _models(request)
    name = request.match_info["id"]
    if name not in models:
        raise ModelNotFound(
            f"There is no model {name!r}. GET /v1/models lists them.",
            param="model",
        )
    return _json(_payload(request, name, models[name]))


async def _models(request: web.Request) -> dict[str, list[str]]:
    gateway = request[VISIT].gateway
    # Not before somebody asks: it takes memory, too.
    await gateway.prices.load()
    catalog = gateway.catalog
    return catalog.models(request[VISIT].client, providers_in_path(request))


def _payload(
    request: web.Request, name: str, providers: list[str]
) -> dict[str, object]:
    gateway = request[VISIT].gateway
    facts = gateway.prices.of(gateway.config.providers[providers[0]], name)
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": providers[0],
        "type": "model",
        "display_name": name,
        "created_at": UNKNOWN,
        "providers": providers,
        **facts,
    }


def _json(payload: Mapping[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(payload), content_type="application/json")
