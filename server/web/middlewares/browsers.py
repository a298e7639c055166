"""Keeps foreign web pages from using a server that asks for no key."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from server.config.server_settings import ServerSettings, is_loopback
from server.errors import HostNotAllowed
from server.gateway import Gateway

from .cors import allowed_origin, foreign_page, preflight_answer


def check_browser(gateway: Gateway) -> Middleware:
    """Answer preflights; refuse what a foreign page sends, or would read."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        config = gateway.config
        if not config.auth.asks:
            _check_host(request, config.server)
        if (answer := preflight_answer(request)) is not None:
            return answer
        if not config.auth.asks:
            _check_origin(request)
        return await handler(request)

    return middleware


def _check_host(request: web.Request, server: ServerSettings) -> None:
    """
    Refuse a name that is not ours, while no key is configured.

    A page can make its own name resolve to this machine (DNS rebinding). Its scripts
    then have the same origin as this server, and only the Host header tells.
    """
    host = host_name(request.host)
    if not _is_ours(host, server):
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
        and allowed_origin(request) is None
    ):
        raise foreign_page(request)


def host_name(host: str) -> str:
    """Return a Host header's name without its port and without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_ours(host: str, server: ServerSettings) -> bool:
    names = (server.host, *map(host_name, server.allowed_hosts))
    return is_loopback(host) or host in names
