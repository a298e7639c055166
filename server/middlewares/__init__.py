"""What every request passes through, one concern a module, in the order of `ALL`."""

from aiohttp import web
from aiohttp.typedefs import Middleware

from .auth import require_api_key
from .browsers import check_browser
from .cors import add_cors_headers
from .draining import close_when_draining
from .errors import render_errors
from .log import log_access
from .request_id import add_request_id

__all__ = ["ALL", "on_prepare"]

ALL: tuple[Middleware, ...] = (
    log_access,
    render_errors,
    check_browser,
    require_api_key,
)


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer what it needs before its headers are sent."""
    add_request_id(request, response)
    add_cors_headers(request, response)
    close_when_draining(request, response)
