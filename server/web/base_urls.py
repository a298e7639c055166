"""The base URLs of the routes, for messages to clients that use another."""

import re

from aiohttp import web

from server.web.context import VISIT

# A Host header that may stand in a message as it came.
HOST = re.compile(r"[\w.:\[\]-]{1,255}", re.ASCII)


def base_url(request: web.BaseRequest, *, anthropic: bool = False) -> str:
    """
    Return the base URL for the client that has sent *request*, with the providers of
    its path, if it names any. Anthropic's packages put `/v1` behind it by themselves.
    """
    providers = _providers(request.rel_url.raw_path)
    place = f"/api/{providers}" if providers else "" if anthropic else "/v1"
    return f"{own_url(request)}{place}"


def own_url(request: web.BaseRequest) -> str:
    """Return the URL that all of ours begin with, for who has sent *request*."""
    host = request.host if HOST.fullmatch(request.host) else "HOST"
    prefix = request[VISIT].gateway.config.server.path_prefix
    return f"{request.scheme}://{host}{prefix}"


def wrong_base_url(request: web.BaseRequest) -> str:
    """Say which base URL is right for a client whose path is no route."""
    anthropic = "messages" in request.path.split("/")
    whose = "Anthropic" if anthropic else "OpenAI"
    right = base_url(request, anthropic=anthropic)
    return f"The base URL for clients of {whose}'s API is {right}."


def _providers(path: str) -> str | None:
    """Return the segment after `/api/` in *path*, whatever else is wrong with it."""
    parts = [part for part in path.split("/") if part]
    if "api" not in parts[:-1]:
        return None
    providers = parts[parts.index("api") + 1]
    return None if providers == "v1" else providers[:255]
