"""Keys that are managed at run time, as `/v1/keys` shows them."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypedDict

from server.config.settings import KeySettings
from server.json_types import Count, Keywords


class KeyFields(TypedDict):
    """What whoever makes a key says of it; a limit of 0 is none."""

    name: str
    providers: list[str]
    models: list[str]
    admin: bool
    requests_per_minute: Count
    tokens_per_minute: Count
    tokens_per_day: Count
    dollars_per_day: float
    dollars_per_month: float
    streams: Annotated[int, Keywords(minimum=0, description="Answers at once.")]
    expires: Annotated[str, Keywords(description="An RFC 3339 instant, or nothing.")]


class KeyPayload(KeyFields):
    """A key as it may be read: how it begins, and never what lets anybody in."""

    id: str
    object: Literal["key"]
    created: Count
    prefix: str


class NewKeyPayload(KeyPayload):
    """A key that was just made."""

    key: Annotated[str, Keywords(description="What lets in. It is shown only now.")]


class KeysPayload(TypedDict):
    object: Literal["list"]
    data: list[KeyPayload]


class DeletedKey(TypedDict):
    id: str
    object: Literal["key"]
    deleted: Literal[True]


def key_payload(id: str, created: int, key: KeySettings) -> KeyPayload:  # noqa: A002
    """Return the key with that public id, made at *created* (s since the epoch)."""
    return {
        "id": id,
        "object": "key",
        "created": created,
        "prefix": key_prefix(id),
        "name": key.name,
        "providers": list(key.providers),
        "models": list(key.models),
        "admin": key.admin,
        "requests_per_minute": key.requests_per_minute,
        "tokens_per_minute": key.tokens_per_minute,
        "tokens_per_day": key.tokens_per_day,
        "dollars_per_day": key.dollars_per_day,
        "dollars_per_month": key.dollars_per_month,
        "streams": key.streams,
        "expires": key.expires,
    }


def keys_payload(keys: Sequence[KeyPayload]) -> KeysPayload:
    return {"object": "list", "data": [*keys]}


def key_prefix(id: str) -> str:  # noqa: A002
    """Return how the key with that public id begins."""
    return f"sk-if-{id}"
