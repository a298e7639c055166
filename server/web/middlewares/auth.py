"""API keys: who may come in, known by the SHA-256 of the key alone."""

import asyncio
from hashlib import sha256
from hmac import compare_digest

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION
from aiohttp.typedefs import Handler, Middleware

from server.config.settings import Config, KeySettings, is_loopback
from server.errors import InvalidAPIKey
from server.gateway import Gateway
from server.web.context import VISIT

GUARDED = ("/v1/", "/api/")
METRICS = "/metrics"
# As Anthropic's packages send a key, and Azure's. Clients that are logged in at a
# vendor send the vendor's own token, too, as the bearer.
KEY_HEADERS = ("X-API-Key", "API-Key")


def require_api_key(gateway: Gateway) -> Middleware:
    """Let a request in whose key is known, or any if no key is configured."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        known = gateway.config.auth.keys
        if known and _is_guarded(request, gateway.config):
            request[VISIT].client = client = _client(request, known)
            if client is None:
                wrong = gateway.wrong_keys
                await asyncio.sleep(wrong.delay(request.remote or ""))
                raise _unknown(request)
        return await handler(request)

    return middleware


def _is_guarded(request: web.Request, config: Config) -> bool:
    """
    Say whether it goes to the API, or to the metrics where others can reach them; what
    is no route at all is judged by its path.
    """
    resource = request.match_info.route.resource
    place = request.path if resource is None else resource.canonical
    if f"{place}/".startswith(GUARDED):
        return True
    within = is_loopback(config.server.host) or config.metrics.public
    return place == METRICS and not within


def _given(request: web.Request) -> list[str]:
    """Return each key that comes with *request*, the likeliest first."""
    headers, given = request.headers, []
    for value in headers.getall(AUTHORIZATION, ()):
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() == "bearer":
            given.append(token.strip())
    for name in KEY_HEADERS:
        if name in headers:
            given += [key.strip() for key in headers.getall(name)]
    return [key for key in given if key]


def _client(request: web.Request, known: tuple[KeySettings, ...]) -> KeySettings | None:
    """Return whose key comes with *request*: None if none of its keys is known."""
    given = _given(request)
    if not given:
        raise _refusal("No API key is given")
    found = None
    for token in reversed(given):  # all of them, and the first that is known counts
        digest = sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        for key in known:  # all of them: the time taken tells nothing
            if compare_digest(digest, key.sha256):
                found = key
    return found


def _unknown(request: web.Request) -> InvalidAPIKey:
    one = len(_given(request)) == 1
    return _refusal(f"{'This API key is' if one else 'These API keys are'} not known")


def _refusal(what: str) -> InvalidAPIKey:
    return InvalidAPIKey(
        f"{what}. Send one as `Authorization: Bearer KEY`,"
        " `x-api-key: KEY` or `api-key: KEY`.",
        headers={"WWW-Authenticate": "Bearer"},
    )
