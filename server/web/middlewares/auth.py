"""API keys: the server knows their SHA-256 hashes alone."""

import asyncio
from hashlib import sha256
from time import time

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION
from aiohttp.typedefs import Handler, Middleware

from server.config.server_settings import is_loopback
from server.config.settings import Config, KeySettings
from server.errors import InvalidAPIKey
from server.gateway import Gateway
from server.web.context import VISIT
from server.web.key_ring import KeyRing

GUARDED = ("/v1/", "/api/")
METRICS = "/metrics"
# As Anthropic's packages send a key, and Azure's. Clients that are logged in at a
# vendor send the vendor's own token, too, as the bearer.
KEY_HEADERS = ("X-API-Key", "API-Key")


def require_api_key(gateway: Gateway) -> Middleware:
    """Refuse requests without a known key, if any key is configured."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if gateway.config.auth.asks and _is_guarded(request, gateway.config):
            client = await _client(request, gateway.keys)
            request[VISIT].client = client
            if client is None:
                wrong = gateway.wrong_keys
                await asyncio.sleep(wrong.delay(request.remote or ""))
                raise _unknown(request)
            if client.expired(time()):
                raise _refusal(f"This API key has expired at {client.expires}")
        return await handler(request)

    return middleware


def _is_guarded(request: web.Request, config: Config) -> bool:
    """
    Say whether a request goes to the API, or to the metrics where others can reach
    them; its path tells where it has no route.
    """
    resource = request.match_info.route.resource
    place = request.path if resource is None else resource.canonical
    if f"{place}/".startswith(GUARDED):
        return True
    within = is_loopback(config.server.host) or config.metrics.public
    return place == METRICS and not within


def _keys_in(request: web.Request) -> list[str]:
    """Return each key that comes with *request*, the likeliest first."""
    headers, given = request.headers, []
    for value in headers.getall(AUTHORIZATION, ()):
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() == "bearer" and (key := token.strip()):
            given.append(key)
    for name in KEY_HEADERS:
        if name in headers:
            given += [key for each in headers.getall(name) if (key := each.strip())]
    return given


async def _client(request: web.Request, keys: KeyRing) -> KeySettings | None:
    """Return whose key comes with *request*: None if none of its keys is known."""
    given = _keys_in(request)
    if not given:
        raise _refusal("No API key is given")
    for token in given:  # the first that is known counts
        if (key := keys.find(_digest(token))) is not None:
            return key
    for token in given:
        if (key := await keys.find_anew(_digest(token))) is not None:
            return key
    return None


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _unknown(request: web.Request) -> InvalidAPIKey:
    one = len(_keys_in(request)) == 1
    return _refusal(f"{'This API key is' if one else 'These API keys are'} not known")


def _refusal(what: str) -> InvalidAPIKey:
    return InvalidAPIKey(
        f"{what}. Send one as `Authorization: Bearer KEY`,"
        " `x-api-key: KEY` or `api-key: KEY`.",
        headers={"WWW-Authenticate": "Bearer"},
    )
