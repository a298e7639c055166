"""The request's id: the client's own if it is one, else a new one; in every answer."""

import random
import re

from aiohttp import web
from multidict import CIMultiDict

from server.web.context import Visit
from server.wire.formats import error_shape

HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def request_id(request: web.BaseRequest) -> str:
    """Return the client's own id of *request*, or a new one."""
    own = request.headers.get(HEADER)
    if own is not None and WELL_FORMED.fullmatch(own):
        return own
    return f"{random.getrandbits(128):032x}"


def add_request_id(
    request: web.BaseRequest, visit: Visit, headers: CIMultiDict[str]
) -> None:
    """Name the request in the *headers* of its answer."""
    headers[HEADER] = name = visit.id
    if (header := error_shape(request.path).id_header) is not None:
        headers[header] = name
