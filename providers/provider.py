"""The transport: one call to an upstream, bytes to dialect to chunks. All the I/O."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import aiohttp
from yarl import URL

from .chat import CHAT_FIELDS, NEEDED_BY, ChatRequest, Chunk
from .dialects import DIALECTS, Call, read_error
from .errors import (
    Phase,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnreachable,
)
from .http import (
    Attempt,
    check_status,
    proxy_from_environment,
    read_body,
    what_broke,
)
from .settings import Limits, ProviderSettings

MAX_LIST_BYTES = 16 * 1024 * 1024
LIST_TIMEOUT = 15.0
# Seconds that a connection may take to end after the answer's last event came, so that
# it can be used again.
LINGER = 1.0
# What a dialect raises when it meets data of a shape that it does not know.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
# A shorter configured value is a word (`Connection: close`), not a secret.
SHORTEST_SECRET = 8
E = TypeVar("E", bound=ProviderError)


class Provider:
    """
    A configured upstream.

    *settings.kind* names the dialect; *limits* hold where a call has no tighter ones.
    *problem* answers why it can't be used for now, with "" while it can.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        limits: Limits,
        session: aiohttp.ClientSession,
        problem: Callable[[], str] = lambda: "",
    ) -> None:
        self.id = settings.id
        self.settings = settings
        self.limits = limits
        self.problem = problem
        self.dialect = DIALECTS[settings.kind]
        self._session = session
        self._base_url = URL(settings.base_url.rstrip("/") + "/")
        self._proxy = proxy_from_environment(self._base_url)
        self._secrets = [
            value
            for value in (settings.api_key, *settings.headers.values())
            if value and len(value) >= SHORTEST_SECRET
        ]

    def params(self) -> list[str]:
        """Return the request fields that can be sent to it."""
        missing = {
            field
            for field, need in NEEDED_BY.items()
            if self.settings.lacks(frozenset({need}))
        }
        return [field for field in CHAT_FIELDS if field not in missing]

    def stream(self, request: ChatRequest, model: str, limits: Limits) -> "ChatStream":
        """Prepare to stream *request* from the upstream's *model*; nothing is sent."""
        return ChatStream(self, request, model, limits)

    async def list_models(self) -> tuple[str, ...]:
        """
        Ask the upstream which models it has; return their ids.

        Raises ProviderError.
        """
        dialect = self.dialect(self.settings)
        attempt = Attempt()
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                call = dialect.list_models()
                response = await self.request("GET", call, self.limits, attempt)
                async with response:
                    body = await read_body(response, MAX_LIST_BYTES)
                    if not response.ok:
                        raise self.cleaned(read_error(response.status, body))
                    return dialect.read_models(body)
        except TimeoutError as exc:
            raise ProviderTimeout("no list of models in time") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise ProviderUnreachable(what_broke(exc)) from exc
        except UNREADABLE as exc:
            raise ProviderProtocolError("its list of models can't be read") from exc

    async def request(
        self, method: str, call: Call, limits: Limits, attempt: Attempt
    ) -> aiohttp.ClientResponse:
        """Send *call*; once more where a kept-alive connection was dead already."""
        while True:
            attempt.connected = attempt.reused = False
            try:
                return await self._session.request(
                    method,
                    self._base_url.join(URL(call.path)),
                    data=call.body or None,
                    headers={**call.headers, **self.settings.headers},
                    proxy=self._proxy,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(connect=limits.connect_timeout),
                    trace_request_ctx=attempt,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # The upstream hung up just as we wrote, so it has not seen the call.
                # Each round takes one such connection out of the pool.
                if not attempt.reused:
                    raise

    def cleaned(self, error: E) -> E:
        """Take this provider's secrets out of *error*: upstreams do echo keys."""
        for secret in self._secrets:
            error.message = error.message.replace(secret, "***")
        return error


class ChatStream:
    """
    One answer on its way: an iterator of the chunks that arrived together.

    The request goes out with the first `__anext__`. Whatever goes wrong is raised as a
    ProviderError with the *phase* it happened in; the stream is closed by then. *close*
    may be called at any time and hangs up at once, without waiting for anything.
    """

    def __init__(
        self, provider: Provider, request: ChatRequest, model: str, limits: Limits
    ) -> None:
        self._provider = provider
        self._limits = limits
        self._dialect = provider.dialect(provider.settings)
        self._call = self._dialect.encode(request, model)
        self._attempt = Attempt()
        self._response: aiohttp.ClientResponse | None = None
        self._spoke = False
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._waiting_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expired = ""

    @property
    def phase(self) -> Phase:
        if self._response is None:
            return "headers" if self._attempt.connected else "connect"
        return "stream" if self._spoke else "first_token"

    def __aiter__(self) -> "ChatStream":
        return self

    async def __anext__(self) -> list[Chunk]:
        try:
            return await self._next()
        except ProviderError as exc:
            exc.phase = self.phase
            self.close()
            raise self._provider.cleaned(exc) from exc.__cause__
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hang up, or leave the connection to the pool if the answer is whole."""
        if self._timer is not None:
            self._timer.cancel()
        if self._response is None or self._response.closed:
            return
        if self._dialect.done:
            # It is released by itself if its end comes in time.
            self._loop.call_later(LINGER, self._response.close)
        else:
            self._response.close()

    async def _next(self) -> list[Chunk]:
        if self._response is None:
            self._response = await self._open()
            self._rewatch()
        while not self._dialect.done:
            chunks = await self._receive(self._response)
            if not self._spoke and any(chunk.has_token for chunk in chunks):
                self._spoke = True
                self._rewatch()  # from now on silence counts, not the first token
            if chunks:
                return chunks
        if not self._spoke:
            raise ProviderProtocolError("the answer ended without a token")
        raise StopAsyncIteration

    async def _open(self) -> aiohttp.ClientResponse:
        if problem := self._provider.problem():
            raise ProviderUnreachable(problem)
        limit = min(self._limits.first_token_timeout, self._limits.total_timeout)
        try:
            async with asyncio.timeout_at(self._started + limit):
                response = await self._provider.request(
                    "POST", self._call, self._limits, self._attempt
                )
                await check_status(response)
                return response
        except TimeoutError as exc:
            raise ProviderTimeout(self._too_slow(exc)) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise ProviderUnreachable(what_broke(exc)) from exc

    def _too_slow(self, exc: TimeoutError) -> str:
        if isinstance(exc, aiohttp.ServerTimeoutError):
            return f"no connection within {self._limits.connect_timeout:g} s"
        return f"no answer within {self._limits.first_token_timeout:g} s"

    async def _receive(self, response: aiohttp.ClientResponse) -> list[Chunk]:
        """Return the chunks of one read; [] if it completed none."""
        self._waiting_since = self._loop.time()
        try:
            received = await response.content.readany()
            if received:
                return self._dialect.receive(received)
            return self._dialect.end()
        except (aiohttp.ClientError, OSError) as exc:
            if self._dialect.finished and not self._expired:
                return self._dialect.end()  # all was said before the line broke
            if self._expired:
                raise ProviderTimeout(self._expired) from exc
            raise ProviderUnreachable(what_broke(exc)) from exc
        except UNREADABLE as exc:
            raise ProviderProtocolError(f"unreadable answer: {exc}") from exc
        finally:
            self._waiting_since = None

    def _rewatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._watch()

    def _watch(self) -> None:
        """
        Time out, or look again when the time would be up if nothing came until then.

        One timer a stream, moved only when it fires: arming it for each read would
        cost a tenth of what an event costs.
        """
        now = self._loop.time()
        due, self._expired = self._due(now)
        if due > now:
            self._expired, self._timer = "", self._loop.call_at(due, self._watch)
        elif self._response is not None:
            self._response.close()  # wakes the reader with an error

    def _due(self, now: float) -> tuple[float, str]:
        """Return when the stream is too late, by the loop's clock, and for what."""
        limits = self._limits
        due = self._started + limits.total_timeout
        why = f"not done within {limits.total_timeout:g} s"
        if not self._spoke:
            first = self._started + limits.first_token_timeout
            if first < due:
                return first, f"no token within {limits.first_token_timeout:g} s"
        else:
            # While nobody reads, it is the client that is slow.
            idle = (self._waiting_since or now) + limits.idle_timeout
            if idle < due:
                return idle, f"silent for {limits.idle_timeout:g} s"
        return due, why
