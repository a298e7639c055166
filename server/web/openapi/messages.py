"""Anthropic's Messages in the document."""

from server.json_types import JSONObject
from server.wire.messages.blocks import (
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from server.wire.messages.request import CountRequest, MessageRequest
from server.wire.messages.tools import CustomTool

from .chat import EXAMPLE
from .records import Schema, nullable, ref, schema_of
from .selection import raced
from .shared import (
    KEYS,
    OF_MESSAGES,
    OF_RACES,
    TEXT,
    answer,
    array,
    body,
    errors,
    in_events,
    in_json,
    record,
)

BLOCKS: dict[str, type] = {
    "text": TextBlock,
    "image": ImageBlock,
    "document": DocumentBlock,
    "tool_use": ToolUseBlock,
    "tool_result": ToolResultBlock,
    "thinking": ThinkingBlock,
}
SHOWN = ("text", "image", "document")


def block(kind: str) -> Schema:
    schema = schema_of(BLOCKS[kind])
    properties = {"type": {"type": "string", "const": kind}, **schema["properties"]}
    if kind == "tool_result":
        properties["content"] = nullable(content(*SHOWN))
    required = ["type", *schema["required"]]
    return {"type": "object", "properties": properties, "required": required}


def content(*kinds: str) -> Schema:
    """Return the schema of a text, or of blocks, be they of *kinds* or unknown here."""
    other: Schema = {
        "description": "Blocks of other types are for providers that speak this API.",
        "type": "object",
        "properties": {"type": {"type": "string", "not": {"enum": list(kinds)}}},
        "required": ["type"],
    }
    return {"anyOf": [TEXT, array({"anyOf": [*map(block, kinds), other]})]}


def turn(role: str, *kinds: str) -> Schema:
    parts = content(*kinds)
    return record({"role": {"type": "string", "const": role}, "content": parts})


# A tool of the client's own, or one that a provider of this API has.
CUSTOM = schema_of(CustomTool)
CUSTOM["properties"]["type"] = {"type": ["string", "null"], "enum": ["custom", None]}
PROVIDED: Schema = {
    "description": "Tools of other types are for providers that speak this API.",
    "type": "object",
    "properties": {"type": {"not": {"enum": ["custom", None]}}},
    "required": ["type"],
}


def request_schema(request: type) -> Schema:
    """Return the schema of a request of either route; *request* is its record."""
    schema = raced(schema_of(request))
    schema["properties"] |= {
        "messages": {**array(ref("Turn")), "minItems": 1},
        "system": nullable(content(*SHOWN)),
        "tools": nullable(array({"anyOf": [CUSTOM, PROVIDED]})),
    }
    return schema


OF_ANSWERS = (*OF_RACES, "Request-ID")
ERRORS = errors(OF_MESSAGES, "MessagesError")
VERSION = {
    "name": "anthropic-version",
    "in": "header",
    "description": "Passed on to providers that speak this API.",
    "schema": TEXT,
    "example": "2023-06-01",
}
SCHEMAS: dict[str, Schema] = {
    "MessageRequest": request_schema(MessageRequest),
    "CountRequest": request_schema(CountRequest),
    "Turn": {
        "anyOf": [
            turn("user", *SHOWN, "tool_result"),
            turn("assistant", "text", "thinking", "tool_use"),
            turn("system", *SHOWN),
        ]
    },
}
PATHS: JSONObject = {
    "/messages": {
        "post": {
            "operationId": "createMessage",
            "tags": ["Messages"],
            "summary": "Anthropic's Messages, raced among providers of every dialect",
            "security": KEYS,
            "parameters": [VERSION],
            "requestBody": body(ref("MessageRequest"), {**EXAMPLE, "max_tokens": 64}),
            "responses": {
                "200": answer(
                    "The winner's message; a stream ends with `message_stop`, or with"
                    " an `error`.",
                    in_json(ref("Message")) | in_events(ref("MessageEvent")),
                    OF_ANSWERS,
                ),
                **ERRORS,
            },
        }
    },
    "/messages/count_tokens": {
        "post": {
            "operationId": "countTokens",
            "tags": ["Messages"],
            "summary": "How many tokens a message has: counted, or else estimated",
            "security": KEYS,
            "parameters": [VERSION],
            "requestBody": body(ref("CountRequest"), EXAMPLE),
            "responses": {
                "200": answer(
                    "The first count that came.",
                    in_json(ref("TokenCount")),
                    (*OF_ANSWERS, "X-Token-Count"),
                ),
                **ERRORS,
            },
        }
    },
}
