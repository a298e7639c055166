"""Models and providers in the document."""

from server.json_types import JSONObject

from .chat import COUNT
from .records import Schema, ref
from .shared import (
    KEYS,
    OF_API,
    TEXT,
    answer,
    array,
    errors,
    in_json,
    path_parameter,
    record,
)

MODEL = record(
    {
        "id": TEXT,
        "object": {"type": "string", "const": "model"},
        "created": COUNT,
        "owned_by": TEXT,
        "type": {"type": "string", "const": "model"},
        "display_name": TEXT,
        "created_at": {
            "description": "`created` in Anthropic's form.",
            "type": "string",
            "format": "date-time",
        },
        "providers": {
            "description": "The ids of those that serve it.",
            "minItems": 1,
            **array(TEXT),
        },
    }
)
PROVIDER: dict[str, Schema] = {
    "id": TEXT,
    "object": {"type": "string", "const": "provider"},
    "created": COUNT,
    "url": {**TEXT, "description": "Its home page, or an empty string."},
    "label": TEXT,
}
MILLISECONDS: Schema = {"type": ["number", "null"], "minimum": 0}
STATS = record(
    {
        "status": {"type": "string", "enum": ["ready", "resting"]},
        "requests": COUNT,
        "wins": COUNT,
        "losses": COUNT,
        "failures": COUNT,
        "ttft_ms": record(dict.fromkeys(("p50", "p90", "p99"), MILLISECONDS)),
        "last_error": {"type": ["string", "null"]},
        "resting_until": {
            "type": ["number", "null"],
            "description": "Seconds since 1970.",
        },
        "notes": {
            "type": "object",
            "description": "How often what had to be put right for it.",
            "additionalProperties": COUNT,
        },
    },
    optional=("notes",),
)
LISTS = dict.fromkeys(("models", "image_models", "vision_models"), array(TEXT))
SCHEMAS: dict[str, Schema] = {
    "Model": MODEL,
    "Models": record(
        {
            "object": {"type": "string", "const": "list"},
            "data": array(ref("Model")),
            "has_more": {"type": "boolean", "const": False},
            "first_id": {"type": ["string", "null"]},
            "last_id": {"type": ["string", "null"]},
        }
    ),
    "Provider": record(PROVIDER),
    "ProviderDetails": record(
        {
            **PROVIDER,
            **LISTS,
            "params": {
                "description": "The fields of requests that it takes.",
                **array(TEXT),
            },
            "stats": {
                "description": "Its record, from this server's own traffic.",
                **STATS,
            },
        }
    ),
}


def operation(name: str, tag: str, summary: str, schema: Schema) -> JSONObject:
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "security": KEYS,
        "responses": {"200": answer("There it is.", in_json(schema)), **errors(OF_API)},
    }


def found(name: str, tag: str, summary: str, schema: Schema) -> JSONObject:
    """Return an operation on what may not be there."""
    made = operation(name, tag, summary, schema)
    return {**made, "responses": {**made["responses"], **errors((404,))}}


MODELS: JSONObject = {
    "/models": {
        "get": found(
            "listModels",
            "Models",
            "Every model, with the providers that serve it",
            ref("Models"),
        )
    },
    "/models/{id}": {
        "parameters": [
            path_parameter(
                "id",
                "A model's name, slashes and all.",
                "openai/gpt-oss-20b",
            )
        ],
        "get": found("retrieveModel", "Models", "One model", ref("Model")),
    },
}
PROVIDERS: JSONObject = {
    "/providers": {
        "get": operation(
            "listProviders",
            "Providers",
            "Who can be named in a request",
            array(ref("Provider")),
        )
    },
    "/providers/{id}": {
        "parameters": [
            path_parameter(
                "id", "A provider's id, whatever its case, `-` and `_`.", "HuggingChat"
            )
        ],
        "get": found(
            "retrieveProvider",
            "Providers",
            "One provider: its models, what it takes, its record",
            ref("ProviderDetails"),
        ),
    },
}
PATHS = MODELS | PROVIDERS
