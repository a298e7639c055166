"""The last races: who ran, who won, why the others did not; and new ones, live."""

import re

from aiohttp import web
from aiohttp.hdrs import METH_HEAD

from server.errors import InvalidRequest, RouteNotFound
from server.record.log import REMEMBERED
from server.web.context import VISIT
from server.web.json_answers import encoded_answer
from server.web.sse import EventStream

routes = web.RouteTableDef()

LISTED = 100
WHOLE = re.compile(r"\d{1,9}")  # Python refuses numbers of thousands of digits


@routes.get("/races")
async def list_races(request: web.Request) -> web.Response:
    races = request[VISIT].gateway.all_races
    last = await races.last(request[VISIT].client, _limit(request))
    return encoded_answer(last)


@routes.get("/races/events")
async def stream_races(request: web.Request) -> web.StreamResponse:
    """Send what happens in races, until the client hangs up or the server stops."""
    if request.method == METH_HEAD:  # which would wait for a body without an end
        return web.Response(content_type="text/event-stream")
    gateway = request[VISIT].gateway
    ping_interval = gateway.config.server.ping_interval
    response = EventStream(request, ping_interval=ping_interval)
    with gateway.live.listen(request[VISIT].client) as listener:
        try:
            await response.begin()
            async for event in listener:
                if response.put(event.frame()):
                    await response.catch_up()
            await response.finish(b"")
        finally:
            response.stop()
    return response


@routes.get("/races/{id}")
async def retrieve_race(request: web.Request) -> web.Response:
    races = request[VISIT].gateway.all_races
    story = await races.find(request.match_info["id"], request[VISIT].client)
    if story is None:
        raise RouteNotFound(
            "There is no race with this request id, or no longer: the last"
            f" {REMEMBERED} are kept."
        )
    return encoded_answer(story)


def _limit(request: web.Request) -> int:
    limit = request.query.get("limit", str(LISTED))
    if not WHOLE.fullmatch(limit) or not 1 <= int(limit) <= REMEMBERED:
        raise InvalidRequest(
            f"'limit' must be a whole number from 1 to {REMEMBERED}.", param="limit"
        )
    return int(limit)
