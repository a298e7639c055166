"""The OpenAPI document of all routes; requests are derived from their records."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version

import orjson

from server.json_types import JSON, JSONObject

from . import (
    catalog,
    chat,
    completions,
    keys,
    messages,
    pages,
    races,
    responses,
    tasks,
    usage,
)
from .answers import ANSWERS
from .shared import (
    HEADERS,
    OF_MESSAGES,
    OF_RACE,
    SECURITY_SCHEMES,
    error_responses,
    path_parameter,
)

__all__ = ["document", "rendered"]

METHODS = ("get", "post", "delete")
ABOUT = (
    "One server before many providers of language models. A request names the providers"
    " it wants; all are asked at once, the first that really speaks answers, and the"
    " others are hung up on. Other fields than those listed here go on to providers of"
    " the same dialect. `/api/{providers}` has the same routes for clients that can set"
    " nothing but a base URL."
)
IN_THE_PATH = "Providers in the path"
TAGS = {
    "Chat": "OpenAI's chat completions, and the text completions before them.",
    "Responses": "OpenAI's Responses.",
    "Messages": "Anthropic's Messages.",
    "Images": "Made by whoever is first, kept and served here.",
    "Audio": "Speech and transcriptions.",
    "Embeddings": "Vectors.",
    "Models": "What can be asked for.",
    "Providers": "Who can be asked.",
    "Races": "What became of the last requests.",
    "Keys": "Managed at run time, by administrators.",
    "Usage": "What requests have used, and what it cost.",
    "Server": "For operators and browsers.",
    IN_THE_PATH: "The same, for clients that can set nothing but a base URL.",
}
PROVIDERS = path_parameter(
    "providers", "Ids of providers, joined by `+`.", "HuggingChat+Groq"
)
CHATS = chat.PATHS | responses.PATHS | completions.PATHS
OWN = keys.PATHS | usage.PATHS
RACED = CHATS | messages.PATHS | tasks.PATHS
REQUESTS = (chat, completions, responses, messages, tasks, races, keys)


def document(prefix: str = "") -> JSONObject:
    """
    Return the document: the same paths as `create_app` has routes, all of them below
    *prefix*.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Interference",
            "version": version("interference"),
            "summary": "Races LLM providers; the first that really speaks answers.",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": prefix or "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": {
            **below("/v1", RACED | catalog.PATHS | races.PATHS | OWN),
            **pages.PATHS,
            **pages.bases(PROVIDERS),
            **of_providers("/api/{providers}", RACED | catalog.MODELS, "OfProviders"),
            **of_providers(
                "/api/{providers}/v1",
                messages.PATHS | catalog.MODELS,
                "OfProvidersV1",
            ),
        },
        "components": {
            "schemas": _joined([ANSWERS, *(area.SCHEMAS for area in REQUESTS)]),
            "responses": error_responses((*OF_RACE, 409), "Error")
            | error_responses(OF_MESSAGES, "MessagesError"),
            "headers": HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


@cache
def rendered(prefix: str) -> bytes:
    """Return the document as it is sent."""
    return orjson.dumps(document(prefix))


def below(prefix: str, paths: JSONObject) -> JSONObject:
    return {prefix + path: item for path, item in paths.items()}


def of_providers(prefix: str, paths: JSONObject, suffix: str) -> JSONObject:
    """Return *paths* with the providers in the path, each operation by a new id."""
    return below(
        prefix,
        {path: dict(_with_providers(item, suffix)) for path, item in paths.items()},
    )


def _with_providers(item: JSONObject, suffix: str) -> Iterator[tuple[str, JSON]]:
    yield "parameters", [PROVIDERS, *item.get("parameters", ())]
    for method in METHODS:
        if operation := item.get(method):
            name = operation["operationId"] + suffix
            yield method, {**operation, "operationId": name, "tags": [IN_THE_PATH]}


def _joined(tables: Iterable[JSONObject]) -> JSONObject:
    """Return all tables as one; a name that is in two is a mistake."""
    joined: JSONObject = {}
    for table in tables:
        if twice := joined.keys() & table.keys():
            raise ValueError(f"two schemas have the name {min(twice)}")
        joined |= table
    return joined
