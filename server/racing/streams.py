"""What a race needs of a stream, and what its delivery to a client needs besides."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from providers import Attempt

P = TypeVar("P", bound="Arrival")
P_co = TypeVar("P_co", bound="Arrival", covariant=True)
R_contra = TypeVar("R_contra", contravariant=True)
# Bytes of an answer, up to which it is kept while it has no token.
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
    ProviderError. A stream that ends without a token is a sound answer that has none:
    one that ended otherwise raises.
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
    """A stream that can call whoever shows its answer, as soon as something arrives."""

    async def pour(self, show: Show[P_co], catch_up: CatchUp) -> None: ...


class PushedStream(RacerStream[P_co], Pushing[P_co], Protocol[P_co]):
    """A stream that can be both pulled and pushed: a chat's."""


class Racer(Protocol[R_contra, P_co]):
    """Someone who can be called; nothing is sent before the stream is first read."""

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
    Have *show* called with all that arrives, to the answer's end.

    It returns whether that is more than its client has read; *catch_up* waits until
    that is read. A stream that can push does, which costs less than to be pulled.
    """
    # To ask whether it is an instance of a protocol would cost more than its events.
    if hasattr(stream, "pour"):
        await stream.pour(show, catch_up)
        return
    async for arrivals in stream:
        if show(arrivals):
            await catch_up()


async def until_token(stream: RacerStream[P]) -> tuple[Sequence[P], bool]:
    """
    Read up to the first token; return what arrived up to then, and whether there is
    a token: else it is all of an answer that has none.

    What says nothing is left out, and what came before the token is kept only while no
    more than KEPT bytes have: a stream that goes on so must not fill the memory. Raises
    what the stream raises, and closes it then.
    """
    kept: list[P] = []
    full = 0
    try:
        async for arrivals in stream:
            if stream.attempt.received > KEPT:
                del kept[full:]  # but for the last, which may be the end
            else:
                full = len(kept)
            for i, arrival in enumerate(arrivals):
                if arrival.has_token:
                    return arrivals[i:] if not kept else [*kept, *arrivals[i:]], True
                if not arrival.says_nothing:
                    kept.append(arrival)
    except BaseException:
        stream.close()
        raise
    return kept, False
