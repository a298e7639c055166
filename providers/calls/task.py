"""The transport of what is no chat: it drives a talk, call by call, to its result."""

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from providers.dialects import UNREADABLE, Ask, Reply, Result, Talk
from providers.errors import (
    Phase,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnreachable,
)
from providers.http.attempt import Attempt
from providers.http.session import (
    read_body,
    read_explanation,
    read_some,
    retry_after,
    what_broke,
)
from providers.settings import Limits
from providers.tasks import Images

if TYPE_CHECKING:
    from providers.provider import Provider


class TaskStream:
    """
    One task's result on its way: an iterator that yields it, whole, once.

    It is a stream so that the race can run it: its first token is its result, and an
    image is one only when it has been decoded. Errors are those of a ChatStream.
    """

    def __init__(self, provider: "Provider", talk: Talk, limits: Limits) -> None:
        self._provider = provider
        self._talk = talk
        self._limits = limits
        self.attempt = Attempt()
        self._response: aiohttp.ClientResponse | None = None
        self._over = False

    @property
    def phase(self) -> Phase:
        if self._response is not None:
            return "first_token"
        return "connect" if self.attempt.connected is None else "headers"

    def __aiter__(self) -> "TaskStream":
        return self

    async def __anext__(self) -> list[Result]:
        if self._over:
            raise StopAsyncIteration
        self._over = True
        try:
            return [await self._result()]
        except ProviderError as exc:
            exc.phase = self.phase
            raise self._provider.cleaned(exc) from exc.__cause__
        finally:
            self.close()

    def cut_off(self) -> None:
        """Hang up since another one has won."""
        self.close()

    def close(self) -> None:
        """Hang up at once; what was asked for is cancelled where the upstream minds."""
        self._talk.close()
        if self._response is not None:
            self._response.close()

    async def _result(self) -> Result:
        limit = min(self._limits.first_token_timeout, self._limits.total_timeout)
        try:
            async with asyncio.timeout(limit):
                result = await self._drive()
                if isinstance(result, Images):
                    result = await asyncio.to_thread(result.verified)
        except TimeoutError as exc:
            if isinstance(exc, aiohttp.ServerTimeoutError):
                limit = self._limits.connect_timeout
                raise ProviderTimeout(f"no connection within {limit:g} s") from exc
            raise ProviderTimeout(f"no result within {limit:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise ProviderUnreachable(what_broke(exc)) from exc
        except UNREADABLE as exc:
            raise ProviderProtocolError(f"unreadable answer: {exc}") from exc
        if not result.has_token:
            raise ProviderProtocolError("the answer is empty")
        self.attempt.chunks = self.attempt.tokens = 1
        return result

    async def _drive(self) -> Result:
        if problem := self._provider.problem():
            raise ProviderUnreachable(problem)
        try:
            ask = next(self._talk)
            while True:
                ask = self._talk.send(await self._reply(ask))
        except StopIteration as stop:
            result: Result = stop.value
            return result
        except ProviderError as exc:
            if exc.retry_after is None and self._response is not None:
                exc.retry_after = retry_after(self._response.headers)
            raise

    async def _reply(self, ask: Ask) -> Reply:
        self._response = None
        self._response = response = await self._send(ask)
        try:
            body = await self._body(ask, response)
        finally:
            if not response.content.at_eof():
                response.close()
        return Reply(
            status=response.status,
            content_type=response.content_type,
            headers=response.headers,
            body=body,
        )

    async def _send(self, ask: Ask) -> aiohttp.ClientResponse:
        if ask.foreign:
            return await self._provider.fetch(ask.call, self._limits, self.attempt)

        def form() -> aiohttp.FormData:
            made = aiohttp.FormData()
            for name, value, filename, content_type in ask.form:
                made.add_field(
                    name, value, filename=filename, content_type=content_type
                )
            return made

        return await self._provider.request(
            ask.method,
            ask.call,
            self._limits,
            self.attempt,
            form if ask.form else None,
        )

    async def _body(self, ask: Ask, response: aiohttp.ClientResponse) -> bytes:
        if not response.ok:
            return await read_explanation(response)
        if ask.listen is None:
            body = await read_body(response, ask.limit + 1)
            self.attempt.received += len(body)
            if len(body) > ask.limit:
                raise ProviderProtocolError(f"it sent more than {ask.limit} bytes")
            return body
        while piece := await read_some(response):
            self.attempt.received += len(piece)
            if ask.listen(piece):
                break
        return b""
