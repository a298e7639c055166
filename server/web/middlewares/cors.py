"""Which pages' scripts may read our answers: CORS, as the Fetch standard has it."""

import re
from functools import lru_cache
from http import HTTPStatus

from aiohttp import web
from multidict import CIMultiDict

from server.errors import OriginNotAllowed
from server.web.context import VISIT

EXPOSED = (
    "X-Request-ID, Request-ID, X-Provider, Server-Timing, X-Dropped, X-Token-Count,"
    " Retry-After, X-Should-Retry, X-Stored"
)
METHODS = "GET, POST, DELETE, OPTIONS"
# Characters of an origin that stand in a message.
LONGEST = 200
PREFLIGHT_SECONDS = "600"


def allowed_origin(request: web.BaseRequest) -> str | None:
    """Return the request's Origin if the configuration allows it."""
    origin = request.headers.get("Origin")
    if origin is None:
        return None
    patterns = request[VISIT].gateway.config.server.cors_origins
    return origin if _pattern(patterns).fullmatch(origin) else None


def preflight_answer(request: web.Request) -> web.Response | None:
    """Answer a browser's preflight, if *request* is one; raises OriginNotAllowed."""
    if request.method != "OPTIONS" or (
        "Access-Control-Request-Method" not in request.headers
    ):
        return None
    if allowed_origin(request) is None:
        raise foreign_page(request)
    requested = request.headers.get("Access-Control-Request-Headers", "")
    headers = {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": requested or "*",
        "Access-Control-Max-Age": PREFLIGHT_SECONDS,
    }
    if request.headers.get("Access-Control-Request-Private-Network") == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)


def foreign_page(request: web.BaseRequest) -> OriginNotAllowed:
    """Return the error for a page whose origin the configuration does not allow."""
    origin = request.headers.get("Origin", "")[:LONGEST]
    return OriginNotAllowed(
        f"Pages of {origin!r} may not use this server; add that to"
        " server.cors_origins to let them."
    )


def add_cors_headers(request: web.BaseRequest, headers: CIMultiDict[str]) -> None:
    """Let the page read the answer with these *headers*."""
    headers.add("Vary", "Origin")
    if (origin := allowed_origin(request)) is not None:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = EXPOSED
        headers["Timing-Allow-Origin"] = origin


@lru_cache
def _pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compile origins in which `*` stands for any port, host or part of one."""
    return re.compile(
        "|".join(
            ".*" if p == "*" else re.escape(p).replace(r"\*", "[^/]*") for p in patterns
        )
        or r"(?!)"
    )
