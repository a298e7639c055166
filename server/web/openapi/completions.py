"""Text completions in the document."""

from server.json_types import JSONObject
from server.wire.completions import MAX_PROMPTS, CompletionRequest

from .chat import EXAMPLE
from .chat import REQUEST as CHAT_REQUEST
from .records import Schema, ref, schema_of
from .selection import raced
from .shared import (
    KEYS,
    OF_RACE,
    OF_RACES,
    TEXT,
    answer,
    array,
    body,
    errors,
    in_events,
    in_json,
)

# The fields that completions share with chats, and what is said of them there.
SHARED = (
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "user",
)
REQUEST = raced(
    schema_of(
        CompletionRequest,
        {
            "suffix": "What follows the gap that is to be filled in.",
            "echo": "Have the prompt before its completion.",
        },
    )
)
PROMPTS: Schema = {**array(TEXT), "minItems": 1, "maxItems": MAX_PROMPTS}
REQUEST["properties"] |= {
    **{name: CHAT_REQUEST["properties"][name] for name in SHARED},
    "prompt": {
        "description": "One text or several; each is completed.",
        "anyOf": [TEXT, PROMPTS],
    },
    "best_of": {
        "description": "Nobody here chooses. As much as `n` is taken, too.",
        "enum": [1, None],
    },
}


SCHEMAS: dict[str, Schema] = {"CompletionRequest": REQUEST}
EVENT: Schema = {"anyOf": [ref("CompletionChunk"), ref("Error")]}
PATHS: JSONObject = {
    "/completions": {
        "post": {
            "operationId": "createCompletion",
            "tags": ["Chat"],
            "summary": "Complete texts: where a provider only chats, it is told to",
            "security": KEYS,
            "requestBody": body(
                ref("CompletionRequest"),
                {"model": EXAMPLE["model"], "prompt": "Once upon", "max_tokens": 16},
            ),
            "responses": {
                "200": answer(
                    "What follows each prompt; a stream ends with `[DONE]`.",
                    in_json(ref("Completion")) | in_events(EVENT, "[DONE]"),
                    OF_RACES,
                ),
                **errors(OF_RACE),
            },
        }
    }
}
