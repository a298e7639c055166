"""Text completions: by upstreams that complete text, and through chat by the others."""

from aiohttp import web

from server.racing.batch import batched
from server.web.answering import answer
from server.web.context import VISIT
from server.wire.completions import form_of, parse

from .bodies import body_of
from .paths import providers_in_path

routes = web.RouteTableDef()


@routes.post("/completions")
async def create_completion(request: web.Request) -> web.StreamResponse:
    catalog = request[VISIT].gateway.catalog
    asked, selection = parse(await body_of(request), providers_in_path(request))
    chats = asked.chats()
    lineup = catalog.lineup(chats[0], selection, request[VISIT].client)
    racers = batched(lineup, chats, asked.each)
    form = form_of(asked, include_usage=chats[0].include_usage)
    return await answer(request, chats[0], racers, form)
