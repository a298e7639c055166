"""What keeps foreign web pages from using a server that asks for no key."""

from aiohttp import web
from aiohttp.typedefs import Handler

from server.config import ServerSettings, is_loopback
from server.errors import HostNotAllowed, OriginNotAllowed
from server.keys import GATEWAY

from .cors import allowed_origin, preflight_answer


@web.middleware
async def check_browser(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer preflights; refuse what a foreign page sends, or would read."""
    _check_host(request)
    if (answer := preflight_answer(request)) is not None:
        return answer
    _check_origin(request)
    return await handler(request)


def _check_host(request: web.Request) -> None:
    """
    Refuse a name that is not ours, while no key is configured.

    A page can make its own name resolve to this machine (DNS rebinding); its scripts
    then are of the same origin as we, and only the Host header tells.
    """
    config = request.app[GATEWAY].config
    if not config.auth.keys:
        host = host_name(request.host)
        if not _is_ours(host, config.server):
            raise HostNotAllowed(
                f"This server does not answer to the name {host!r}; add it to"
                " server.allowed_hosts, or configure an API key."
            )


def _check_origin(request: web.Request) -> None:
    """
    Refuse what a foreign page can send without asking first, while there is no key.

    A JSON content type makes the browser ask (the preflight); without one, a page
    could spend tokens, though it could not read the answer.
    """
    if (
        "Origin" in request.headers
        and request.method == "POST"
        and request.content_type != "application/json"
        and not request.app[GATEWAY].config.auth.keys
        and allowed_origin(request) is None
    ):
        raise OriginNotAllowed(
            "Pages of this origin may not use this server; add the origin to"
            " server.cors_origins to let them."
        )


def host_name(host: str) -> str:
    """Return a Host header's name without its port and without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_ours(host: str, server: ServerSettings) -> bool:
    names = (server.host, *map(host_name, server.allowed_hosts))
    return is_loopback(host) or host in names
