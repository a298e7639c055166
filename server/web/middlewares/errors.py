"""Renders every error, foreseen or not, in the shape of the API that was called."""

import asyncio
from html import escape
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from server.errors import (
    BodyTooLarge,
    GatewayError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    RouteNotFound,
    bounded,
)
from server.web.base_urls import wrong_base_url
from server.web.context import REFUSAL, VISIT, RefusedRequest
from server.wire.formats import error_shape

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{status}</title>
<body><h1>{status}</h1><p>{message}</p><p><a href="/">Interference</a></p></body></html>
"""

log = structlog.get_logger(__name__)


@web.middleware
async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        if type(request) is RefusedRequest:  # requests are an ABC's: isinstance is slow
            return error_response(request, request[REFUSAL])
        return await handler(request)
    except GatewayError as exc:
        return error_response(request, exc)
    except web.HTTPException as exc:
        if exc.status < HTTPStatus.BAD_REQUEST:  # redirects are answers, not errors
            raise
        return error_response(request, _translated(request, exc))
    except ConnectionError:
        # The client is gone. aiohttp ends other handlers whose client is gone in the
        # same way; of another error, it would log a traceback.
        raise asyncio.CancelledError from None
    except Exception as exc:  # noqa: BLE001 - those that nobody foresaw
        return error_response(request, internal_error(request, exc))


def internal_error(
    request: web.BaseRequest, exc: BaseException | None
) -> InternalError:
    """Log an unforeseen exception; return the error that its client is sent."""
    name = request[VISIT].id
    log.error("internal error", request_id=name, exc_info=exc)
    return InternalError(
        f"The server failed; its log says more under request id {name}."
    )


def error_response(request: web.BaseRequest, error: GatewayError) -> web.Response:
    # Not the error itself, whose traceback knows the request: a reference cycle.
    request[VISIT].error = error.cause, bounded(error.message)
    status, body = error_shape(request.path).answer(error, request[VISIT].id)
    if _is_navigation(request):
        page = PAGE.format(status=status, message=escape(bounded(error.message)))
        return web.Response(
            status=status, text=page, headers=error.headers, content_type="text/html"
        )
    return web.Response(
        status=status,
        body=body,
        headers=error.headers,
        content_type="application/json",
    )


def _is_navigation(request: web.BaseRequest) -> bool:
    """Say whether a person's browser wants a page, rather than a script an object."""
    return request.method == "GET" and request.headers.get("Accept", "").startswith(
        "text/html"
    )


def _translated(request: web.Request, exc: web.HTTPException) -> GatewayError:
    match exc:
        case web.HTTPNotFound():
            return RouteNotFound(
                f"There is no {request.method} {request.path}."
                f" {wrong_base_url(request)}"
            )
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(exc.allowed_methods))
            return MethodNotAllowed(
                f"{request.path} does not take {request.method}, only {allowed}.",
                headers={"Allow": allowed},
            )
        case web.HTTPRequestEntityTooLarge():
            return BodyTooLarge(
                f"The request body is larger than {request.client_max_size} bytes."
            )
    error = InvalidRequest(exc.reason)
    error.status = exc.status
    return error
