"""Anthropic's Messages, raced as chats are, and the count of their tokens."""

from functools import partial

from aiohttp import web

from server.web.answering import count
from server.web.json_answers import encoded_answer
from server.web.large_bodies import computed
from server.wire.formats import MESSAGES
from server.wire.messages import parse_count
from server.wire.messages.count import render

from .bodies import body_of
from .chat import serving
from .paths import providers_in_path

routes = web.RouteTableDef()

routes.post(MESSAGES.path)(serving(MESSAGES))


@routes.post("/messages/count_tokens")
async def count_tokens(request: web.Request) -> web.Response:
    path = providers_in_path(request)
    body = await body_of(request)
    parse = partial(parse_count, body, path, request.headers)
    chat, selection = await computed(parse, len(body))
    tokens, headers = await count(request, chat, selection)
    return encoded_answer(render(tokens, headers.get("X-Provider")), headers=headers)
