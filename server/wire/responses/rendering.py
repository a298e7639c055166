"""How one request for a response is answered, whichever provider wins."""

from collections import deque
from collections.abc import Iterable
from http import HTTPStatus

import orjson
from attrs import define, field

from providers import ChatPiece, ChatRequest
from server.errors import GatewayError
from server.json_types import JSONMapping
from server.wire.format import Rendering
from server.wire.pieces import as_chunk

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

    def body(self) -> bytes:
        return orjson.dumps(self.response.whole())


@define(eq=False)
class ResponseRendering:
    """
    How one request is answered; *items* are its own input.

    *stored* is what its response leaves behind, once it is whole.
    """

    request: ResponseRequest
    items: list[JSONMapping]
    _stream: ResponseStream | None = field(default=None, init=False)
    _response: GrowingResponse | None = field(default=None, init=False)

    @property
    def form(self) -> Rendering:
        return Rendering(self._new_stream, self._new_answer, self._error_frame)

    def stored(self) -> StoredResponse:
        if self._response is None:
            raise AssertionError("nothing has been answered")
        return self._response.stored()

    def _new_stream(self, _: ChatRequest, provider: str, model: str) -> ResponseStream:
        self._response = self._new_response(provider, model)
        self._stream = ResponseStream(self._response)
        return self._stream

    def _new_answer(self, _: ChatRequest, provider: str, model: str) -> ResponseAnswer:
        self._response = self._new_response(provider, model)
        return ResponseAnswer(self._response)

    def _new_response(self, provider: str | None, model: str) -> GrowingResponse:
        return GrowingResponse(self.request, self.items, provider, model)

    def _error_frame(self, error: GatewayError) -> bytes:
        stream = self._stream
        if stream is None:  # nobody has won
            stream = ResponseStream(self._new_response(None, self.request.model))
        return stream.fail(_code(error), error.payload())


def _code(error: GatewayError) -> str:
    """Return the API's word for an error: it has few."""
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_exceeded"
    refused = error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return "invalid_prompt" if refused else "server_error"
