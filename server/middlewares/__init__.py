"""What every request passes through, one concern a module, in the order of `ALL`."""

from aiohttp.typedefs import Middleware

from .auth import require_api_key
from .browsers import check_host, check_origin
from .cors import add_cors_headers, answer_preflight
from .draining import close_when_draining
from .errors import render_errors
from .log import log_access
from .request_id import add_request_id

__all__ = ["ALL", "ON_PREPARE", "require_api_key"]

ALL: tuple[Middleware, ...] = (
    log_access,
    render_errors,
    check_host,
    answer_preflight,
    check_origin,
)
# What every answer is given before its headers are sent.
ON_PREPARE = (add_request_id, add_cors_headers, close_when_draining)
