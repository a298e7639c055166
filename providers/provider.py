"""The providers: who is called, where, with what, and through which session."""

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from time import perf_counter
from typing import TypeVar

import aiohttp
from attrs import evolve
from multidict import CIMultiDict
from yarl import URL

from .calls.chat import ChatStream
from .calls.task import TaskStream
from .calls.whole import WholeAnswer
from .chat import CHAT_FIELDS, NEEDED_BY, ChatRequest
from .dialects import (
    COUNTERS,
    DIALECTS,
    TALKERS,
    UNREADABLE,
    WHOLE_DIALECTS,
    Call,
    Dialect,
    tasks_of,
)
from .errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnreachable,
)
from .http.attempt import Attempt
from .http.exchange import MAX_SENT, Exchange, Line, request_head
from .http.session import (
    check_status,
    is_public,
    proxy_from_environment,
    read_body,
    what_broke,
)
from .settings import Limits, ProviderSettings
from .tasks import IMAGE_FIELDS, TaskRequest

MAX_LIST_BYTES = 16 * 1024 * 1024
LIST_TIMEOUT = 15.0
# What image services are given that make their callers wait in a queue.
IMAGE_TIMEOUT = 120.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 4
TASKS = frozenset({"chat", "images", "speech", "transcription", "embeddings"})
# A shorter configured value is a word (`Connection: close`), not a secret.
SHORTEST_SECRET = 8
E = TypeVar("E", bound=ProviderError)


class Provider:
    """
    A configured upstream.

    *settings.kind* names the dialect; *limits* hold where a call has no tighter ones.
    *problem* answers why it can't be used for now, with "" while it can. What the
    upstream's answers name is fetched through *public_session*.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        limits: Limits,
        session: aiohttp.ClientSession,
        problem: Callable[[], str] = lambda: "",
        public_session: aiohttp.ClientSession | None = None,
    ) -> None:
        self.id = settings.id
        self.settings = settings
        self.limits = limits
        self.problem = problem
        self.tasks = tasks_of(settings.kind)
        self._session = session
        self._public_session = public_session
        self._base_url = URL(settings.base_url.rstrip("/") + "/")
        self._proxy = proxy_from_environment(self._base_url)
        self._secrets = _secrets(settings)
        # Nearly all calls are alike in it.
        self._head = lru_cache(maxsize=100)(self._made_head)

    def params(self) -> list[str]:
        """Return the request fields that can be sent to it."""
        if "chat" not in self.tasks:
            return list(IMAGE_FIELDS)
        missing = {
            field
            for field, need in NEEDED_BY.items()
            if self.settings.lacks(frozenset({need}))
        }
        return [field for field in CHAT_FIELDS if field not in missing]

    def lacks(self, needs: frozenset[str]) -> frozenset[str]:
        """Return those of *needs* that it can't serve, as far as is known."""
        return self.settings.lacks(needs) | (needs & TASKS - self.tasks)

    def models_for(self, task: str) -> Mapping[str, str]:
        """Return the models configured for a task, as clients say, and as it does."""
        if task == "images" and "chat" in self.tasks:
            return self.settings.image_models
        return self.settings.models

    def default_for(self, task: str) -> str:
        """Return the model for who names none, or one that is not known; "" if none."""
        if task == "chat" or "chat" not in self.tasks:
            default = self.settings.default_model
            models = self.models_for(task)
            return models.get(default, default) or next(iter(models.values()), "")
        return next(iter(self.models_for(task).values()), "")

    def limits_for(self, task: str) -> Limits:
        """Return the limits of a task; an image has no token before it is done."""
        if task != "images" or self.settings.first_token_timeout is not None:
            return self.limits
        return evolve(self.limits, first_token_timeout=IMAGE_TIMEOUT)

    def dialect(self) -> Dialect:
        return DIALECTS[self.settings.kind](self.settings)

    def task(self, request: TaskRequest, model: str, limits: Limits) -> TaskStream:
        """Prepare to ask for what is no chat; nothing is sent yet."""
        talker = TALKERS[self.settings.kind, request.task]
        return TaskStream(self, talker(self.settings, request, model), limits)

    def chat(self, request: ChatRequest, model: str, limits: Limits) -> ChatStream:
        """Prepare to ask for a chat's answer as a stream; nothing is sent yet."""
        return ChatStream(self, self.dialect(), request, model, limits)

    @property
    def tells_all(self) -> bool:
        """
        Whether it can be asked for an answer in one piece.

        The embedded model is not: llama.cpp looks once a second whether anybody still
        waits for such an answer, and works on till then.
        """
        return self.settings.kind in WHOLE_DIALECTS and not self.settings.model_file

    def whole(self, request: ChatRequest, model: str, limits: Limits) -> WholeAnswer:
        """Prepare to ask for a chat's answer in one piece; nothing is sent yet."""
        dialect = WHOLE_DIALECTS[self.settings.kind](self.settings)
        return WholeAnswer(self, dialect, request, model, limits)

    @property
    def counts(self) -> bool:
        """Whether it can say how many tokens a chat has."""
        return self.settings.kind in COUNTERS

    def count(self, request: ChatRequest, model: str, limits: Limits) -> TaskStream:
        """Prepare to ask how many tokens *request* has; nothing is sent yet."""
        talk = COUNTERS[self.settings.kind](self.settings, request, model)
        return TaskStream(self, talk, limits)

    async def list_models(self) -> tuple[str, ...]:
        """
        Ask the upstream which models it has; return their ids.

        Those that do not chat have no list: they are not asked. Raises ProviderError.
        """
        if self.settings.kind not in DIALECTS:
            return ()
        dialect = self.dialect()
        attempt = Attempt()
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                call = dialect.list_models()
                response = await self.request("GET", call, self.limits, attempt)
                async with response:
                    await check_status(response)
                    return dialect.read_models(
                        await read_body(response, MAX_LIST_BYTES)
                    )
        except ProviderError as exc:
            raise self.cleaned(exc) from None
        except TimeoutError as exc:
            raise ProviderTimeout("no list of models in time") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise ProviderUnreachable(what_broke(exc)) from exc
        except UNREADABLE as exc:
            raise ProviderProtocolError("its list of models can't be read") from exc

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
        headers.update(self.settings.headers)
        return request_head(target, headers)

    @cached_property
    def _line(self) -> Line:
        if self._session.connector is None:
            raise RuntimeError("the session is closed")
        origin = aiohttp.ClientRequest(
            "GET",  # or it would speak of its body's length
            self._base_url,
            headers=self._session.headers,
            session=self._session,
            proxy=URL(self._proxy) if self._proxy else None,
        )
        return Line(self._session.connector, origin)

    async def request(
        self,
        method: str,
        call: Call,
        limits: Limits,
        attempt: Attempt,
        form: Callable[[], aiohttp.FormData] | None = None,
    ) -> aiohttp.ClientResponse:
        """Send *call*; again where a kept-alive connection was dead already."""
        url = self.url(call.path)
        # A talk may call other hosts than the base URL's.
        home = url.origin() == self._base_url.origin()
        proxy = self._proxy if home else proxy_from_environment(url)
        sent = 0
        while True:
            sent += 1
            attempt.begin()
            try:
                response = await self._session.request(
                    method,
                    url,
                    data=form() if form else call.body or None,
                    headers={**call.headers, **self.settings.headers},
                    proxy=proxy,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(connect=limits.connect_timeout),
                    trace_request_ctx=attempt,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
                # Each round takes one such connection out of the pool.
                if sent == MAX_SENT or not attempt.was_stale(exc):
                    raise
            else:
                attempt.headers = perf_counter()
                return response

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
        return self._base_url.join(URL(path))

    def cleaned(self, error: E) -> E:
        """Return *error* less this provider's secrets."""
        error.clean(self._secrets)
        return error


def _login(proxy: URL) -> str:
    """Return what a proxy wants to be told, if its address names a user."""
    if proxy.user is None:
        return ""
    return aiohttp.encode_basic_auth(proxy.user, proxy.password or "")


def _secrets(settings: ProviderSettings) -> list[str]:
    """Return what must not be repeated: the key, and each word of a header's value."""
    words = [
        word
        for value in settings.headers.values()
        for word in re.split(r"[\s=;,]", value)
    ]
    found = {settings.api_key or "", *settings.headers.values(), *words}
    # The longest first, so that no part of it goes before it.
    return sorted(
        (s for s in found if len(s) >= SHORTEST_SECRET), key=len, reverse=True
    )
