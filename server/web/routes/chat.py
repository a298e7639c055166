"""Chat completions, with the providers in the body or, under /api, in the path."""

from aiohttp import web

from server.web.answering import race_chat
from server.wire.chat import CHAT, parse

from .bodies import body_of
from .paths import providers_in_path

routes = web.RouteTableDef()


@routes.post("/chat/completions")
async def create_chat_completion(request: web.Request) -> web.StreamResponse:
    chat, selection = parse(await body_of(request), providers_in_path(request))
    return await race_chat(request, chat, selection, CHAT)
