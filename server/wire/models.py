"""The models, as one list for OpenAI's clients and Anthropic's."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypedDict

from server.json_types import Count, Keywords, ProviderId
from server.prices import ModelFacts

# `created`, 0, as Anthropic's clients read it: nobody says when models were made.
UNKNOWN = "1970-01-01T00:00:00Z"


class ModelPayload(ModelFacts):
    id: str
    object: Literal["model"]
    created: Count
    owned_by: ProviderId
    type: Literal["model"]
    display_name: str
    created_at: Annotated[
        str, Keywords(format="date-time", description="`created` in Anthropic's form.")
    ]
    providers: Annotated[
        list[str], Keywords(minItems=1, description="The ids of those that serve it.")
    ]


class ModelsPayload(TypedDict):
    object: Literal["list"]
    data: list[ModelPayload]
    has_more: Literal[False]
    first_id: str | None
    last_id: str | None


def model_payload(name: str, providers: list[str], facts: ModelFacts) -> ModelPayload:
    """Return a model; *providers* are the ids of those that serve it, at least one."""
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": providers[0],
        "type": "model",
        "display_name": name,
        "created_at": UNKNOWN,
        "providers": providers,
        **facts,
    }


def models_payload(models: Sequence[ModelPayload]) -> ModelsPayload:
    """Return the list of *models*, which is one page."""
    return {
        "object": "list",
        "data": [*models],
        "has_more": False,
        "first_id": models[0]["id"] if models else None,
        "last_id": models[-1]["id"] if models else None,
    }
