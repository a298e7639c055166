"""The Responses API in the document."""

from server.json_types import JSONObject
from server.wire.responses.request import OPAQUE, ResponseRequest
from server.wire.responses.stored import MOST_LISTED, ORDERS

from .chat import EXAMPLE
from .records import Schema, nullable, ref, schema_of
from .response_items import INPUT_ITEM, TOOL
from .selection import raced
from .shared import (
    KEYS,
    OF_API,
    OF_RACE,
    OF_RACES,
    TEXT,
    answer,
    array,
    body,
    errors,
    in_events,
    in_json,
    path_parameter,
    query_parameter,
)

REQUEST = raced(
    schema_of(
        ResponseRequest,
        {
            "previous_response_id": "A stored response that this one goes on from.",
            "store": "Keep the response, for a while; `true` unless said otherwise.",
            "stream": "Send the response as server-sent events, as it comes.",
            "include": f"`{OPAQUE}`: what an upstream wants back with its thoughts.",
            "metadata": "Kept with the response.",
        },
    )
)
REQUEST["properties"] |= {
    "input": {
        "description": "A text, or items: messages, calls and their outputs, reasoning,"
        " references to stored items.",
        "anyOf": [
            {"type": "string", "minLength": 1},
            {**array(ref("InputItem")), "minItems": 1},
            {"type": "null"},
        ],
    },
    "tools": {
        "description": "What the client runs is shown to any model. Tools of other"
        " types are left out where nobody can run them: `x-dropped` names them.",
        **nullable(array(TOOL)),
    },
    "user": {"type": ["string", "null"]},
}
# Something to answer, or to go on from.
REQUEST["anyOf"] = [
    {"required": ["input"], "properties": {"input": {"not": {"type": "null"}}}},
    {
        "required": ["previous_response_id"],
        "properties": {"previous_response_id": {"type": "string"}},
    },
]
# Translated from other APIs, or passed on from an upstream of the same.
RESPONSE: Schema = {"anyOf": [ref("Response"), ref("PassedResponse")]}
EVENT: Schema = {"anyOf": [ref("ResponseEvent"), ref("PassedResponseEvent")]}
SCHEMAS: dict[str, Schema] = {
    "ResponseRequest": REQUEST,
    "InputItem": INPUT_ITEM,
}


OF_STORE = (400, *OF_API, 404, 503)
ID = path_parameter("id", "A stored response's id.", "resp_0123456789abcdef")
PATHS: JSONObject = {
    "/responses": {
        "post": {
            "operationId": "createResponse",
            "tags": ["Responses"],
            "summary": "Answer items with items, and keep both for the next request",
            "description": "`background`, `conversation` and `prompt` are refused: they"
            " name what is kept at OpenAI.",
            "security": KEYS,
            "requestBody": body(
                ref("ResponseRequest"),
                {"model": EXAMPLE["model"], "input": "Say hello."},
            ),
            "responses": {
                "200": answer(
                    "The winner's response; a stream ends with"
                    " `response.completed`, `response.incomplete`, or with"
                    " `response.failed` and an `error`.",
                    in_json(RESPONSE) | in_events(EVENT),
                    (*OF_RACES, "X-Stored"),
                ),
                **errors(OF_RACE),
            },
        }
    },
    "/responses/input_tokens": {
        "post": {
            "operationId": "countInputTokens",
            "tags": ["Responses"],
            "summary": "How many tokens an input has: counted, or else estimated",
            "security": KEYS,
            "requestBody": body(
                ref("ResponseRequest"),
                {"model": EXAMPLE["model"], "input": "Say hello."},
            ),
            "responses": {
                "200": answer(
                    "The first count that came.",
                    in_json(ref("InputTokens")),
                    (*OF_RACES, "X-Token-Count"),
                ),
                **errors(OF_RACE),
            },
        }
    },
    "/responses/{id}": {
        "parameters": [ID],
        "get": {
            "operationId": "retrieveResponse",
            "tags": ["Responses"],
            "summary": "A stored response",
            "description": "Whole: with `stream=true` it is refused.",
            "security": KEYS,
            "parameters": [
                query_parameter(
                    "include",
                    f"`{OPAQUE}`: also what an upstream wants back with its thoughts.",
                    array(TEXT),
                ),
            ],
            "responses": {
                "200": answer("The response.", in_json(RESPONSE)),
                **errors(OF_STORE),
            },
        },
        "delete": {
            "operationId": "deleteResponse",
            "tags": ["Responses"],
            "summary": "Forget a stored response",
            "security": KEYS,
            "responses": {
                "200": answer("It is gone.", in_json(ref("DeletedResponse"))),
                **errors((*OF_API, 404, 503)),
            },
        },
    },
    "/responses/{id}/input_items": {
        "parameters": [ID],
        "get": {
            "operationId": "listInputItems",
            "tags": ["Responses"],
            "summary": "The items that a stored response answers",
            "security": KEYS,
            "parameters": [
                query_parameter(
                    "limit",
                    "How many.",
                    {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": MOST_LISTED,
                        "default": 20,
                    },
                ),
                query_parameter(
                    "order",
                    "The last item first, or the first.",
                    {"type": "string", "enum": list(ORDERS), "default": "desc"},
                ),
                query_parameter("after", "The id of the item before the page.", TEXT),
            ],
            "responses": {
                "200": answer("A page of them.", in_json(ref("InputItems"))),
                **errors(OF_STORE),
            },
        },
    },
}
