"""API keys: who may come in, known by the SHA-256 of the key alone."""

from hashlib import sha256
from hmac import compare_digest

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from server.config.settings import KeySettings
from server.errors import InvalidAPIKey
from server.gateway import Gateway
from server.web.context import VISIT

GUARDED = ("/v1/", "/api/")


def require_api_key(gateway: Gateway) -> Middleware:
    """Let a request in whose key is known, or any if no key is configured."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        known = gateway.config.auth.keys
        if known and _is_guarded(request):
            request[VISIT].client = _client(request, known)
        return await handler(request)

    return middleware


def _is_guarded(request: web.Request) -> bool:
    """Say whether it goes to the API; what is no route at all is judged by its path."""
    resource = request.match_info.route.resource
    place = request.path if resource is None else resource.canonical
    return place.startswith(GUARDED)


def _given(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("X-API-Key", "").strip()


def _client(request: web.Request, known: tuple[KeySettings, ...]) -> KeySettings:
    given = _given(request)
    if not given:
        raise _refusal("No API key is given")
    digest = sha256(given.encode("utf-8", "surrogateescape")).hexdigest()
    found = None
    for key in known:  # all of them: the time taken tells nothing
        if compare_digest(digest, key.sha256):
            found = key
    if found is None:
        raise _refusal("This API key is not known")
    return found


def _refusal(what: str) -> InvalidAPIKey:
    return InvalidAPIKey(
        f"{what}. Send one as `Authorization: Bearer KEY` or `x-api-key: KEY`.",
        headers={"WWW-Authenticate": "Bearer"},
    )
