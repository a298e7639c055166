"""Text completions: by upstreams that complete text, and through chat by the others."""

from aiohttp import web

from server.racing.batch import batched
from server.web.answering import answer
from server.web.context import VISIT
from server.wire.formats import COMPLETIONS

from .bodies import body_of
from .paths import providers_in_path

routes = web.RouteTableDef()


@routes.post(COMPLETIONS.path)
async def create_completion(request: web.Request) -> web.StreamResponse:
    catalog = request[VISIT].gateway.catalog
    path = providers_in_path(request)
    asked, selection = COMPLETIONS.parse(await body_of(request), path, request.headers)
    chats = asked.chats()
    lineup = catalog.lineup(chats[0], selection, request[VISIT].client)
    racers = batched(lineup, chats, asked.each)
    return await answer(request, chats[0], racers, COMPLETIONS.rendering(asked))
