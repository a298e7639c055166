"""What a served format is: how it reads requests, shows answers, and puts errors."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from providers import ChatPiece, ChatRequest
from server.errors import GatewayError
from server.racing.lineup import Selection

from .errors import ErrorShape

RequestT = TypeVar("RequestT")


class StreamRenderer(Protocol):
    """
    Renders one streamed answer; *render* raises ProviderError if it can't be. *cost* is
    shown with the usage, in dollars, if it is known.
    """

    def render(self, pieces: Sequence[ChatPiece]) -> bytes: ...

    def end(self, cost: float | None = None) -> bytes: ...


class AnswerRenderer(Protocol):
    """
    Puts one whole answer together; either raises ProviderError if that can't be. *cost*
    is that of a StreamRenderer.
    """

    def add(self, pieces: Iterable[ChatPiece]) -> None: ...

    def body(self, cost: float | None = None) -> bytes: ...


async def keep_nothing(end: bytes) -> bytes:
    """Keep nothing, so that there is nothing to say of it."""
    return end


@frozen
class Rendering:
    """
    How one request is answered.

    *stream* and *answer* are given the chat, the winner's id, and the model that it was
    asked for. *error_frame* ends a stream that has failed. *keep* keeps an
    answer that is whole: it is given its body, or the end of its stream, and returns
    what the client gets in its place, which says so where it could not be kept.
    """

    stream: Callable[[ChatRequest, str, str], StreamRenderer]
    answer: Callable[[ChatRequest, str, str], AnswerRenderer]
    error_frame: Callable[[GatewayError], bytes]
    keep: Callable[[bytes], Awaitable[bytes]] = keep_nothing


@frozen(kw_only=True)
class Format(Generic[RequestT]):
    """
    One API as we serve it.

    *path* is where its requests go, below `/v1` and `/api/{providers}`. *parse* is
    given a body, the providers in the URL, if it names any, and the headers; it returns
    the request and whom it asks, or raises InvalidRequest. *rendering* is how such a
    request is answered. *errors* is the shape of every error at *path* and below, also
    where there is no route.
    """

    path: str
    parse: Callable[
        [bytes, tuple[str, ...] | None, Mapping[str, str]], tuple[RequestT, Selection]
    ]
    rendering: Callable[[RequestT], Rendering]
    errors: ErrorShape
