"""The request's id: the client's own if it is one, else a new one; in every answer."""

import random
import re

from aiohttp import web

from server.web.context import VISIT

from .shape import is_anthropic

HEADER = "X-Request-ID"
# Where Anthropic's own packages look for it.
ANTHROPIC_HEADER = "Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def request_id(request: web.BaseRequest) -> str:
    """Return the client's own id of *request*, or a new one."""
    given = request.headers.get(HEADER)
    if given is not None and WELL_FORMED.fullmatch(given):
        return given
    return f"{random.getrandbits(128):032x}"


def add_request_id(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Name the request in its answer."""
    response.headers[HEADER] = name = request[VISIT].id
    if is_anthropic(request):
        response.headers[ANTHROPIC_HEADER] = name
