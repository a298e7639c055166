"""What requests have used: a key's own, or everybody's."""

from aiohttp import web

from server.config.settings import KeySettings
from server.errors import StorageFailed
from server.web.context import VISIT
from server.web.json_answers import json_answer
from server.wire.usage_rows import UsageRows, as_csv, question, rows, wants_csv

routes = web.RouteTableDef()


@routes.get("/usage")
async def list_usage(request: web.Request) -> web.Response:
    visit, as_table = request[VISIT], wants_csv(request.query)
    sums = await visit.gateway.usage.sums(question(request.query, _own(visit.client)))
    if sums is None:
        raise StorageFailed("What was used can't be read now; it is not lost.")
    data = rows(sums)
    if as_table:
        return web.Response(body=as_csv(data), content_type="text/csv", charset="utf-8")
    answer: UsageRows = {"object": "list", "data": data}
    return json_answer(answer)


def _own(client: KeySettings | None) -> str | None:
    """Return the name of the key that may see its own only; None: it may see all."""
    return None if client is None or client.admin else client.name
