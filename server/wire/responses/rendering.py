"""How one request for a response is answered, whichever provider wins."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus

import orjson
from attrs import define, field

from providers import ChatPiece, ChatRequest
from server.errors import GatewayError
from server.json_types import JSONMapping
from server.wire.format import Rendering
from server.wire.pieces import as_chunk

from .passing import PassedResponse, PassingAnswer, PassingStream, passes
from .request import ResponseRequest
from .response import GrowingResponse
from .stored import StoredResponse
from .stream import ResponseStream


@define(eq=False)
class ResponseAnswer:
    """Chunks to one response object."""

    response: GrowingResponse

    def add(self, pieces: Iterable[ChatPiece]) -> None:
        """Take in more; raises ProviderProtocolError if it grows without end."""
        for chunk in map(as_chunk, pieces):
            deque(self.response.take(chunk), maxlen=0)

    def body(self, cost: float | None = None) -> bytes:
        self.response.cost = cost
        return orjson.dumps(self.response.whole())


@define(eq=False)
class ResponseRendering:
    """
    How one request is answered; *items* are its own input.

    The events of an upstream of the same API are passed on as they are; by an answer's
    first chunk it is known whether it is one. `stored` is there once it is whole.
    """

    request: ResponseRequest
    items: list[JSONMapping]
    _stream: ResponseStream | PassingStream | None = field(default=None, init=False)
    _response: GrowingResponse | PassedResponse | None = field(default=None, init=False)

    @property
    def form(self) -> Rendering:
        return Rendering(self._new_stream, self._new_answer, self._error_frame)

    def stored(self) -> StoredResponse:
        if self._response is None:
            raise AssertionError("nothing has been answered")
        return self._response.stored()

    def stream_of(
        self, pieces: Sequence[ChatPiece], provider: str, model: str
    ) -> ResponseStream | PassingStream:
        """Return the renderer of the stream that begins with *pieces*."""
        if passes(pieces):
            native = PassedResponse(self.request, self.items, provider, model)
            self._response, self._stream = native, PassingStream(native)
            return self._stream
        self._response = response = self._new_response(provider, model)
        self._stream = ResponseStream(response)
        return self._stream

    def answer_of(
        self, pieces: Sequence[ChatPiece], provider: str, model: str
    ) -> ResponseAnswer | PassingAnswer:
        """Return the renderer of the whole answer that begins with *pieces*."""
        if passes(pieces):
            native = PassedResponse(self.request, self.items, provider, model)
            self._response = native
            return PassingAnswer(native)
        self._response = response = self._new_response(provider, model)
        return ResponseAnswer(response)

    def _new_stream(self, _: ChatRequest, provider: str, model: str) -> "EitherStream":
        return EitherStream(partial(self.stream_of, provider=provider, model=model))

    def _new_answer(self, _: ChatRequest, provider: str, model: str) -> "EitherAnswer":
        return EitherAnswer(partial(self.answer_of, provider=provider, model=model))

    def _new_response(self, provider: str | None, model: str) -> GrowingResponse:
        return GrowingResponse(self.request, self.items, provider, model)

    def _error_frame(self, error: GatewayError) -> bytes:
        stream = self._stream
        if stream is None:  # nobody has won
            stream = ResponseStream(self._new_response(None, self.request.model))
        return stream.fail(_code(error), error.payload())


@define(eq=False)
class EitherStream:
    """A StreamRenderer that is chosen by the first pieces of the answer."""

    _begin: Callable[[Sequence[ChatPiece]], ResponseStream | PassingStream]
    _renderer: ResponseStream | PassingStream | None = field(default=None, init=False)

    def render(self, pieces: Sequence[ChatPiece]) -> bytes:
        renderer = self._renderer
        if renderer is None:
            renderer = self._renderer = self._begin(pieces)
        return renderer.render(pieces)

    def end(self, cost: float | None = None) -> bytes:
        renderer = self._renderer if self._renderer is not None else self._begin(())
        return renderer.end(cost)


@define(eq=False)
class EitherAnswer:
    """An AnswerRenderer that is chosen by the first pieces of the answer."""

    _begin: Callable[[Sequence[ChatPiece]], ResponseAnswer | PassingAnswer]
    _answer: ResponseAnswer | PassingAnswer | None = field(default=None, init=False)

    def add(self, pieces: Iterable[ChatPiece]) -> None:
        arrived = list(pieces)
        if self._answer is None:
            self._answer = self._begin(arrived)
        self._answer.add(arrived)

    def body(self, cost: float | None = None) -> bytes:
        answer = self._answer if self._answer is not None else self._begin(())
        return answer.body(cost)


def _code(error: GatewayError) -> str:
    """Return the API's code for an error: there are only a few."""
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_exceeded"
    refused = error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return "invalid_prompt" if refused else "server_error"
