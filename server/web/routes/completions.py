"""Text completions: by upstreams that complete text, and through chat by the others."""

from aiohttp import web

from server.racing.batch import ChatLineup, batched
from server.web.answering import race_chat
from server.wire.formats import COMPLETIONS

from .bodies import body_of
from .paths import providers_in_path

routes = web.RouteTableDef()


@routes.post(COMPLETIONS.path)
async def create_completion(request: web.Request) -> web.StreamResponse:
    body, path = await body_of(request), providers_in_path(request)
    completion, selection = COMPLETIONS.parse(body, path, request.headers)
    chats = completion.chats()

    def batch(lineup: ChatLineup) -> ChatLineup:
        return batched(lineup, chats, completion.each)

    form = COMPLETIONS.rendering(completion)
    return await race_chat(request, chats[0], selection, form, batch)
