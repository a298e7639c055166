"""The request's id: the client's own if it is one, else a new one; in every answer."""

import random
import re

from aiohttp import web

from server.keys import REQUEST_ID

from .shape import is_anthropic

HEADER = "X-Request-ID"
# Where Anthropic's own packages look for it.
ANTHROPIC_HEADER = "Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def request_id(request: web.BaseRequest) -> str:
    """Return the id of *request*, chosen when it is first asked for."""
    known = request.get(REQUEST_ID)
    if known is None:
        given = request.headers.get(HEADER, "")
        known = given if WELL_FORMED.fullmatch(given) else new_id()
        request[REQUEST_ID] = known
    return known


def new_id() -> str:
    return f"{random.getrandbits(128):032x}"


def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Name the request in its answer."""
    response.headers[HEADER] = request_id(request)
    if is_anthropic(request):
        response.headers[ANTHROPIC_HEADER] = request_id(request)
