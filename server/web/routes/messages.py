"""Anthropic's Messages, raced as chats are, and the count of their tokens."""

from aiohttp import web

from server.web.answering import race_count
from server.wire.formats import MESSAGES
from server.wire.messages import parse_count
from server.wire.messages.count import estimate, render

from .bodies import body_of
from .chat import serving
from .paths import providers_in_path

routes = web.RouteTableDef()

ESTIMATED = {"X-Token-Count": "estimate"}


routes.post(MESSAGES.path)(serving(MESSAGES))


@routes.post("/messages/count_tokens")
async def count_tokens(request: web.Request) -> web.Response:
    """
    Ask those of the message's racers who can count, and take the first count.

    Where none of them can or does, an estimate is better than an error: clients want
    to know how full a conversation is, and whoever answers it may need no count.
    """
    path = providers_in_path(request)
    chat, selection = parse_count(await body_of(request), path, request.headers)
    tokens, headers = await race_count(request, chat, selection)
    if tokens is None:
        tokens, headers = estimate(chat), headers | ESTIMATED
    return web.Response(
        body=render(tokens, headers.get("X-Provider")),
        headers=headers,
        content_type="application/json",
    )
