"""Images as we serve them: OpenAI's shape, and the fields of image services."""

import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, NotRequired, TypedDict

import orjson

from providers import ImageRequest, Images
from server.json_types import Count, Keywords, Winner
from server.racing.lineup import Selection

from .reading import make, read_object, take_selection


class ImagePayload(TypedDict):
    url: NotRequired[Annotated[str, Keywords(format="uri")]]
    b64_json: NotRequired[str]
    revised_prompt: str | None


class ImagesPayload(TypedDict):
    created: Count
    model: str
    provider: Winner
    data: list[ImagePayload]


def parse(
    body: bytes, path_providers: tuple[str, ...] | None = None
) -> tuple[ImageRequest, Selection]:
    """Return the images that *body* asks for, and of whom; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    return make({**payload, "body": payload}, ImageRequest), selection


def render(images: Images, provider: str, urls: Sequence[str] | None) -> bytes:
    """Return the answer; *urls* are where the images lie, None: they are in it."""
    payload: ImagesPayload = {
        "created": int(time.time()),
        "model": images.model,
        "provider": provider,
        "data": _with_data(images) if urls is None else _with_urls(images, urls),
    }
    return orjson.dumps(payload)


def _with_data(images: Images) -> list[ImagePayload]:
    return [
        {
            "b64_json": b64encode(image.data).decode(),
            "revised_prompt": image.revised_prompt,
        }
        for image in images.images
    ]


def _with_urls(images: Images, urls: Sequence[str]) -> list[ImagePayload]:
    return [
        {"url": url, "revised_prompt": image.revised_prompt}
        for url, image in zip(urls, images.images, strict=True)
    ]


def in_answer(request: ImageRequest) -> bool:
    """Say whether the images are wanted in the answer itself."""
    return request.response_format == "b64_json"
