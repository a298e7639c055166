"""Errors in the shape of Anthropic's Messages API."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal, TypedDict

import orjson

from server.errors import ErrorPayload, GatewayError
from server.racing.errors import Loss, NobodyWon, StreamInterrupted
from server.wire.errors import ErrorShape
from server.wire.frames import event_frame

from .events import MessageEvent
from .full import full_context

# Anthropic's own status for "too much to do".
OVERLOADED = 529
# The statuses that the API has, and what it calls them.
TYPES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "invalid_request_error",
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "billing_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.METHOD_NOT_ALLOWED: "invalid_request_error",
    HTTPStatus.CONFLICT: "conflict_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.INTERNAL_SERVER_ERROR: "api_error",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout_error",
    OVERLOADED: "overloaded_error",
}
# The statuses that it has in place of these.
STATUSES: dict[int, int] = {
    HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST,
    HTTPStatus.SERVICE_UNAVAILABLE: OVERLOADED,
}
# The statuses with which upstreams say that they have too much to do.
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, OVERLOADED)


class MessagesErrorBody(TypedDict):
    type: Literal["error"]
    error: ErrorPayload
    request_id: str


def error_frame(error: GatewayError) -> bytes:
    """Return the event that ends a stream which has failed."""
    payload: MessageEvent = {"type": "error", "error": error_object(error)}
    return event_frame("error", orjson.dumps(payload))


def error_answer(error: GatewayError, request_id: str) -> tuple[int, bytes]:
    """Return the status and the body of an answer that is an error."""
    payload: MessagesErrorBody = {
        "type": "error",
        "error": error_object(error),
        "request_id": request_id,
    }
    return status_of(error), orjson.dumps(payload)


def status_of(error: GatewayError) -> int:
    if full_context(error):
        return HTTPStatus.BAD_REQUEST
    match error:
        case StreamInterrupted():
            losses: Sequence[Loss] = (error.loss,)
        case NobodyWon(status=HTTPStatus.BAD_GATEWAY):
            losses = error.losses
        case _:
            return STATUSES.get(error.status, error.status)
    busy = all(loss.error.status in BUSY for loss in losses)
    return OVERLOADED if busy else HTTPStatus.INTERNAL_SERVER_ERROR


def error_object(error: GatewayError) -> ErrorPayload:
    """Return the error as it stands under `error`, with this API's type."""
    if message := full_context(error):
        refused = TYPES[HTTPStatus.BAD_REQUEST]
        return {**error.payload(), "type": refused, "message": message}
    return {**error.payload(), "type": _type(error)}


def _type(error: GatewayError) -> str:
    refused = error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    other = "invalid_request_error" if refused else "api_error"
    return TYPES.get(status_of(error), other)


MESSAGES_ERRORS = ErrorShape(answer=error_answer, id_header="Request-ID")
