"""An answer that is asked for in one piece: for who races alone, and has been quick."""

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from providers.chat import ChatRequest
from providers.dialects import UNREADABLE, WholeDialect
from providers.dialects.framing import MAX_EVENT_BYTES
from providers.errors import (
    Phase,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnreachable,
)
from providers.http.attempt import Attempt
from providers.http.exchange import Exchange
from providers.http.session import FAILURES, check_status, failed_call
from providers.settings import Limits

from .chat import ChatStream, Pieces

if TYPE_CHECKING:
    from providers.provider import Provider


class WholeAnswer:
    """
    One answer in one piece: an iterator that yields its chunks, once.

    It costs less than a stream, but gives no sign of life before its end. If that has
    not come when the first token should have, it is given up, and asked for again as a
    stream: a long answer shows itself then, and who hangs is found out. Errors are
    those of a ChatStream.
    """

    def __init__(
        self,
        provider: "Provider",
        dialect: WholeDialect,
        request: ChatRequest,
        model: str,
        limits: Limits,
    ) -> None:
        self.attempt = Attempt(whole=True)
        self._provider = provider
        self._dialect = dialect
        self._request = request
        self._model = model
        self._limits = limits
        self._exchange: Exchange | None = None
        self._answered = False
        self._late = False
        self._over = False
        self._stream: ChatStream | None = None

    @property
    def phase(self) -> Phase:
        if self._stream is not None:
            return self._stream.phase
        if self._answered:
            return "first_token"
        return "connect" if self.attempt.connected is None else "headers"

    def __aiter__(self) -> "WholeAnswer":
        return self

    async def __anext__(self) -> Pieces:
        if self._stream is not None:
            return await self._stream.__anext__()
        if self._over:
            raise StopAsyncIteration
        self._over, started = True, asyncio.get_running_loop().time()
        try:
            body = await self._body()
            if not self._late:
                return self._read(body)
        except ProviderError as exc:
            if not self._late:
                exc.phase = self.phase
                raise self._provider.cleaned(exc) from exc.__cause__
        finally:
            self.close()
        self._stream = self._asked_again(started)
        return await self._stream.__anext__()

    def cut_off(self) -> None:
        """Hang up since another one has won."""
        self.close()

    def close(self) -> None:
        """Hang up at once."""
        if self._exchange is not None:
            self._exchange.close()
        if self._stream is not None:
            self._stream.close()

    async def _body(self) -> bytes:
        if problem := self._provider.problem():
            raise ProviderUnreachable(problem)
        limits = self._limits
        call = self._dialect.encode_whole(self._request, self._model)
        exchange = self._exchange = self._provider.exchange(self.attempt)
        seconds = min(limits.first_token_timeout, limits.total_timeout)
        timer = asyncio.get_running_loop().call_later(seconds, self._give_up)
        try:
            head = self._provider.head(call)
            await exchange.open(head, call.body, limits.connect_timeout)
            await check_status(exchange)
            self._answered = True
            return await self._all_of(exchange)
        except FAILURES as exc:
            raise failed_call(exc, limits) from exc
        finally:
            timer.cancel()

    async def _all_of(self, exchange: Exchange) -> bytes:
        parts: list[bytes] = []
        while part := await exchange.read():
            parts.append(part)
            self.attempt.received += len(part)
            if self.attempt.received > MAX_EVENT_BYTES:
                text = f"its answer is larger than {MAX_EVENT_BYTES} bytes"
                raise ProviderProtocolError(text)
        return b"".join(parts)

    def _read(self, body: bytes) -> Pieces:
        attempt = self.attempt
        try:
            pieces = [*self._dialect.read_whole(body)]
        except UNREADABLE as exc:
            raise ProviderProtocolError(f"unreadable answer: {exc}") from exc
        for piece in pieces:
            attempt.chunks += piece.count
            if piece.has_token:
                attempt.tokens += piece.count
        if not attempt.tokens:
            raise ProviderProtocolError("the answer ended without a token")
        attempt.ended = perf_counter()
        return pieces

    def _give_up(self) -> None:
        self._late = True
        self.close()  # which wakes who waits for it

    def _asked_again(self, started: float) -> ChatStream:
        """Return the stream that is asked for, since what was *started* is too late."""
        limits = self._limits
        if limits.total_timeout <= limits.first_token_timeout:
            text = f"not done within {limits.total_timeout:g} s"
            raise self._provider.cleaned(ProviderTimeout(text, phase=self.phase))
        self.attempt.whole = False
        stream = self._provider.chat(self._request, self._model, limits)
        stream.attempt, stream.begun = self.attempt, started
        return stream
