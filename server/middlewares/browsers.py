"""What keeps foreign web pages from using a server that asks for no key."""

from aiohttp import web
from aiohttp.typedefs import Handler

from server.config import ServerSettings, is_loopback
from server.errors import HostNotAllowed, OriginNotAllowed
from server.keys import GATEWAY

from .cors import allowed_origin


@web.middleware
async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Refuse a name that is not ours, while no key is configured.

    A page can make its own name resolve to this machine (DNS rebinding); its scripts
    then are of the same origin as we, and only the Host header tells.
    """
    config = request.config_dict[GATEWAY].config
    if not config.auth.keys:
        host = host_name(request.host)
        if not _is_ours(host, config.server):
            raise HostNotAllowed(
                f"This server does not answer to the name {host!r}; add it to"
                " server.allowed_hosts, or configure an API key."
            )
    return await handler(request)


@web.middleware
async def check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Refuse what a foreign page can send without asking first, while there is no key.

    A JSON content type makes the browser ask (the preflight); without one, a page
    could spend tokens, though it could not read the answer.
    """
    if (
        request.method == "POST"
        and "Origin" in request.headers
        and request.content_type != "application/json"
        and not request.config_dict[GATEWAY].config.auth.keys
        and allowed_origin(request) is None
    ):
        raise OriginNotAllowed(
            "Pages of this origin may not use this server; add the origin to"
            " server.cors_origins to let them."
        )
    return await handler(request)


def host_name(host: str) -> str:
    """Return a Host header's name without its port and without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_ours(host: str, server: ServerSettings) -> bool:
    names = (server.host, *map(host_name, server.allowed_hosts))
    return is_loopback(host) or host in names
