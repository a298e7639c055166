"""What a served format is to whoever answers with it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from attrs import frozen

from providers import ChatPiece, ChatRequest
from server.errors import GatewayError


class Stream(Protocol):
    """Renders one streamed answer; *render* raises ProviderError if it can't be."""

    def render(self, pieces: Sequence[ChatPiece]) -> bytes: ...

    def end(self) -> bytes: ...


class Answer(Protocol):
    """Puts one whole answer together; either raises ProviderError if that can't be."""

    def add(self, pieces: Iterable[ChatPiece]) -> None: ...

    def body(self) -> bytes: ...


async def keep_nothing() -> None:
    """Have nothing left to do."""


@frozen
class Format:
    """
    One API's shape. *stream* and *answer* are given the request, the winner's id, and
    the model that it was asked for. *keep* is what is to be done when an answer is
    whole, before its client has the end of it.
    """

    stream: Callable[[ChatRequest, str, str], Stream]
    answer: Callable[[ChatRequest, str, str], Answer]
    error_frame: Callable[[GatewayError], bytes]
    keep: Callable[[], Awaitable[None]] = keep_nothing
