"""Models and providers in the document."""

from server.json_types import JSONObject

from .records import Schema, ref
from .shared import (
    KEYS,
    OF_API,
    answer,
    array,
    errors,
    in_json,
    path_parameter,
)


def operation(name: str, tag: str, summary: str, schema: Schema) -> JSONObject:
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "security": KEYS,
        "responses": {"200": answer("There it is.", in_json(schema)), **errors(OF_API)},
    }


def operation_on_one(name: str, tag: str, summary: str, schema: Schema) -> JSONObject:
    """Return an operation that may find nothing there."""
    base = operation(name, tag, summary, schema)
    return {**base, "responses": {**base["responses"], **errors((404,))}}


MODELS: JSONObject = {
    "/models": {
        "get": operation_on_one(
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
        "get": operation_on_one("retrieveModel", "Models", "One model", ref("Model")),
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
        "get": operation_on_one(
            "retrieveProvider",
            "Providers",
            "One provider: its models, what it takes, its record",
            ref("ProviderDetails"),
        ),
    },
}
PATHS = MODELS | PROVIDERS
