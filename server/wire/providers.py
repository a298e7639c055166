"""The providers: who can be named in a request, and what each one has."""

from time import perf_counter, time
from typing import Annotated, Literal, NotRequired, TypedDict

from providers import Provider
from server.json_types import Count, Keywords
from server.racing.catalog import VISION, Catalog
from server.racing.health import Quantiles, Record


class ProviderPayload(TypedDict):
    id: str
    object: Literal["provider"]
    created: Count
    url: Annotated[str, Keywords(description="Its home page, or an empty string.")]
    label: str


class RecordPayload(TypedDict):
    """Its record, from this server's own traffic."""

    status: Literal["ready", "resting"]
    requests: Count
    wins: Count
    losses: Count
    failures: Count
    ttft_ms: Quantiles
    last_error: str | None
    resting_until: Annotated[float | None, Keywords(description="Seconds since 1970.")]
    notes: NotRequired[
        Annotated[
            dict[str, Count],
            Keywords(description="How often what had to be put right for it."),
        ]
    ]


class ProviderDetails(ProviderPayload):
    models: list[str]
    image_models: list[str]
    vision_models: list[str]
    params: Annotated[
        list[str], Keywords(description="The fields of requests that it takes.")
    ]
    stats: RecordPayload


def provider_payload(provider: Provider) -> ProviderPayload:
    """Return a provider as a row of the list."""
    return {
        "id": provider.id,
        "object": "provider",
        "created": 0,
        "url": provider.settings.url,
        "label": provider.settings.label,
    }


def provider_details(
    provider: Provider, catalog: Catalog, record: Record
) -> ProviderDetails:
    """Return a provider with its models, as *catalog* has them, and its *record*."""
    chats = "chat" in provider.tasks
    paints = not provider.lacks(frozenset({"images"}))
    sees = provider.settings.capabilities and not provider.lacks(VISION)
    models = catalog.models_of(provider)
    return {
        **provider_payload(provider),
        "models": models,
        "image_models": catalog.models_of(provider, "images") if paints else [],
        "vision_models": models if sees and chats else [],
        "params": provider.params(),
        "stats": record_payload(record),
    }


def record_payload(record: Record) -> RecordPayload:
    """Return a provider's record, with the quantiles of the first tokens seen."""
    left = record.rest.until - perf_counter()
    resting = left > 0
    payload: RecordPayload = {
        "status": "resting" if resting else "ready",
        "requests": record.requests,
        "wins": record.wins,
        "losses": record.losses,
        "failures": record.failures,
        "ttft_ms": record.ttft_ms(),
        "last_error": record.last_error,
        "resting_until": round(time() + left, 3) if resting else None,
    }
    if record.notes:  # most need nothing put right
        payload["notes"] = dict(record.notes)
    return payload
