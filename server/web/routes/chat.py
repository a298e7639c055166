"""Formats whose requests are chats, with the providers in the body or in the path."""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from providers import ChatRequest
from server.web.answering import race_chat
from server.web.large_bodies import LARGE
from server.wire.format import Format
from server.wire.formats import CHAT

from .bodies import body_of
from .paths import providers_in_path

routes = web.RouteTableDef()


def serving(form: Format[ChatRequest]) -> Handler:
    """Return the handler of requests in *form*: parse, choose the racers, answer."""

    async def handler(request: web.Request) -> web.StreamResponse:
        path = providers_in_path(request)
        body = await body_of(request)
        parts = body, path, request.headers
        if len(body) > LARGE:
            chat, selection = await asyncio.to_thread(form.parse, *parts)
        else:  # nearly all
            chat, selection = form.parse(*parts)
        return await race_chat(request, chat, selection, form.rendering(chat))

    return handler


routes.post(CHAT.path)(serving(CHAT))
