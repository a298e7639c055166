"""The Responses API in the document."""

from collections.abc import Iterable

from server.json_types import JSONObject
from server.wire.responses.calls import CALLS, OUTPUTS
from server.wire.responses.commands import COMMANDS
from server.wire.responses.input import (
    InputCommandCall,
    InputCustomCall,
    InputFunctionCall,
    InputFunctionCallOutput,
    InputMessage,
    InputReasoning,
    InputToolOutput,
)
from server.wire.responses.request import OPAQUE, ResponseRequest
from server.wire.responses.stored import MOST_LISTED, ORDERS
from server.wire.responses.tools import FreeFormTool, FunctionTool, Namespace

from .chat import EXAMPLE
from .records import Schema, nullable, ref, schema_of
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
    raced,
    record,
)


def typed(kind: str, schema: Schema, *, bare: bool = False) -> Schema:
    """Return *schema* with a `type`, which *bare* objects may leave out."""
    name: Schema = {"type": "string", "enum": [kind]}
    properties = {**schema["properties"], "type": nullable(name) if bare else name}
    required = {*schema.get("required", ()), *(() if bare else ("type",))}
    return {**schema, "properties": properties, "required": sorted(required)}


def of_other_types(known: Iterable[str]) -> Schema:
    """Return the schema of objects whose type is none of *known*."""
    name: Schema = {"type": "string", "minLength": 1, "not": {"enum": [*known]}}
    properties: Schema = {"type": name}
    return {"type": "object", "properties": properties, "required": ["type"]}


def command_call(kind: str, what: str) -> Schema:
    """Return the schema of a call, which has an id of its own or its item's."""
    schema = typed(kind, schema_of(InputCommandCall))
    schema["properties"][what] = {"type": "object"}
    schema["required"] = [what, "type"]
    return {**schema, "anyOf": NAMED_CALL}


# What an output or a command's call is known by.
NAMED_CALL: list[Schema] = [
    {"required": [name], "properties": {name: {"type": "string", "minLength": 1}}}
    for name in ("call_id", "id")
]
INPUT_ITEM: Schema = {
    "anyOf": [
        typed("message", schema_of(InputMessage), bare=True),
        typed("function_call", schema_of(InputFunctionCall)),
        typed("function_call_output", schema_of(InputFunctionCallOutput)),
        typed("custom_tool_call", schema_of(InputCustomCall)),
        command_call("local_shell_call", "action"),
        command_call("shell_call", "action"),
        command_call("apply_patch_call", "operation"),
        *(
            {**typed(kind, schema_of(InputToolOutput)), "anyOf": NAMED_CALL}
            for kind in OUTPUTS
            if kind != "function_call_output"
        ),
        typed("reasoning", schema_of(InputReasoning)),
        {
            **typed("item_reference", record({"id": TEXT}), bare=True),
            "not": {"required": ["role"]},
        },
        {
            "description": "What other upstreams' own tools did: it is left out.",
            **of_other_types(
                ["message", "reasoning", "item_reference", *CALLS, *OUTPUTS]
            ),
        },
    ]
}
PLAIN_TOOLS: list[Schema] = [
    typed("function", schema_of(FunctionTool)),
    typed("custom", schema_of(FreeFormTool)),
]
PLAIN = ("function", "custom")
NAMESPACE = typed("namespace", schema_of(Namespace))
NAMESPACE["properties"]["tools"] = array(
    {"anyOf": [*PLAIN_TOOLS, of_other_types(PLAIN)]}
)
TOOL: Schema = {
    "anyOf": [
        *PLAIN_TOOLS,
        NAMESPACE,
        *(
            {
                "type": "object",
                "properties": {"type": {"type": "string", "enum": [kind]}},
                "required": ["type"],
            }
            for kind in COMMANDS
        ),
        of_other_types([*PLAIN, "namespace", *COMMANDS]),
    ]
}
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


def query(name: str, description: str, schema: Schema) -> JSONObject:
    return {"name": name, "in": "query", "description": description, "schema": schema}


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
                query(
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
                query(
                    "limit",
                    "How many.",
                    {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": MOST_LISTED,
                        "default": 20,
                    },
                ),
                query(
                    "order",
                    "The last item first, or the first.",
                    {"type": "string", "enum": list(ORDERS), "default": "desc"},
                ),
                query("after", "The id of the item before the page.", TEXT),
            ],
            "responses": {
                "200": answer("A page of them.", in_json(ref("InputItems"))),
                **errors(OF_STORE),
            },
        },
    },
}
