"""What every request passes through, one concern a module."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.hdrs import SERVER
from aiohttp.typedefs import Middleware

from server.gateway import Gateway
from server.web.context import VISIT, Visit
from server.web.limiting import tell_limits

from .auth import require_api_key
from .browsers import check_browser
from .cors import add_cors_headers
from .draining import close_when_done
from .errors import render_errors
from .log import log_access
from .request_id import HEADER, add_request_id, request_id

__all__ = ["introduce", "middlewares", "on_prepare"]

OnPrepare = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def middlewares(gateway: Gateway) -> tuple[Middleware, ...]:
    """Return them in their order, made for *gateway*: to look it up would cost each."""
    return (
        log_access(gateway),
        render_errors,
        check_browser(gateway),
        require_api_key(gateway),
    )


def on_prepare(gateway: Gateway) -> OnPrepare:
    """Give every answer what it needs before its headers are sent."""

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        try:
            request[VISIT]
        except KeyError:  # aiohttp has refused the request before any middleware
            request[VISIT] = Visit(request_id(request), gateway)
        introduce(request, response)
        close_when_done(request, response)

    return prepare


def introduce(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Set the headers of the request's id and of CORS, unless they are set."""
    headers = response.headers
    if HEADER not in headers:
        visit = request[VISIT]
        # aiohttp would tell its version, and Python's.
        headers[SERVER] = "Interference"
        add_request_id(request, visit, headers)
        add_cors_headers(request, headers)
        tell_limits(request, visit, headers)
