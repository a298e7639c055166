"""What Prometheus scrapes: the sums of all workers."""

import asyncio

import orjson
from aiohttp import hdrs, web

from server.errors import AdminOnly
from server.gateway import Gateway
from server.record import metrics_table
from server.record.channel import WORKERS
from server.record.metrics_text import Values, snapshot, written
from server.web.context import VISIT

routes = web.RouteTableDef()


@routes.get("/metrics")
async def scrape(request: web.Request) -> web.Response:
    """Answer with all numbers; they are put into words in a thread: that takes long."""
    visit = request[VISIT]
    if visit.client is not None and not visit.client.admin:
        raise AdminOnly("/metrics wants a key that has `admin = true`.")
    gateway = visit.gateway
    found = [
        (metrics_table.RESTING, _resting(gateway)),
        (metrics_table.WORKERS, await _workers(gateway)),
    ]
    taken = snapshot(gateway.metrics.counters, found)
    accept = request.headers.get(hdrs.ACCEPT, "")
    body, content_type = await asyncio.to_thread(written, taken, accept)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


def _resting(gateway: Gateway) -> Values:
    return [
        ((name,), (float(gateway.health.of(name).resting),))
        for name in gateway.config.on()
    ]


async def _workers(gateway: Gateway) -> Values:
    answer = await gateway.channel.ask(WORKERS)
    states = {} if answer is None else orjson.loads(answer)
    return [((state,), (float(count),)) for state, count in states.items()]
