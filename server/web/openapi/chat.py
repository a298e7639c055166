"""Chat completions in the document."""

from providers import ChatRequest
from server.json_types import JSONObject

from .records import Schema, ref, schema_of
from .selection import raced
from .shared import (
    KEYS,
    OF_RACE,
    OF_RACES,
    answer,
    body,
    errors,
    in_events,
    in_json,
)

EXAMPLE = {
    "model": "SmolLM2-135M-Instruct",
    "messages": [{"role": "user", "content": "Say hello."}],
}

REQUEST = raced(
    schema_of(
        ChatRequest,
        {
            "model": "A name of `/v1/models`, or any that the racers know.",
            "stream": "Send the answer as server-sent events, as it comes.",
            "max_tokens": "The older name of `max_completion_tokens`.",
            "seed": "Asks for the same answer to the same request.",
            "user": "Passed on to the providers.",
        },
    )
)
SCHEMAS: dict[str, Schema] = {"ChatRequest": REQUEST}
EVENT: Schema = {"anyOf": [ref("ChatCompletionChunk"), ref("Error")]}
PATHS: JSONObject = {
    "/chat/completions": {
        "post": {
            "operationId": "createChatCompletion",
            "tags": ["Chat"],
            "summary": "Chat: the racers are asked, and the first token wins",
            "description": "Fields that are not listed go on to providers of the same"
            " dialect. A stream's events are chunks, then `[DONE]`; one that breaks off"
            " ends with an error object, and without `[DONE]`.",
            "security": KEYS,
            "requestBody": body(ref("ChatRequest"), EXAMPLE),
            "responses": {
                "200": answer(
                    "The winner's answer.",
                    in_json(ref("ChatCompletion")) | in_events(EVENT, "[DONE]"),
                    OF_RACES,
                ),
                **errors(OF_RACE),
            },
        }
    }
}
