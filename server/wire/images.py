"""Images as we serve them: OpenAI's shape, and the fields of image services."""

import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import orjson

from providers import ImageRequest, Images
from server.racing.lineup import Selection

from .reading import make, read_object, take_selection


def parse(
    body: bytes, path_providers: tuple[str, ...] | None = None
) -> tuple[ImageRequest, Selection]:
    """Return the images that *body* asks for, and of whom; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    return make({**payload, "body": payload}, ImageRequest), selection


def render(images: Images, provider: str, urls: Sequence[str] | None) -> bytes:
    """Return the answer; *urls* are where the images lie, None: they are in it."""
    places: list[dict[str, Any]]
    if urls is None:
        places = [{"b64_json": b64encode(i.data).decode()} for i in images.images]
    else:
        places = [{"url": url} for url in urls]
    data = [
        {**place, "revised_prompt": image.revised_prompt}
        for place, image in zip(places, images.images, strict=True)
    ]
    return orjson.dumps(
        {
            "created": int(time.time()),
            "model": images.model,
            "provider": provider,
            "data": data,
        }
    )


def in_answer(request: ImageRequest) -> bool:
    """Say whether the images are wanted in the answer itself."""
    return request.response_format == "b64_json"
