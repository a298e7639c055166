"""Probes, the document, its page, and kept images in the document."""

from server.json_types import JSON, JSONObject

from .records import Schema, ref
from .shared import (
    ANYONE,
    JSON_TYPE,
    KEYS,
    OF_ALL,
    OF_API,
    TEXT,
    answer,
    errors,
    in_json,
    path_parameter,
)

BYTES: Schema = {"type": "string", "format": "binary"}
# What a file is answered with besides the whole of it, to who asks with conditions.
OF_FILES = {
    "304": answer("The client has it."),
    "412": answer("It is not as the client wants it."),
    "416": answer("It has no such range."),
    **errors((*OF_ALL, 404)),
}


def operation(name: str, summary: str, **responses: JSON) -> JSONObject:
    return {
        "operationId": name,
        "tags": ["Server"],
        "summary": summary,
        "security": ANYONE,
        "responses": {
            **{
                status.removeprefix("_"): response
                for status, response in responses.items()
            },
            **errors(OF_ALL),
        },
    }


def files(name: str, summary: str, *media_types: str) -> JSONObject:
    content = {name: {"schema": BYTES} for name in media_types}
    base = operation(
        name,
        summary,
        _200=answer("The file.", content),
        _206=answer("A part.", content),
    )
    return {**base, "responses": {**base["responses"], **OF_FILES}}


def bases(providers: JSONObject) -> JSONObject:
    """Return the base URLs, which clients try, with the parameter *providers*."""
    item: JSONObject = {}
    for number, path in enumerate(BASES):
        probe = operation(
            f"showBase{number}", "A base URL", _200=answer("What is here.", SERVER)
        )
        probe["security"] = KEYS
        probe["responses"] |= errors((*OF_API, 404))
        parameters = [providers] if "{" in path else []
        item[path] = {"parameters": parameters, "get": probe}
    return item


BASES = (
    "/v1",
    "/v1/",
    "/api/{providers}",
    "/api/{providers}/",
    "/api/{providers}/v1",
    "/api/{providers}/v1/",
)
SERVER = in_json(ref("Server"))
STATUS = in_json(ref("Status"))
READINESS = in_json(ref("Readiness"))
PAGE_TYPES = ("text/css", "text/javascript", "image/svg+xml")
OF_WEB_PAGE = operation(
    "retrieveFileOfWebPage",
    "A file of the page at `/`",
    _200=answer("The file.", {name: {"schema": BYTES} for name in PAGE_TYPES}),
    _304=OF_FILES["304"],
)
PATHS: JSONObject = {
    "/": {
        "get": operation(
            "showServer",
            "What this is",
            _200=answer(
                "Where clients find it; for browsers, the page.",
                {**in_json(ref("Root")), "text/html": {"schema": TEXT}},
            ),
            _304=OF_FILES["304"],
        )
    },
    "/page/{name}": {
        "parameters": [path_parameter("name", "A file's name.", "app.js")],
        "get": {
            **OF_WEB_PAGE,
            "responses": {**OF_WEB_PAGE["responses"], **errors((404,))},
        },
    },
    "/healthz": {
        "get": operation(
            "isAlive", "Is the process alive?", _200=answer("It is.", STATUS)
        )
    },
    "/readyz": {
        "get": operation(
            "isReady",
            "Can it serve?",
            _200=answer(
                "It can; `degraded`: but not keep something, and `not_kept` says why.",
                READINESS,
            ),
            _503=answer("It is stopping, or has no usable provider.", STATUS),
        )
    },
    "/metrics": {
        "get": operation(
            "scrapeMetrics",
            "What all workers have counted, for Prometheus",
            _200=answer(
                "The metrics, in the format that `Accept` names. Where other machines"
                " can reach the server, it takes a key with `admin = true`, unless"
                " `[metrics] public` says otherwise.",
                {
                    "text/plain": {"schema": TEXT},
                    "application/openmetrics-text": {"schema": TEXT},
                },
            ),
            _401=errors((401,))["401"],
        )
        | {"security": KEYS},
    },
    "/openapi.json": {
        "get": operation(
            "retrieveDocument",
            "This document",
            _200=answer("It.", {JSON_TYPE: {"schema": {"type": "object"}}}),
        )
    },
    "/docs": {
        "get": operation(
            "showDocument",
            "This document as a page",
            _200=answer("The page.", {"text/html": {"schema": TEXT}}),
        )
    },
    "/docs/{name}": {
        "parameters": [path_parameter("name", "A file's name.", "page.js")],
        "get": files(
            "retrieveFileOfPage",
            "A file of that page",
            "text/css",
            "text/javascript",
        ),
    },
    "/media/{name}": {
        "parameters": [
            path_parameter(
                "name",
                "The SHA-256 of the image, and its extension.",
                f"{'0' * 64}.png",
            )
        ],
        "get": files("retrieveImage", "An image that was made here", "image/*"),
    },
}
