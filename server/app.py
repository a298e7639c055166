"""The composition root: the only module that sees all others."""

from collections.abc import Iterable

from aiohttp import web

from . import routes
from .gateway import Gateway
from .keys import GATEWAY
from .middlewares import ALL, ON_PREPARE, require_api_key


def create_app(gateway: Gateway) -> web.Application:
    """Return the application that serves *gateway*, which has adopted a config."""
    app = web.Application(
        middlewares=ALL, client_max_size=gateway.config.server.max_body_bytes
    )
    app[GATEWAY] = gateway
    app.on_response_prepare.extend(ON_PREPARE)
    app.add_routes([*routes.probes, *routes.media])
    raced = [*routes.chat, *routes.images, *routes.tasks]
    app.add_subapp(
        "/v1", _api([*raced, *routes.models, *routes.providers, *routes.races])
    )
    # The providers in the path, for clients that can set nothing but a base URL.
    app.add_subapp("/api", _api(_below("/{providers}", raced)))
    return app


def _api(table: Iterable[web.AbstractRouteDef]) -> web.Application:
    api = web.Application(middlewares=[require_api_key])
    api.add_routes(table)
    return api


def _below(
    prefix: str, table: Iterable[web.AbstractRouteDef]
) -> list[web.AbstractRouteDef]:
    return [
        web.route(route.method, prefix + route.path, route.handler, **route.kwargs)
        for route in table
        if isinstance(route, web.RouteDef)
    ]
