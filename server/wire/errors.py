"""Errors in the shape of OpenAI's APIs, and what every shape of errors consists of."""

from collections.abc import Callable
from typing import TypedDict

import orjson
from attrs import frozen

from server.errors import ErrorPayload, GatewayError

from .frames import data_frame


class ErrorBody(TypedDict):
    error: ErrorPayload


@frozen(kw_only=True)
class ErrorShape:
    """
    How an API says that a request can't be answered.

    *answer* is given the error and the request's id, and returns an HTTP status and a
    body. *id_header* is where the API's own packages look for the request's id, if
    that is not `x-request-id`.
    """

    answer: Callable[[GatewayError, str], tuple[int, bytes]]
    id_header: str | None = None


def error_frame(error: GatewayError) -> bytes:
    """Return the event that ends a stream which has failed."""
    return data_frame(_payload(error))


def error_answer(error: GatewayError, _: str) -> tuple[int, bytes]:
    """Return the status and the body of an answer that is an error."""
    return error.status, orjson.dumps(_payload(error))


def _payload(error: GatewayError) -> ErrorBody:
    return {"error": error.payload()}


OPENAI_ERRORS = ErrorShape(answer=error_answer)
