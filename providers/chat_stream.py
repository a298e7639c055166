"""The transport of a chat: one call, its bytes to chunks, in time or not at all."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp

from .chat import ChatRequest, Chunk, TextRun
from .dialects import UNREADABLE, Dialect
from .errors import (
    Phase,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnreachable,
)
from .http import Attempt, check_status, what_broke
from .settings import Limits

if TYPE_CHECKING:
    from .provider import Provider

Pieces = list[Chunk | TextRun]

# Seconds that a connection may take to end after the answer's last event came, so that
# it can be used again.
LINGER = 1.0
# Bytes of an answer that are taken in at once: for a slow client, the chunks and frames
# made of them wait, which are many times their size.
MOST_AT_ONCE = 32 * 1024
# Seconds that usage and `[DONE]` may take once all has been said.
LAST_WORDS = 5.0


class ChatStream:
    """
    One answer on its way: an iterator of the chunks that arrived together.

    The request goes out with the first `__anext__`. Whatever goes wrong is raised as a
    ProviderError with the *phase* it happened in; the stream is closed by then. *close*
    may be called at any time and hangs up at once, without waiting for anything.
    """

    def __init__(
        self,
        provider: "Provider",
        dialect: Dialect,
        request: ChatRequest,
        model: str,
        limits: Limits,
    ) -> None:
        self._provider = provider
        self._limits = limits
        self._dialect = dialect
        self._call = dialect.encode(request, model)
        self.attempt = Attempt()
        self._response: aiohttp.ClientResponse | None = None
        self._spoke = False
        self._finished_at: float | None = None
        self._broken: ProviderError | None = None
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._waiting_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expired = ""
        self._opening: asyncio.Timeout | None = None

    @property
    def phase(self) -> Phase:
        if self._response is None:
            return "connect" if self.attempt.connected is None else "headers"
        return "stream" if self._spoke else "first_token"

    def __aiter__(self) -> "ChatStream":
        return self

    async def __anext__(self) -> Pieces:
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
        if self._opening is not None:
            with suppress(RuntimeError):  # its time is just up: it hangs up by itself
                self._opening.reschedule(self._loop.time())
            self._opening = None
        if self._response is None or self._response.closed:
            return
        if self._dialect.done:
            # It is released by itself if its end comes in time.
            self._loop.call_later(LINGER, self._response.close)
        else:
            self._response.close()

    async def _next(self) -> Pieces:
        if self._response is None:
            self._response = await self._open()
            self._rewatch()
        content = self._response.content
        while not self._dialect.done and self._broken is None:
            self._waiting_since = self._loop.time()
            try:
                received = await content.read(MOST_AT_ONCE)
            except (aiohttp.ClientError, OSError, RuntimeError) as exc:
                pieces = self._cut_short(exc)
            else:
                pieces = self._take_in(received)
            self._waiting_since = None
            if pieces:
                return pieces
        if self._broken is not None:
            raise self._broken
        if not self._spoke:
            raise ProviderProtocolError("the answer ended without a token")
        raise StopAsyncIteration

    async def _open(self) -> aiohttp.ClientResponse:
        if problem := self._provider.problem():
            raise ProviderUnreachable(problem)
        limit = min(self._limits.first_token_timeout, self._limits.total_timeout)
        try:
            async with asyncio.timeout_at(self._started + limit) as self._opening:
                response = await self._provider.request(
                    "POST", self._call, self._limits, self.attempt
                )
                await check_status(response)
                return response
        except TimeoutError as exc:
            if isinstance(exc, aiohttp.ServerTimeoutError):
                limit = self._limits.connect_timeout
                raise ProviderTimeout(f"no connection within {limit:g} s") from exc
            raise ProviderTimeout(f"no answer within {limit:g} s") from exc
        except ValueError as exc:  # aiohttp's word for what HTTP can't say
            raise ProviderProtocolError("the request can't be sent to it") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise ProviderUnreachable(what_broke(exc)) from exc
        finally:
            self._opening = None

    def _cut_short(self, exc: Exception) -> Pieces:
        """Return what is left of an answer whose line broke, if it is whole."""
        if self._finished_at is not None:
            return self._rest()
        if self._expired:
            raise ProviderTimeout(self._expired) from exc
        raise ProviderUnreachable(what_broke(exc)) from exc

    def _take_in(self, received: bytes) -> Pieces:
        """Return the pieces of one read; [] if it completed none."""
        self.attempt.received += len(received)
        pieces, broken = self._decode(received)
        begun = self._spoke
        self._follow(pieces)
        if broken is None:
            return pieces
        if self._finished_at is not None:
            return pieces + self._rest()
        if not (begun and pieces):
            self._spoke = begun  # who has not won yet is better left to the others
            raise broken
        self._broken = broken
        self.close()
        return pieces

    def _decode(self, received: bytes) -> tuple[Pieces, ProviderError | None]:
        """
        Return the chunks that *received* completes, and what is wrong after them.

        b"" stands for the end of the body.
        """
        pieces: Pieces = []
        try:
            found = self._dialect.receive(received) if received else self._dialect.end()
            for piece in found:
                pieces.append(piece)
        except ProviderError as exc:
            return pieces, exc
        except UNREADABLE as exc:
            broken = ProviderProtocolError(f"unreadable answer: {exc}")
            broken.__cause__ = exc
            return pieces, broken
        return pieces, None

    def _follow(self, pieces: Pieces) -> None:
        """Note how far the answer is, since that decides how long it may take."""
        for piece in pieces:
            self.attempt.chunks += piece.count
            if piece.has_token:
                self.attempt.tokens += piece.count
        if not self._spoke and self.attempt.tokens:
            self._spoke = True
            self._rewatch()  # from now on silence counts, not the first token
        if self._spoke and self._finished_at is None and self._dialect.finished:
            self._finished_at = self._loop.time()
            self._rewatch()

    def _rest(self) -> Pieces:
        """Return what is left of an answer that is whole, whatever broke after it."""
        if self._response is not None:
            self._response.close()
        chunks, _ = self._decode(b"")
        self._dialect.done = True
        return chunks

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
            # Wakes the reader. aiohttp would by raising one exception again and again,
            # whose traceback then keeps every stream that it has ever woken.
            self._response.content.set_exception(aiohttp.ClientConnectionError())
            self._response.close()

    def _due(self, now: float) -> tuple[float, str]:
        """Return when the stream is too late, by the loop's clock, and for what."""
        limits = self._limits
        due = self._started + limits.total_timeout
        why = f"not done within {limits.total_timeout:g} s"
        if not self._spoke:
            first = self._started + limits.first_token_timeout
            if first < due:
                return first, f"no token within {limits.first_token_timeout:g} s"
            return due, why
        # While nobody reads, it is the client that is slow.
        since, limit = self._waiting_since or now, limits.idle_timeout
        if self._finished_at is not None:
            limit = min(limit, LAST_WORDS)
            since = min(since, self._finished_at) if self._waiting_since else now
        if since + limit < due:
            return since + limit, f"silent for {limits.idle_timeout:g} s"
        return due, why
