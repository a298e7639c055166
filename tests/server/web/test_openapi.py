"""The OpenAPI document: valid, whole, and as the requests' records have it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from server.app import create_app
from server.errors import InvalidRequest
from server.gateway import Gateway
from server.stores.response_file import open_store
from server.web.openapi import document
from server.wire import chat, completions, images, responses, tasks
from server.wire.messages import request as messages_request
from tests.server.conftest import BARE, ReadConfig

HELLO = [{"role": "user", "content": "hello"}]
M: dict[str, Any] = {"model": "m"}
CHAT: dict[str, Any] = {**M, "messages": HELLO}


def _response(body: bytes) -> Any:
    asked, _ = responses.parse(body)
    return asked.chat([], asked.items())


# A small request of each kind, and what it is read by.
REQUESTS: dict[str, tuple[dict[str, Any], Callable[[bytes], Any]]] = {
    "ChatRequest": (CHAT, chat.parse),
    "CompletionRequest": (
        {**M, "prompt": "x"},
        lambda body: completions.parse(body)[0].chats(),
    ),
    "ResponseRequest": ({**M, "input": "x"}, _response),
    "MessageRequest": ({**CHAT, "max_tokens": 1}, messages_request.parse),
    "CountRequest": (CHAT, messages_request.parse_count),
    "ImageRequest": ({"prompt": "x"}, images.parse),
    "SpeechRequest": ({**M, "input": "x", "voice": "x"}, tasks.parse_speech),
    "EmbeddingsRequest": ({**M, "input": "x"}, tasks.parse_embeddings),
}
# One of each that a field's bounds may tell from the others.
NUMBERS = (-3, -1.5, 0, 0.5, 1, 1.5, 5, 6, 17, 21, 128, 129, 4097, 2**63, 2**64)
TEXTS = ("", "x", "url", "auto", "1x1", "64x64", "low", "float", "hedge")
ROWS: list[Any] = [[], [1], ["x"], [{}], [{"type": "text"}], HELLO, [[1]], ["x"] * 65]
OBJECTS: Any = ({}, {"type": "text"}, {"strategy": "hedge"}, {"deadline": 0}, {"x": 1})
VALUES = (None, True, *NUMBERS, *TEXTS, *ROWS, *OBJECTS)


def test_document_is_valid() -> None:
    """It is OpenAPI 3.1, by the official schema and by what that can't say."""
    problems = list(OpenAPIV31SpecValidator(document()).iter_errors())

    assert problems == []


async def test_routes_are_the_documents_paths(read_config: ReadConfig) -> None:
    """Every route is in it, method by method, and nothing else is."""
    async with aiohttp.ClientSession() as session:
        gateway = Gateway(session, session)
        gateway.adopt(read_config(BARE), {}, refresh=False)
        async with open_store(gateway.config.responses) as store:
            routes = set(_routes(create_app(gateway, store)))
        await gateway.aclose()

    paths = document()["paths"].items()
    assert routes == {
        (method.upper(), path)
        for path, item in paths
        for method in item
        if method != "parameters"
    }


def _routes(app: web.Application) -> Iterator[tuple[str, str]]:
    """Yield methods and paths; whatever can be got has a HEAD, which is not told."""
    for route in app.router.routes():
        assert route.resource is not None
        if route.method != "HEAD":
            yield route.method, route.resource.canonical


def test_operations_can_be_told_apart() -> None:
    """Each has an id of its own, a summary, and tags that are explained."""
    told = document()
    operations = [
        operation
        for item in told["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]

    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in operations)
    tags = {tag["name"] for tag in told["tags"]}
    assert {tag for operation in operations for tag in operation["tags"]} == tags


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_are_read_as_they_are_described(name: str) -> None:
    """Field by field: what the document lets through is read, and nothing else is."""
    small, read = REQUESTS[name]
    told = document()
    schema = told["components"]["schemas"][name]
    validator = Draft202012Validator({**schema, "components": told["components"]})
    bodies = [small]
    for field in schema["properties"]:
        bodies.append({n: value for n, value in small.items() if n != field})
        bodies += [{**small, field: value} for value in VALUES]

    disagreeing = [
        body for body in bodies if validator.is_valid(body) != _is_read(read, body)
    ]

    assert disagreeing == []


def _is_read(read: Callable[[bytes], Any], body: Any) -> bool:
    try:
        read(json.dumps(body).encode())
    except InvalidRequest:
        return False
    return True
