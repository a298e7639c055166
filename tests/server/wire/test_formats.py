"""The rows of formats: each is whole, and its paths have errors in its shape."""

import json

import pytest

from server.errors import RouteNotFound
from server.wire.errors import OPENAI_ERRORS
from server.wire.formats import ROWS, error_shape
from server.wire.messages import MESSAGES_ERRORS

OURS, ANTHROPICS = OPENAI_ERRORS, MESSAGES_ERRORS


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/chat/completions", OURS),
        ("/v1/completions", OURS),
        ("/v1/responses/resp_1/input_items", OURS),
        ("/v1/models", OURS),
        ("/healthz", OURS),
        ("/", OURS),
        ("/v1/messages", ANTHROPICS),
        ("/v1/messages/count_tokens", ANTHROPICS),
        ("/v1/messages/no/such/route", ANTHROPICS),
        ("/api/A+B/messages", ANTHROPICS),
        ("/api/A+B/v1/messages", ANTHROPICS),
        ("/v1/messages2", OURS),
        ("/v2/messages", OURS),
        ("/messages", OURS),
        ("/v1/models/messages", OURS),
        ("/api/A/B/messages", OURS),
    ],
)
def test_errors_have_the_shape_of_their_path(path: str, shape: object) -> None:
    """The row whose path it is at or below decides; all else has OpenAI's."""
    assert error_shape(path) is shape


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
def test_an_error_says_what_is_wrong(row: object) -> None:
    """In every shape: a status, and an object under `error` with message and type."""
    shape = next(each.errors for each in ROWS if each is row)
    status, body = shape.answer(RouteNotFound("There is no such thing."), "an-id")

    error = json.loads(body)["error"]
    assert status == 404
    assert error["message"] == "There is no such thing."
    assert error["type"] in {"invalid_request_error", "not_found_error"}
