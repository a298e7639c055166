"""A call that is no chat: it drives a talk, request by request, to its result."""

import asyncio
from typing import Self

import aiohttp

from providers.dialects import Ask, Reply, Result, Talk
from providers.errors import Phase, ProviderError, ProviderProtocolError
from providers.http.reading import (
    read_body,
    read_explanation,
    read_some,
    retry_after,
)
from providers.tasks import Blob, Images

from .call import BREAKS, OpenCall


class TaskCall:
    """
    One task's result on its way: an iterator that yields it, whole, once.

    It is a stream so that the race can run it: its first token is its result, and an
    image is one only when it has been decoded. Errors are those of a ChatCall.
    """

    def __init__(self, call: OpenCall, talk: Talk) -> None:
        self.attempt = call.attempt
        self._call = call
        self._talk = talk
        self._response: aiohttp.ClientResponse | None = None
        self._over = False

    @property
    def phase(self) -> Phase:
        return self._call.phase

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Result]:
        if self._over:
            raise StopAsyncIteration
        self._over = True
        try:
            return [await self._result()]
        except ProviderError as exc:
            raise self._call.failed(exc) from exc.__cause__
        finally:
            self.close()

    def cut_off(self) -> None:
        """Hang up since another one has won."""
        self.close()

    def close(self) -> None:
        """Hang up at once; an upstream that minds is told to cancel its work."""
        self._talk.close()
        if self._response is not None:
            self._response.close()

    async def _result(self) -> Result:
        limits = self._call.limits
        limit = min(limits.first_token_timeout, limits.total_timeout)
        try:
            async with asyncio.timeout(limit):
                result = await self._drive()
                if isinstance(result, Images):
                    result = await asyncio.to_thread(result.verified)
        except BREAKS as exc:
            late = f"no result within {limit:g} s"
            if isinstance(exc, aiohttp.ServerTimeoutError):
                late = f"no connection within {limits.connect_timeout:g} s"
            raise self._call.broken(exc, late) from exc
        if not result.has_token:
            raise ProviderProtocolError("the answer is empty")
        self.attempt.chunks = self.attempt.tokens = 1
        if isinstance(result, Blob):
            self.attempt.usage = result.usage
        return result

    async def _drive(self) -> Result:
        self._call.upstream.check()
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
        self._response, self._call.answered = None, False
        self._response = response = await self._send(ask)
        self._call.answered = True
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
        upstream, limits = self._call.upstream, self._call.limits
        if ask.foreign:
            return await upstream.fetch(ask.call, limits, self.attempt)

        def form() -> aiohttp.FormData:
            made = aiohttp.FormData()
            for name, value, filename, content_type in ask.form:
                made.add_field(
                    name, value, filename=filename, content_type=content_type
                )
            return made

        return await upstream.request(
            ask.method, ask.call, limits, self.attempt, form if ask.form else None
        )

    async def _body(self, ask: Ask, response: aiohttp.ClientResponse) -> bytes:
        if not response.ok:
            patience = self._call.upstream.waits.error_body
            return await read_explanation(response, patience)
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
