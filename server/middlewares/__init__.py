"""What every request passes through, one concern a module."""

from aiohttp import web
from aiohttp.typedefs import Middleware

from server.gateway import Gateway

from .auth import require_api_key
from .browsers import check_browser
from .cors import add_cors_headers
from .draining import close_when_draining
from .errors import render_errors
from .log import log_access
from .request_id import add_request_id

__all__ = ["middlewares", "on_prepare"]


def middlewares(gateway: Gateway) -> tuple[Middleware, ...]:
    """Return them in their order, made for *gateway*: to find it costs each of them."""
    return (
        log_access(gateway),
        render_errors,
        check_browser(gateway),
        require_api_key(gateway),
    )


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer what it needs before its headers are sent."""
    add_request_id(request, response)
    add_cors_headers(request, response)
    close_when_draining(request, response)
