"""Answers that are JSON: an object, or an array of them."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import orjson
from aiohttp import web


def json_answer(
    payload: Mapping[str, object] | Sequence[Mapping[str, object]],
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return the answer with *payload*, which is a TypedDict, or a list of them."""
    return encoded_answer(orjson.dumps(payload), status=status, headers=headers)


def encoded_answer(
    body: bytes,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return the answer with *body*, which is JSON as it is sent."""
    return web.Response(
        body=body, status=status, headers=headers, content_type="application/json"
    )
