"""The composition root: the only module that sees all others."""

from collections.abc import Iterable

from aiohttp import web

from .gateway import Gateway
from .stores.responses import ResponseStore
from .web import routes
from .web.context import RESPONSES
from .web.middlewares import middlewares, on_prepare


def create_app(gateway: Gateway, responses: ResponseStore) -> web.Application:
    """
    Return the application that serves *gateway*, which has adopted a config, and keeps
    *responses*.
    """
    app = web.Application(
        middlewares=middlewares(gateway),
        client_max_size=gateway.config.server.max_body_bytes,
    )
    app[RESPONSES] = responses
    app.on_response_prepare.append(on_prepare(gateway))
    app.add_routes([*routes.page, *routes.bases, *routes.probes])
    app.add_routes([*routes.media, *routes.docs, *routes.metrics])
    chats = [*routes.chat, *routes.responses, *routes.completions]
    races = [*chats, *routes.messages, *routes.images, *routes.tasks]
    app.add_routes(below("/v1", [*races, *routes.models, *routes.providers]))
    app.add_routes(below("/v1", [*routes.races, *routes.keys, *routes.usage]))
    # The providers in the path, for clients that can set nothing but a base URL; many
    # ask there what models there are before they chat.
    app.add_routes(below("/api/{providers}", [*races, *routes.models]))
    # Anthropic's clients put the version behind any base URL themselves.
    app.add_routes(
        below("/api/{providers}/v1", [*routes.messages, *routes.models]),
    )
    return app


def below(
    prefix: str, table: Iterable[web.AbstractRouteDef]
) -> list[web.AbstractRouteDef]:
    """Return the same routes further down: sub-applications cost each request."""
    return [
        web.route(route.method, prefix + route.path, route.handler, **route.kwargs)
        for route in table
        if isinstance(route, web.RouteDef)
    ]
