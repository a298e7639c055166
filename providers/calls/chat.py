"""A chat call: it opens, owns the timer, and connects the answer to whoever reads."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Self

from providers.dialects import Call, Dialect
from providers.errors import Phase, ProviderError, ProviderTimeout, ProviderUnreachable
from providers.http.inbox import Inbox

from .answer import OVER, SAID, Answer, Pieces, State
from .call import OpenCall, mapped
from .patience import Patience


class ChatCall:
    """
    One answer on its way: an iterator of the chunks that arrived together.

    *request* goes out with the first `__anext__`; of a large one, this is what makes
    it, beside the event loop. Whatever goes wrong is raised as a
    ProviderError with the *phase* it happened in; the call is closed by then. *close*
    may be called at any time and hangs up at once, without waiting for anything.
    *shown*: the answer is shown as it comes, so that its first token is in a hurry.
    """

    def __init__(
        self,
        call: OpenCall,
        dialect: Dialect,
        request: Call | Callable[[], Call],
        *,
        shown: bool,
    ) -> None:
        self.attempt = call.attempt
        self.attempt.notes = dialect.notes
        self.attempt.dropped = dialect.dropped
        self._call = call
        self._request: Call | Callable[[], Call] | None = request
        self._answer = Answer(dialect, call.attempt, early=shown)
        self._inbox: Inbox[Pieces] = Inbox([])
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._heard_at = now = self._loop.time()
        self._said_at = now
        last_words = call.upstream.waits.last_words
        self._patience = Patience(call.limits, call.begun, now, last_words)
        self._timer: asyncio.TimerHandle | None = None
        self._alarm = 0.0

    @property
    def phase(self) -> Phase:
        return "stream" if self._answer.spoke else self._call.phase

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Pieces:
        try:
            if self._request is not None and not self._closed:
                await self._open(self._request)
            while not self._inbox.kept:
                await self._more()
        except ProviderError as exc:
            raise self._failed(exc) from exc.__cause__
        except BaseException:
            self.close()
            raise
        return self._inbox.take()

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
        inbox = self._inbox
        try:
            inbox.push_to(show)
            while True:
                if inbox.full:
                    await catch_up()
                    inbox.go_on()
                await self._more()
        except StopAsyncIteration:
            self.close()
        except ProviderError as exc:
            raise self._failed(exc) from exc.__cause__
        except BaseException:
            self.close()
            raise
        finally:
            inbox.push_to(None)

    def cut_off(self) -> None:
        """Hang up since another one has won; be ready for the next race."""
        if self._call.exchange is not None and not self._inbox.over:
            self._call.exchange.cut_off()
        self.close()

    def close(self) -> None:
        """Hang up, or leave the connection to the pool if the answer is whole."""
        if self._closed:
            self._inbox.forget_frames()  # nobody may read its error any more
            return
        self._closed, self._request = True, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None  # it would form a reference cycle
        if self._answer.complete and self._call.exchange is not None:
            # It is released by itself if its end comes in time.
            self._call.exchange.linger(self._call.upstream.waits.linger)
        else:
            self._call.close()
        self._answer.give_up()
        self._end(ProviderUnreachable("the call was given up"))

    # What the exchange calls.

    def take(self, data: bytes) -> bool:
        """Take in a part of the body; return whether that is enough for now."""
        self._heard_at = self._loop.time()
        self.attempt.received += len(data)
        before = self._answer.state
        return self._pass_on(self._answer.receive(data), before)

    def end(self, error: Exception | None) -> None:
        """Take in that the body is over, and what broke it."""
        before = self._answer.state
        if error is None:
            self._pass_on(self._answer.end(), before)
        else:
            self._break_off(mapped(error, ""), error)

    async def _open(self, request: Call | Callable[[], Call]) -> None:
        # A stream may be open for long, and what was sent be large.
        self._request = None
        if not isinstance(request, Call):
            request = await asyncio.to_thread(request)
            if self._closed:
                raise ProviderUnreachable("the call was given up")
        self._call.upstream.check()
        # In the loop's next turn: the request goes out before.
        self._loop.call_soon(self._watch)
        within = self._patience.connect_within
        exchange = await self._call.open(request, within)
        exchange.hand_to(self)

    async def _more(self) -> None:
        """Wait until there is more, or raise what there is instead."""
        inbox = self._inbox
        if self._answer.delayed:
            before = self._answer.state
            self._pass_on(self._answer.rest(), before)
        if inbox.idle and self._call.exchange is not None:
            self._heard_at = self._loop.time()
            self._call.exchange.resume()
        if inbox.idle:
            await inbox.wait()
        if inbox.over and not inbox.kept:
            inbox.check()
            raise StopAsyncIteration

    def _pass_on(self, pieces: Pieces, before: State) -> bool:
        """Deliver *pieces*, and follow the answer's state; say if it's enough."""
        answer, enough = self._answer, False
        if answer.state is not before and answer.state is not OVER:
            # How far the answer is decides how long it may take.
            self._said_at = self._heard_at
            self._watch()
        elif before is SAID and any(piece.has_token for piece in pieces):
            # It goes on after its finish reason: its last words may take as long anew.
            self._said_at = self._heard_at
        if pieces:
            try:
                enough = self._inbox.put(pieces)
            except Exception as exc:  # noqa: BLE001 - raised where it can be handled
                self._end(exc)
                return True
        if answer.state is OVER:
            error, answer.error = answer.error, None
            self._end(error)
        return enough

    def _break_off(self, error: ProviderError, cause: Exception | None = None) -> None:
        """Hang up because of *error*, which is no failure if all has been said."""
        error.__cause__ = cause
        before = self._answer.state
        pieces = self._answer.break_off(error)
        self._call.close()
        self._pass_on(pieces, before)

    def _failed(self, exc: ProviderError) -> ProviderError:
        """Close; return what is to be raised."""
        phase = self.phase
        self.close()
        return self._call.failed(exc, phase)

    def _end(self, error: Exception | None) -> None:
        """Take in that nothing follows; whoever reads learns it when all is read."""
        if self._inbox.over:
            return
        self._inbox.end(error)
        if error is None:
            self.attempt.ended = perf_counter()
        else:
            self.close()

    def _watch(self) -> None:
        """
        Time out, or look again when the time would be up if nothing came until then.

        One timer a call, moved only when it fires, or would fire too late: arming it
        for each read would cost a tenth of what an event costs.
        """
        if self._inbox.over or self._closed:
            return
        now = self._loop.time()
        due = self._due(now)
        if due <= now:
            self._expire(now)
        elif self._timer is None or due < self._alarm:
            if self._timer is not None:
                self._timer.cancel()
            self._alarm = due
            self._timer = self._loop.call_at(due, self._on_alarm)

    def _on_alarm(self) -> None:
        self._timer = None
        self._watch()

    def _due(self, now: float) -> float:
        """Return when the answer is too late, by the loop's clock."""
        state = self._answer.state
        since = self._said_at if state is SAID else self._heard_at
        # While nobody takes what comes, it is the client that is slow.
        return self._patience.due(state, since if self._inbox.waiting else now)

    def _expire(self, now: float) -> None:
        patience = self._patience
        if self._call.answered:
            late = patience.lateness(self._answer.state, now)
            self._break_off(ProviderTimeout(late))
        else:
            self._call.give_up(f"no answer within {patience.answer_within:g} s")
