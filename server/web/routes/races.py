"""The last races: who ran, who won, why the others did not; and new ones, live."""

import asyncio
import re

import orjson
from aiohttp import web
from aiohttp.hdrs import METH_HEAD

from server.errors import InvalidRequest, RouteNotFound
from server.record.log import REMEMBERED
from server.record.payloads import ReplayPayload
from server.record.races_file import replayable
from server.record.summary import summarized
from server.web.context import VISIT
from server.web.json_answers import encoded_answer, json_answer
from server.web.sse import EventStream
from server.wire.replay import ReplayRequest, parse_replay, replay_payload

from .bodies import body_of

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


@routes.get("/races/summary")
async def summarize_races(request: web.Request) -> web.Response:
    """Say of each provider how its last hour was, minute by minute."""
    races = request[VISIT].gateway.all_races
    last = await races.last(request[VISIT].client, REMEMBERED)
    return json_answer(await summarized(last))


@routes.post("/races/replay")
async def replay_races(request: web.Request) -> web.Response:
    """Run the last races again, on paper, by another policy."""
    wish = parse_replay(await body_of(request))
    races = request[VISIT].gateway.all_races
    last = await races.last(request[VISIT].client, REMEMBERED)
    # It takes a thousand races some tenths of a second: nobody else is to wait for it.
    answer = await asyncio.to_thread(_replayed, last, wish)
    return json_answer(answer)


def _replayed(races: bytes, wish: ReplayRequest) -> ReplayPayload:
    oldest_first = orjson.loads(races)["data"][::-1]
    return replay_payload(list(replayable(oldest_first)), wish)


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
