"""What a race needs of a stream, and what its delivery to a client needs besides."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from providers import Attempt

P = TypeVar("P", bound="Arrival")
P_co = TypeVar("P_co", bound="Arrival", covariant=True)
R_contra = TypeVar("R_contra", contravariant=True)
# Bytes of an answer that are kept while it has no token, at most.
KEPT = 256 * 1024
Show = Callable[[Sequence[P_co]], bool]
CatchUp = Callable[[], Awaitable[None]]


class Arrival(Protocol):
    """What a stream yields: a chunk of a chat, images, a sound, a count."""

    @property
    def has_token(self) -> bool:
        """Whether it decides a race."""
        ...

    @property
    def says_nothing(self) -> bool:
        """Whether nothing of it is part of an answer."""
        ...


class RacerStream(Protocol[P_co]):
    """
    An answer on its way: each step yields what arrived together, or raises a
    ProviderError. A stream that ends without a token is a sound answer, as all others
    raise.
    """

    @property
    def attempt(self) -> Attempt: ...

    def __aiter__(self) -> "RacerStream[P_co]": ...

    async def __anext__(self) -> Sequence[P_co]: ...

    def cut_off(self) -> None:
        """Hang up at once, since another one has won."""
        ...

    def close(self) -> None:
        """Hang up at once."""
        ...


class Pushing(Protocol[P_co]):
    """A stream that calls a function with what arrives, as soon as it arrives."""

    async def pour(self, show: Show[P_co], catch_up: CatchUp) -> None: ...


class PushedStream(RacerStream[P_co], Pushing[P_co], Protocol[P_co]):
    """A stream that can be both pulled and pushed: a chat's."""


class Racer(Protocol[R_contra, P_co]):
    """A provider that can be called; nothing is sent before its stream is read."""

    @property
    def id(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def hurried(self) -> bool:
        """Whether the client gives it less time than is configured."""
        ...

    def stream(self, request: R_contra) -> RacerStream[P_co]: ...


async def deliver(stream: RacerStream[P], show: Show[P], catch_up: CatchUp) -> None:
    """
    Call *show* with all that arrives, to the answer's end.

    It returns whether the client is behind with reading; *catch_up* then waits until it
    is not. A stream that can push does so, which costs less than being pulled.
    """
    # isinstance with a protocol would cost more than the events do.
    if hasattr(stream, "pour"):
        await stream.pour(show, catch_up)
        return
    async for arrivals in stream:
        if show(arrivals):
            await catch_up()


async def until_token(stream: RacerStream[P]) -> tuple[Sequence[P], bool]:
    """
    Read up to the first token; return what arrived up to then, and whether there is a
    token: without one, it is a whole answer.

    Arrivals that say nothing are left out. Of those before the token, only what is
    within KEPT bytes is kept, besides the last: a stream without an end must not fill
    the memory. Raises what the stream raises, and closes it then.
    """
    before: list[P] = []
    full = 0
    try:
        async for arrivals in stream:
            if stream.attempt.received > KEPT:
                del before[full:]  # the last stays, as it may be the answer's end
            else:
                full = len(before)
            for i, arrival in enumerate(arrivals):
                if arrival.has_token:
                    return arrivals[i:] if not before else [
                        *before,
                        *arrivals[i:],
                    ], True
                if not arrival.says_nothing:
                    before.append(arrival)
    except BaseException:
        stream.close()
        raise
    return before, False
