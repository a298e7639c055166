"""Pictures and PDFs as blocks of Anthropic's Messages API."""

import binascii
from base64 import b64decode

from providers.chat import ContentPart
from providers.dialects.translation import base64_url, image_url, refused
from providers.json_types import JSONObject

IMAGES = {f"image/{kind}": f"image/{kind}" for kind in ("png", "jpeg", "gif", "webp")}
IMAGES["image/jpg"] = "image/jpeg"  # no registered name, but a common one
PDF = "application/pdf"
# What files begin with; a WebP has its length before its name.
BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": PDF,
}
LOOKED_AT = 64
Block = JSONObject


def picture(part: ContentPart, api: str) -> Block:
    """
    Return the block of an image_url part; raises ProviderRefusedRequest for what the
    API does not take.
    """
    url = image_url(part)
    inline = base64_url(url)
    if inline is not None:
        return _inline(*inline, api)
    if not url.startswith(("https://", "http://")):
        raise refused("an image_url is neither a web address nor base64 data")
    return {"type": "image", "source": {"type": "url", "url": url}}


def document(part: ContentPart, api: str) -> Block:
    """Return the block of a file part, which has its data with it."""
    data = (part.file or {}).get("file_data")
    if not isinstance(data, str):
        raise refused(f"{api} takes parts of the type 'file' with their file_data only")
    # Some clients send the data alone.
    return _inline(*(base64_url(data) or ("", data)), api)


def _inline(declared: str, data: str, api: str) -> Block:
    kind = _kind(data) or declared
    if kind == PDF:
        block = "document"
    elif kind in IMAGES:
        block, kind = "image", IMAGES[kind]
    else:
        named = kind or "no named type"
        raise refused(f"{api} takes no images or files of the type {named!r}")
    source = {"type": "base64", "media_type": kind, "data": data}
    return {"type": block, "source": source}


def _kind(data: str) -> str:
    """Return the type that the bytes themselves tell; "" if they tell none."""
    try:
        begun = b64decode(data[:LOOKED_AT])
    except (binascii.Error, ValueError):
        return ""
    if begun.startswith(b"RIFF") and begun[8:12] == b"WEBP":
        return "image/webp"
    found = (kind for bytes_, kind in BEGINNINGS.items() if begun.startswith(bytes_))
    return next(found, "")
