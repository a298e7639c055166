"""The request's id: the client's own if it is one, else a new one; in every answer."""

import os
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
        known = given if WELL_FORMED.fullmatch(given) else os.urandom(16).hex()
        request[REQUEST_ID] = known
    return known


def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Name the request in its answer."""
    response.headers[HEADER] = request_id(request)
    if is_anthropic(request):
        response.headers[ANTHROPIC_HEADER] = request_id(request)
