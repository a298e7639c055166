"""The count of a message's tokens: a vendor's, or an estimate where nobody counts."""

from math import ceil
from typing import NotRequired, TypedDict

import orjson

from providers import ChatRequest
from server.json_types import JSON, Count

# So many bytes of UTF-8 are a token, about, in all tokenizers of the day.
BYTES_PER_TOKEN = 4
# What a large picture costs at Anthropic, and about what a page of a document does.
MEDIA_TOKENS = 1600
TEXTS = ("system", "messages", "instructions", "input", "tools")
# The types of what has no text in it that could be counted.
MEDIA = ("input_image", "input_file", "input_audio", "image_url", "file")


class TokenCountPayload(TypedDict):
    input_tokens: Count
    provider: NotRequired[str]


def render(tokens: int, provider: str | None = None) -> bytes:
    """Return the answer; *provider* is who has counted, None: nobody has."""
    payload: TokenCountPayload = {"input_tokens": tokens}
    if provider is not None:
        payload["provider"] = provider
    return orjson.dumps(payload)


def estimate(request: ChatRequest) -> int:
    """Guess the number of tokens: a quarter of the bytes, and so many for a picture."""
    body = request.native.body if request.native is not None else request.body
    texts, media = _without_media({n: body[n] for n in TEXTS if body.get(n)})
    return ceil(len(orjson.dumps(texts)) / BYTES_PER_TOKEN) + media * MEDIA_TOKENS


def _without_media(value: JSON) -> tuple[JSON, int]:
    """Return *value* without pictures and documents that are not text; count these."""
    if isinstance(value, dict):
        if value.get("type") in ("image", "document") and _is_media(
            value.get("source")
        ):
            return None, 1
        if value.get("type") in MEDIA:
            return None, 1
        pairs = {name: _without_media(each) for name, each in value.items()}
        rest = {name: text for name, (text, _) in pairs.items()}
        return rest, sum(media for _, media in pairs.values())
    if isinstance(value, list):
        items = [_without_media(each) for each in value]
        return [text for text, _ in items], sum(media for _, media in items)
    return value, 0


def _is_media(source: JSON) -> bool:
    return isinstance(source, dict) and source.get("type") in ("base64", "url", "file")
