"""Text completions: by upstreams that complete text, and through chat by the others."""

from aiohttp import web

from server.racing.batch import ChatLineup, batched
from server.web.answering import race_chat
from server.wire.completions import form_of, parse

from .bodies import body_of
from .paths import providers_in_path

routes = web.RouteTableDef()


@routes.post("/completions")
async def create_completion(request: web.Request) -> web.StreamResponse:
    completion, selection = parse(await body_of(request), providers_in_path(request))
    chats = completion.chats()
    form = form_of(completion, include_usage=chats[0].include_usage)

    def batch(lineup: ChatLineup) -> ChatLineup:
        return batched(lineup, chats, completion.each)

    return await race_chat(request, chats[0], selection, form, batch)
