"""The models: one list for OpenAI's clients and Anthropic's, and who serves each."""

from aiohttp import web

from server.errors import ModelNotFound
from server.web.context import VISIT
from server.web.json_answers import json_answer
from server.wire.models import ModelPayload, model_payload, models_payload

from .paths import providers_in_path

routes = web.RouteTableDef()


@routes.get("/models")
async def list_models(request: web.Request) -> web.Response:
    models = await _models(request)
    payloads = [_payload(request, name, ids) for name, ids in models.items()]
    return json_answer(models_payload(payloads))


@routes.get("/models/{id:.+}")
async def retrieve_model(request: web.Request) -> web.Response:
    models = await _models(request)
    name = request.match_info["id"]
    if name not in models:
        raise ModelNotFound(
            f"There is no model {name!r}. GET /v1/models lists them.",
            param="model",
        )
    return json_answer(_payload(request, name, models[name]))


async def _models(request: web.Request) -> dict[str, list[str]]:
    """Return the names of all models, with the ids of the providers of each."""
    gateway = request[VISIT].gateway
    # Not before somebody asks: it takes memory, too.
    await gateway.prices.load()
    catalog = gateway.catalog
    return catalog.models(request[VISIT].client, providers_in_path(request))


def _payload(request: web.Request, name: str, providers: list[str]) -> ModelPayload:
    gateway = request[VISIT].gateway
    settings = gateway.config.providers[providers[0]]
    facts = gateway.prices.of(settings, name)
    listed = gateway.catalog.models_list(settings.id).limits
    if limits := listed.get(settings.models.get(name, name)):
        if limits.context:
            facts["context_length"] = limits.context
        if limits.output:
            facts["max_output_tokens"] = limits.output
    return model_payload(name, providers, facts)
