"""A chat call to an upstream that speaks two APIs, and refuses one of them at times."""

from collections.abc import Awaitable, Callable
from typing import Generic, Self, TypeVar

from providers.errors import Phase, ProviderError
from providers.http.attempt import Attempt

from .answer import Pieces
from .call import OpenCall
from .chat import ChatCall
from .ways import Route
from .whole import WholeCall

CallT = TypeVar("CallT", bound=ChatCall | WholeCall)


class ReroutedCall(Generic[CallT]):
    """
    One answer on its way, requested as *route* says: an iterator like the *start*ed
    call's own.

    A refusal that comes before the first token, and says that the other API is the
    right one, is no failure: the request goes out again at once, that way.
    """

    def __init__(
        self, call: OpenCall, route: Route, start: Callable[[OpenCall], CallT]
    ) -> None:
        self.attempt: Attempt = call.attempt
        self._call = call
        self._route = route
        self._start = start
        self._inner = start(call)
        self._closed = False
        self._answered = False

    @property
    def phase(self) -> Phase:
        return self._inner.phase

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Pieces:
        while True:
            try:
                pieces: Pieces = await self._inner.__anext__()
            except ProviderError as exc:
                if not self._again(exc):
                    raise
                continue
            if not self._answered and self.attempt.tokens:
                self._answered = True
                self._route.learn()
            return pieces

    def cut_off(self) -> None:
        """Hang up since another one has won; be ready for the next race."""
        self._closed = True
        self._inner.cut_off()

    def close(self) -> None:
        """Hang up at once."""
        self._closed = True
        self._inner.close()

    def _again(self, refusal: ProviderError) -> bool:
        """Prepare another call if *refusal* shows that there is a better way."""
        note = "" if self._closed or self._answered else self._route.turn(refusal)
        if not note:
            return False
        try:
            self._inner = self._start(self._call.again())
        except ProviderError:
            return False  # it can't be said that way: the refusal stands
        self.attempt.notes.append(note)
        return True


class ReroutedChat(ReroutedCall[ChatCall]):
    """Such an answer as a stream, which can be poured once its first token is there."""

    async def pour(
        self,
        show: Callable[[Pieces], bool],
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        """See ChatCall.pour."""
        await self._inner.pour(show, catch_up)
