"""Real images, made here."""

import os
from base64 import b64encode
from io import BytesIO
from typing import Any

from PIL import Image


def picture(kind: str = "PNG", color: str = "red", side: int = 8) -> bytes:
    """Return an image of one colour, encoded as *kind*."""
    buffer = BytesIO()
    Image.new("RGB", (side, side), color).save(buffer, kind)
    return buffer.getvalue()


def noise(side: int) -> bytes:
    """Return an image that nothing compresses, about 3 x *side* x *side* bytes."""
    buffer = BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


def generated(*images: bytes, **more: Any) -> dict[str, Any]:
    """Return the answer of OpenAI's images API with these."""
    data = [{"b64_json": b64encode(image).decode(), **more} for image in images]
    return {"created": 1, "data": data}
