"""Chat completions in the document."""

from typing import Any, get_args

from providers import ChatRequest, FinishReason

from .records import Schema, schema_of
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
    raced,
    record,
    ref,
)

EXAMPLE = {
    "model": "SmolLM2-135M-Instruct",
    "messages": [{"role": "user", "content": "Say hello."}],
}
COUNT: Schema = {"type": "integer", "minimum": 0}
FINISH: Schema = {"type": "string", "enum": list(get_args(FinishReason))}
OBJECT_OR_NULL: Schema = {"type": ["object", "null"]}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}

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
FUNCTION = record({"name": TEXT, "arguments": {**TEXT, "description": "JSON text."}})
MESSAGE = record(
    {
        "role": {"type": "string", "const": "assistant"},
        "content": TEXT_OR_NULL,
        "refusal": TEXT_OR_NULL,
        "reasoning_content": TEXT,
        "tool_calls": array(record({"id": TEXT, "type": TEXT, "function": FUNCTION})),
        "audio": {"type": "object"},
        "function_call": {"type": "object"},
    },
    optional=("reasoning_content", "tool_calls", "audio", "function_call"),
)
DELTA: Schema = {
    "type": "object",
    "description": "What is added. `role` comes once, and first.",
    "properties": {
        "role": {"type": "string", "const": "assistant"},
        "content": TEXT,
        "refusal": TEXT,
        "reasoning_content": TEXT,
        "tool_calls": array(
            record(
                {
                    "index": COUNT,
                    "id": TEXT,
                    "type": TEXT,
                    "function": record(
                        {"name": TEXT, "arguments": TEXT}, optional=("name",)
                    ),
                },
                optional=("id", "type"),
            )
        ),
        "audio": {"type": "object"},
        "function_call": {"type": "object"},
    },
}


def identity(kind: str) -> dict[str, Schema]:
    """Return what every answer of OpenAI's older APIs, and every chunk of one, has."""
    return {
        "id": {"type": "string", "minLength": 1},
        "object": {"type": "string", "const": kind},
        "created": COUNT,
        "model": {**TEXT, "description": "The upstream's own name of the model."},
        "provider": {**TEXT, "description": "The id of the provider that has won."},
    }


SCHEMAS: dict[str, Schema] = {
    "ChatRequest": REQUEST,
    "Usage": record(
        {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT}
    ),
    "ChatCompletion": record(
        {
            **identity("chat.completion"),
            "choices": array(
                record(
                    {
                        "index": COUNT,
                        "message": MESSAGE,
                        "logprobs": OBJECT_OR_NULL,
                        "finish_reason": FINISH,
                    }
                )
            ),
            "usage": ref("Usage"),
        },
        optional=("usage",),
    ),
    "ChatCompletionChunk": record(
        {
            **identity("chat.completion.chunk"),
            "choices": {
                "description": "Empty in the last chunk, if that has the usage.",
                **array(
                    record(
                        {
                            "index": COUNT,
                            "delta": DELTA,
                            "logprobs": OBJECT_OR_NULL,
                            "finish_reason": {
                                "type": ["string", "null"],
                                "enum": [*FINISH["enum"], None],
                            },
                        },
                        optional=("logprobs",),
                    )
                ),
            },
            "usage": ref("Usage"),
        },
        optional=("usage",),
    ),
}
EVENT: Schema = {"anyOf": [ref("ChatCompletionChunk"), ref("Error")]}
PATHS: dict[str, Any] = {
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
