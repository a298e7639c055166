"""The transport of a chat: one call, its bytes to chunks, in time or not at all."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING

from providers.chat import ChatPiece, ChatRequest, TextRun
from providers.dialects import UNREADABLE, Call, Dialect
from providers.errors import (
    Phase,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnreachable,
)
from providers.http.attempt import Attempt
from providers.http.exchange import Exchange
from providers.http.session import FAILURES, check_status, failed_call, what_broke
from providers.settings import Limits

if TYPE_CHECKING:
    from providers.provider import Provider

Pieces = list[ChatPiece]
Find = Callable[[bytes], Iterable[ChatPiece]]

# Seconds that a connection may take to end after the answer's last event came, so that
# it can be used again.
LINGER = 1.0
# Seconds that usage and `[DONE]` may take once all has been said.
LAST_WORDS = 5.0


class ChatStream:
    """
    One answer on its way: an iterator of the chunks that arrived together.

    The request goes out with the first `__anext__`. Whatever goes wrong is raised as a
    ProviderError with the *phase* it happened in; the stream is closed by then. *close*
    may be called at any time and hangs up at once, without waiting for anything.

    The time for the whole runs from when it was *begun*, by the loop's clock.
    """

    def __init__(
        self,
        provider: "Provider",
        dialect: Dialect,
        request: ChatRequest,
        model: str,
        limits: Limits,
    ) -> None:
        self.attempt = Attempt()
        self._provider = provider
        self._limits = limits
        self._dialect = dialect
        self._shown = bool(request.stream)
        self._call: Call | None = dialect.encode(request, model)
        self._exchange: Exchange | None = None
        self._answered = False
        self._spoke = False
        self._closed = False
        self._finished_at: float | None = None
        # What came with the first token, to be decoded once that has gone its way.
        self._left: Iterator[ChatPiece] | None = None
        # What has arrived and nobody has taken yet, and what comes after it.
        self._ready: Pieces = []
        self._over = False
        self._error: Exception | None = None
        self._show: Callable[[Pieces], bool] | None = None
        self._behind = False
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self.begun = self._started = self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._alarm = 0.0
        self._expired = ""

    @property
    def phase(self) -> Phase:
        if not self._answered:
            return "connect" if self.attempt.connected is None else "headers"
        return "stream" if self._spoke else "first_token"

    def __aiter__(self) -> "ChatStream":
        return self

    async def __anext__(self) -> Pieces:
        try:
            if self._exchange is None and not self._closed:
                await self._open()
            while not self._ready:
                await self._more()
        except ProviderError as exc:
            raise self._failed(exc) from exc.__cause__
        except BaseException:
            self.close()
            raise
        pieces, self._ready = self._ready, []
        return pieces

    async def pour(
        self,
        show: Callable[[Pieces], bool],
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        """
        Have *show* called with what arrives, as soon as it does, to the answer's end.

        It returns whether that is more than its client has read; *catch_up* waits until
        that is read, and nothing is taken from the upstream meanwhile.
        """
        try:
            self._show = show
            ready, self._ready = self._ready, []
            self._behind = bool(ready) and show(ready)
            while True:
                if self._behind:
                    await catch_up()
                    self._behind = False
                await self._more()
        except StopAsyncIteration:
            self.close()
        except ProviderError as exc:
            raise self._failed(exc) from exc.__cause__
        except BaseException:
            self.close()
            raise
        finally:
            self._show = None

    def cut_off(self) -> None:
        """Hang up since another one has won; be ready for the next race."""
        if self._exchange is not None and not self._over:
            self._exchange.cut_off()
        self.close()

    def close(self) -> None:
        """Hang up, or leave the connection to the pool if the answer is whole."""
        if self._closed:
            if self._error is not None:  # nobody will read it: it is not to keep this
                self._error.__traceback__ = None
            return
        self._closed, self._left = True, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None  # it knows this as this knows it
        if self._exchange is not None:
            if self._dialect.done:
                # It is released by itself if its end comes in time.
                self._exchange.linger(LINGER)
            else:
                self._exchange.close()
        self._end(ProviderUnreachable("the call was given up"))

    # What the exchange calls.

    def take(self, data: bytes) -> bool:
        """Take in a part of the body; return whether that is enough for now."""
        self._heard_at = self._loop.time()
        self.attempt.received += len(data)
        return self._go_through(data, self._dialect.receive)

    def _go_through(self, data: bytes, find: Find) -> bool:
        """Pass on what *find* finds in *data*; return whether that is enough."""
        begun = self._spoke
        if not begun and self._shown and _looks_sound(data):
            find = self._to_token
        pieces, broken = self._decode(data, find)
        self._follow(pieces)
        if broken is not None and not self._is_whole:
            if begun:
                self._arrived(pieces)
            else:
                self._spoke = False  # who has not won is better left to the others
            self._end(broken)
            return True
        if broken is not None:
            pieces += self._rest()
        behind = self._arrived(pieces)
        if self._left is None and (broken is not None or self._dialect.done):
            self._end(None)
        return behind

    def end(self, error: Exception | None) -> None:
        """Take in that the body is over, and what broke it."""
        if error is None:
            pieces, broken = self._decode(b"", self._at_end)
            self._follow(pieces)
            self._arrived(pieces)
            self._end(broken)
        elif self._is_whole:
            self._arrived(self._rest())
            self._end(None)
        else:
            self._end(self._what_broke(error))

    @property
    def _is_whole(self) -> bool:
        """Whether what breaks from now on breaks nothing of the answer."""
        return self._finished_at is not None and self._dialect.finished

    async def _open(self) -> None:
        if problem := self._provider.problem():
            raise ProviderUnreachable(problem)
        limits = self._limits
        limit = min(limits.first_token_timeout, limits.total_timeout)
        try:
            self._exchange = exchange = self._provider.exchange(self.attempt)
            # In the loop's next turn: the request goes out before.
            self._loop.call_soon(self._watch)
            await self._send(exchange, min(limits.connect_timeout, limit))
            await check_status(exchange)
            if self._expired:
                raise TimeoutError  # it came, but too late: it has been thrown away
        except FAILURES as exc:
            hurried = limit < limits.connect_timeout and isinstance(exc, TimeoutError)
            if self._expired or hurried:
                raise ProviderTimeout(f"no answer within {limit:g} s") from exc
            raise failed_call(exc, limits) from exc
        self._answered = True
        exchange.hand_to(self)

    async def _send(self, exchange: Exchange, connect_timeout: float) -> None:
        # A stream may be open for long, and what was sent be large.
        call, self._call = self._call, None
        if call is None:
            raise AssertionError("a stream asks once")
        head = self._provider.head(call)
        await exchange.open(head, call.body, connect_timeout)

    async def _more(self) -> None:
        """Wait until there is more, or raise what there is instead."""
        if self._left is not None:
            self._go_through(b"", self._what_is_left)
        silent = not (self._over or self._ready or self._behind)
        if silent and self._exchange is not None:
            self._heard_at = self._loop.time()
            self._exchange.resume()
        if not (self._over or self._ready or self._behind):
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._over and not self._ready:
            if self._error is not None:
                raise self._let_go()
            if not self._spoke:
                raise ProviderProtocolError("the answer ended without a token")
            raise StopAsyncIteration

    def _let_go(self) -> Exception:
        """Return what broke it, for it to be raised, and to know this from then on."""
        error, self._error = self._error, None
        return error or ProviderUnreachable("the call was given up")

    def _failed(self, exc: ProviderError) -> ProviderError:
        """Close; return what is to be raised."""
        exc.phase = self.phase
        self.close()
        return self._provider.cleaned(exc)

    def _arrived(self, pieces: Pieces) -> bool:
        """Pass *pieces* on; return whether that is enough for now."""
        if not pieces:
            return False
        if self._show is None:
            self._ready += pieces
            self._wake()
            return True
        try:
            self._behind = self._show(pieces)
        except Exception as exc:  # noqa: BLE001 - raised where it can be handled
            self._end(exc)
            return True
        if self._behind:
            self._wake()
        return self._behind

    def _end(self, error: Exception | None) -> None:
        """Take in that nothing follows; whoever reads is told when all is read."""
        if not self._over:
            self._over, self._error = True, error
            if error is None:
                self.attempt.ended = perf_counter()
            else:
                self.close()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _what_broke(self, error: Exception) -> ProviderError:
        broken: ProviderError = ProviderUnreachable(what_broke(error))
        if self._expired:
            broken = ProviderTimeout(self._expired)
        broken.__cause__ = error
        return broken

    def _to_token(self, data: bytes) -> Iterator[ChatPiece]:
        """Decode a part of the body up to the first token; the rest is left."""
        found = iter(self._dialect.receive(data))
        for piece in found:
            yield piece
            if piece.has_token:
                self._left = found
                break

    def _what_is_left(self, _: bytes) -> Iterable[ChatPiece]:
        left, self._left = self._left, None
        return left or ()

    def _at_end(self, _: bytes) -> Iterable[ChatPiece]:
        return self._dialect.end()

    def _decode(self, data: bytes, find: Find) -> tuple[Pieces, Exception | None]:
        """
        Return the chunks that *find* finds in *data*, and what is wrong after them.

        It is less what it came up through: those calls would be kept, and keep this.
        """
        pieces: Pieces = []
        try:
            for piece in find(data):
                pieces.append(piece)
        except ProviderError as exc:
            return pieces, exc.with_traceback(None)
        except UNREADABLE as exc:
            broken = ProviderProtocolError(f"unreadable answer: {exc}")
            broken.__cause__ = exc.with_traceback(None)
            return pieces, broken
        except Exception as exc:  # noqa: BLE001 - to be raised where somebody reads
            return pieces, exc
        return pieces, None

    def _follow(self, pieces: Pieces) -> None:
        """Note how far the answer is, since that decides how long it may take."""
        changed, attempt, alike = False, self.attempt, True
        said = attempt.tokens
        for piece in pieces:
            attempt.chunks += piece.count
            if piece.has_token:
                attempt.tokens += piece.count
            alike = alike and isinstance(piece, TextRun)
        if alike and self._spoke:
            return  # it just goes on
        if not self._spoke and attempt.tokens:
            self._spoke = changed = True  # silence counts, not the first token
        # Text after a finish reason means that it goes on, so its last words may yet.
        goes_on = self._finished_at is None or attempt.tokens > said
        if self._spoke and goes_on and self._dialect.finished:
            self._finished_at, changed = self._heard_at, True
        if changed and not self._dialect.done:
            self._watch()

    def _rest(self) -> Pieces:
        """Return what is left of an answer that is whole, whatever broke after it."""
        if self._exchange is not None:
            self._exchange.close()
        chunks, _ = self._decode(b"", self._at_end)
        self._dialect.done = True
        return chunks

    def _watch(self) -> None:
        """
        Time out, or see that it is looked again when the time would be up if nothing
        came until then.

        One timer a stream, moved only when it fires, or would fire too late: arming it
        for each read would cost a tenth of what an event costs.
        """
        if self._over or self._closed:
            return
        now = self._loop.time()
        due = self._due(now)
        if due <= now:
            self._expire()
        elif self._timer is None or due < self._alarm:
            if self._timer is not None:
                self._timer.cancel()
            self._alarm = due
            self._timer = self._loop.call_at(due, self._on_alarm)

    def _on_alarm(self) -> None:
        self._timer = None
        self._watch()

    def _expire(self) -> None:
        self._expired = why = self._lateness()
        if not self._answered and self._exchange is not None:
            self._exchange.close()  # which wakes who waits for it
        elif self._finished_at is not None:
            self._arrived(self._rest())
            self._end(None)
        else:
            self._end(ProviderTimeout(why))

    def _lateness(self) -> str:
        """Say for what the stream is too late, now that it is."""
        limits = self._limits
        if self._loop.time() >= self.begun + limits.total_timeout:
            return f"not done within {limits.total_timeout:g} s"
        if not self._spoke:
            return f"no token within {limits.first_token_timeout:g} s"
        return f"silent for {limits.idle_timeout:g} s"

    def _due(self, now: float) -> float:
        """Return when the stream is too late, by the loop's clock."""
        limits = self._limits
        due = self.begun + limits.total_timeout
        if not self._spoke:
            return min(due, self._started + limits.first_token_timeout)
        # While nobody takes what comes, it is the client that is slow.
        waiting = self._waiter is not None
        since, limit = self._heard_at if waiting else now, limits.idle_timeout
        if self._finished_at is not None:
            limit = min(limit, LAST_WORDS)
            since = min(since, self._finished_at) if waiting else now
        return min(due, since + limit)


def _looks_sound(data: bytes) -> bool:
    """
    Say whether nothing in a part of a body seems broken: no error, no event cut short.

    A token that comes with an error would win, and fail then.
    """
    return b'"error"' not in data and data.rstrip().endswith((b"}", b"[DONE]"))
