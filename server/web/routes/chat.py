"""Chat completions, with the providers in the body or, under /api, in the path."""

from aiohttp import web

from server.web.answering import answer
from server.web.context import VISIT
from server.wire.formats import CHAT

from .bodies import body_of
from .paths import providers_in_path

routes = web.RouteTableDef()


@routes.post("/chat/completions")
async def create_chat_completion(request: web.Request) -> web.StreamResponse:
    catalog = request[VISIT].gateway.catalog
    path = providers_in_path(request)
    chat, selection = CHAT.parse(await body_of(request), path, request.headers)
    lineup = catalog.lineup(chat, selection, request[VISIT].client)
    return await answer(request, chat, lineup, CHAT.rendering(chat))
