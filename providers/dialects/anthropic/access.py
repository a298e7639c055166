"""How Anthropic's API is reached: the headers of a call, and the list of models."""

from collections.abc import Mapping

import orjson

from providers.dialects.base import Call
from providers.settings import ProviderSettings

from .cleaning import is_own_host

# The last version that lets models have a temperature which know one.
HEADERS = {"Content-Type": "application/json", "anthropic-version": "2023-06-01"}


def headers_of(settings: ProviderSettings) -> Mapping[str, str]:
    """Return the headers that every call has: the version, and the key."""
    key = settings.api_key
    if not key:
        return HEADERS
    headers = {**HEADERS, "x-api-key": key}
    if not is_own_host(settings):
        # Of the servers that copy the API, some look into this header only.
        headers["Authorization"] = f"Bearer {key}"
    return headers


def models_call(settings: ProviderSettings) -> Call:
    headers = {**headers_of(settings), "Accept": "application/json"}
    return Call("models?limit=1000", headers=headers)


def models_in(body: bytes) -> tuple[str, ...]:
    """Return the names of the models that have not been retired."""
    rows = orjson.loads(body)["data"]
    usable = (row for row in rows if row.get("lifecycle") != "retired")
    return tuple(str(row["id"]) for row in usable)
