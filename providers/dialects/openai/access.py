"""How OpenAI's API and its copies are reached: the key, and the list of models."""

from collections.abc import Mapping
from functools import lru_cache

import orjson

from providers.dialects.base import Call
from providers.settings import ProviderSettings


def authorization(settings: ProviderSettings) -> dict[str, str]:
    """Return the header that OpenAI and its copies want the key in."""
    return _bearer(settings.api_key)


@lru_cache(maxsize=100)
def headers_for(key: str | None, accepted: str) -> Mapping[str, str]:
    """Return the headers of a call with a *key*; *accepted* is its answer's type."""
    return {"Content-Type": "application/json", "Accept": accepted} | _bearer(key)


def models_call(settings: ProviderSettings) -> Call:
    headers = {"Accept": "application/json"} | authorization(settings)
    return Call("models", headers=headers)


def models_in(body: bytes) -> tuple[str, ...]:
    """Return the names in a list of models; Together answers with a bare list."""
    payload = orjson.loads(body)
    rows = payload if isinstance(payload, list) else payload["data"]
    return tuple(str(row["id"]) for row in rows)


def _bearer(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
