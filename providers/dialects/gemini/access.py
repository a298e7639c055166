"""How Google's Gemini API is reached: its paths, the key, and the list of models."""

from urllib.parse import quote

import orjson

from providers.dialects.base import Call
from providers.settings import ProviderSettings


def path_of(model: str) -> str:
    """Return the resource that a model is, whether or not its name says `models/`."""
    return f"models/{quote(model.removeprefix('models/'), safe='')}"


def key_of(settings: ProviderSettings) -> dict[str, str]:
    """Return the header that the key comes in."""
    return {"x-goog-api-key": settings.api_key} if settings.api_key else {}


def models_call(settings: ProviderSettings) -> Call:
    headers = {"Accept": "application/json"} | key_of(settings)
    return Call("models?pageSize=1000", headers=headers)


def models_in(body: bytes) -> tuple[str, ...]:
    """Return the names of the models that generate."""
    rows = orjson.loads(body).get("models") or ()
    return tuple(
        str(row["name"]).removeprefix("models/")
        for row in rows
        if "generateContent" in (row.get("supportedGenerationMethods") or ())
    )
