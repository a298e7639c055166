"""An answer in one piece: for who races alone, and has been quick."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Self

from providers.dialects import UNREADABLE, Call, WholeDialect
from providers.dialects.framing import MAX_EVENT_BYTES
from providers.errors import (
    Phase,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
)

from .answer import Pieces, check_wordless
from .call import LOST, OpenCall, mapped
from .chat import ChatCall


class WholeCall:
    """
    One answer in one piece: an iterator that yields its chunks, once.

    It costs less than a stream, but gives no sign of life before its end. If that has
    not come when the first token should have, it is given up, and requested again as a
    *stream*: a long answer shows itself then, and an upstream that hangs is found out.
    Errors are those of a ChatCall.
    """

    def __init__(
        self,
        call: OpenCall,
        dialect: WholeDialect,
        encode: Callable[[], Call],
        stream: Callable[[OpenCall], ChatCall],
    ) -> None:
        self.attempt = call.attempt
        self.attempt.whole = True
        self.attempt.notes = dialect.notes
        self.attempt.dropped = dialect.dropped
        self._call = call
        self._dialect = dialect
        self._encode = encode
        self._streamed = stream
        self._over = False
        self._stream: ChatCall | None = None

    @property
    def phase(self) -> Phase:
        return self._call.phase if self._stream is None else self._stream.phase

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Pieces:
        if self._stream is not None:
            return await self._stream.__anext__()
        if self._over:
            raise StopAsyncIteration
        self._over = True
        try:
            body = await self._body()
            if not self._call.too_late:
                return self._read(body)
        except ProviderError as exc:
            if not self._call.too_late:
                raise self._call.failed(exc) from exc.__cause__
        finally:
            self.close()
        self._stream = self._again()
        return await self._stream.__anext__()

    def cut_off(self) -> None:
        """Hang up since another one has won."""
        self.close()

    def close(self) -> None:
        """Hang up at once."""
        self._call.close()
        if self._stream is not None:
            self._stream.close()

    async def _body(self) -> bytes:
        self._call.upstream.check()
        request, limits = self._encode(), self._call.limits
        seconds = min(limits.first_token_timeout, limits.total_timeout)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds, self._give_up, seconds)
        try:
            exchange = await self._call.open(request, limits.connect_timeout)
            body = await exchange.read_all(MAX_EVENT_BYTES)
        except LOST as exc:
            raise self._call.broken(exc) from exc
        finally:
            timer.cancel()
        if len(body) > MAX_EVENT_BYTES:
            text = f"its answer is larger than {MAX_EVENT_BYTES} bytes"
            raise ProviderProtocolError(text)
        return body

    def _give_up(self, seconds: float) -> None:
        self._call.give_up(f"no answer within {seconds:g} s")

    def _read(self, body: bytes) -> Pieces:
        attempt = self.attempt
        try:
            pieces = [*self._dialect.read_whole(body)]
        except UNREADABLE as exc:
            raise mapped(exc, "") from exc
        for piece in pieces:
            attempt.chunks += piece.count
            attempt.usage = piece.usage or attempt.usage
            if piece.has_token:
                attempt.tokens += piece.count
        if not attempt.tokens:
            check_wordless(self._dialect)
        attempt.ended = perf_counter()
        return pieces

    def _again(self) -> ChatCall:
        """Return the same as a stream, since the answer in one piece is too late."""
        limits = self._call.limits
        if limits.total_timeout <= limits.first_token_timeout:
            text = f"not done within {limits.total_timeout:g} s"
            raise self._call.failed(ProviderTimeout(text))
        self.attempt.whole = False
        return self._streamed(self._call.again())
