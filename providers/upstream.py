"""Where a provider is: its URLs, request heads, connections and secrets."""

import re
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TypeVar

import aiohttp
from attrs import frozen
from multidict import CIMultiDict
from yarl import URL

from .dialects import Call
from .errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderUnreachable,
)
from .http.addresses import is_public, proxy_from_environment
from .http.attempt import Attempt
from .http.exchange import Exchange
from .http.line import Line, Origin, request_head
from .http.masking import Secrets
from .settings import Limits, ProviderSettings

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 4
# How the fields of a query are named that hold one.
SECRET_NAME = re.compile(r"key|token|secret|sig|pass|code", re.IGNORECASE)
E = TypeVar("E", bound=ProviderError)
Form = Callable[[], aiohttp.FormData]


@frozen(kw_only=True)
class Waits:
    """
    What nobody configures of how long calls wait, in seconds.

    *linger*: for a connection to end after its answer's last event, so that it can be
    used again. *last_words*: for usage and `[DONE]`, once all has been said. *stale*:
    within it a dead connection shows, a round trip, wherever it goes. *error_body*: for
    the body of an error, whose status says the most. *models*: for a list of models.
    """

    linger: float = 1.0
    last_words: float = 5.0
    stale: float = 1.0
    error_body: float = 2.0
    models: float = 15.0


class Upstream:
    """
    The upstream that *settings* describe, for those who call it.

    *problem* answers why it can't be used for now, with "" while it can. What its
    answers name is fetched through *public_session*.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        session: aiohttp.ClientSession,
        public_session: aiohttp.ClientSession | None = None,
        problem: Callable[[], str] = lambda: "",
    ) -> None:
        self.waits = Waits()
        self._headers = settings.headers
        self._problem = problem
        self._session = session
        self._public_session = public_session
        base, _, query = settings.base_url.partition("?")
        self._base_url = URL(base.rstrip("/") + "/")
        self._query = URL(f"?{query}").query
        self._proxy = proxy_from_environment(self._base_url)
        self._secrets = _secrets(settings)
        # An embedded engine's room is for its user to change: how, its error says.
        self._room = (
            f"providers.{settings.id}.context" if settings.engine.model_file else ""
        )
        # Nearly all calls are alike in it.
        self._head = lru_cache(maxsize=100)(self._made_head)

    def check(self) -> None:
        """Raise ProviderUnreachable if it can't be used for now."""
        if problem := self._problem():
            raise ProviderUnreachable(problem)

    def exchange(self, attempt: Attempt) -> Exchange:
        """Prepare a call to the upstream itself; nothing is sent yet."""
        return Exchange(self._line, attempt)

    def head(self, call: Call) -> bytes:
        """
        Return the head of a POST of *call* to the upstream itself.

        Raises ValueError if it can't be said in HTTP.
        """
        return b"%b%d\r\n\r\n" % (
            self._head(call.path, tuple(call.headers.items())),
            len(call.body),
        )

    def _made_head(self, path: str, own: tuple[tuple[str, str], ...]) -> bytes:
        origin = self._line.origin
        url = self.url(path)
        if url.origin() != self._base_url.origin():
            raise ValueError("a chat goes to the provider itself")
        target, headers = url.raw_path_qs, CIMultiDict(origin.headers)
        if origin.proxy is not None and not origin.is_ssl():
            target = str(url)
            if login := _login(origin.proxy):
                headers["Proxy-Authorization"] = login
        headers.update(own)
        headers.update(self._headers)
        return request_head(target, headers)

    @cached_property
    def _line(self) -> Line:
        if self._session.connector is None:
            raise RuntimeError("the session is closed")
        origin = Origin(
            "GET",  # or it would speak of its body's length
            self._base_url,
            headers=self._session.headers,
            session=self._session,
            proxy=URL(self._proxy) if self._proxy else None,
        )
        return Line(self._session.connector, origin, self.waits.stale)

    async def request(
        self,
        method: str,
        call: Call,
        limits: Limits,
        attempt: Attempt,
        form: Form | None = None,
    ) -> aiohttp.ClientResponse:
        """Send *call*; again where a kept-alive connection was dead already."""
        url = self.url(call.path)
        # A talk may call other hosts than the base URL's.
        home = url.origin() == self._base_url.origin()
        proxy = self._proxy if home else proxy_from_environment(url)

        async def send() -> aiohttp.ClientResponse:
            return await self._session.request(
                method,
                url,
                data=form() if form else call.body or None,
                headers={**call.headers, **self._headers, **attempt.trace},
                proxy=proxy,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(connect=limits.connect_timeout),
                trace_request_ctx=attempt,
            )

        return await attempt.send(send, self.waits.stale)

    async def fetch(
        self, call: Call, limits: Limits, attempt: Attempt
    ) -> aiohttp.ClientResponse:
        """
        Get a file that an answer names: from the upstream itself, or, without any key
        and from public addresses only, from elsewhere.
        """
        url = self.url(call.path)
        if url.origin() == self._base_url.origin():
            return await self.request("GET", call, limits, attempt)
        if self._public_session is None:
            raise ProviderProtocolError("its answer names a file elsewhere")
        timeout = aiohttp.ClientTimeout(connect=limits.connect_timeout)
        for _ in range(MAX_REDIRECTS):
            if url.scheme not in ("http", "https") or not is_public(url.host or ""):
                break
            response = await self._public_session.get(
                url,
                proxy=proxy_from_environment(url),
                allow_redirects=False,
                timeout=timeout,
                trace_request_ctx=attempt,
            )
            if response.status not in REDIRECTS or "Location" not in response.headers:
                return response
            response.close()
            url = url.join(URL(response.headers["Location"]))
        raise ProviderProtocolError("its answer names a file that may not be fetched")

    def url(self, path: str) -> URL:
        """Return where *path* is; the base URL's query goes along to every place."""
        url = self._base_url.join(URL(path))
        if self._query and url.origin() == self._base_url.origin():
            return url.with_query({**self._query, **url.query})
        return url

    def cleaned(self, error: E) -> E:
        """
        Return *error* less this provider's secrets, with the key that gives an embedded
        engine more room, if that is what it lacks.
        """
        full = isinstance(error, ProviderRefusedRequest) and error.too_long
        if full and self._room and self._room not in error.message:
            error.message += f" ({self._room} in the configuration)"
        error.clean(self._secrets)
        return error


def _login(proxy: URL) -> str:
    """Return what a proxy wants to be told, if its address names a user."""
    if proxy.user is None:
        return ""
    return aiohttp.encode_basic_auth(proxy.user, proxy.password or "")


def _secrets(settings: ProviderSettings) -> Secrets:
    """Return what must not be repeated: the key, and each word of a header's value."""
    words = [
        word
        for value in settings.headers.values()
        for word in re.split(r"[\s=;,]", value)
    ]
    query = URL(settings.base_url or "/").query
    keys = [value for name, value in query.items() if SECRET_NAME.search(name)]
    return Secrets.of(
        (settings.api_key or "", *settings.headers.values(), *words, *keys)
    )
