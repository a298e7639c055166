"""A task asked of one provider, without a server."""

import asyncio
from typing import Any

import pytest

from providers import (
    Blob,
    ImageRequest,
    Images,
    Provider,
    ProviderError,
    TaskCall,
    TaskRequest,
    TokenCount,
)

MODEL = "upstream-model"


def drawing(**more: Any) -> ImageRequest:
    """Return a request for an image; *more* is its body, and its fields' values."""
    known = {name: value for name, value in more.items() if hasattr(ImageRequest, name)}
    body = {"prompt": "a red square", **more}
    return ImageRequest(**{"prompt": "a red square", **known}, body=body)


async def result(
    provider: Provider, request: TaskRequest, model: str = MODEL
) -> Images | Blob | TokenCount:
    limits = provider.limits_for(request.task)
    stream = provider.task(request, model, limits)
    assert isinstance(stream, TaskCall)
    async with asyncio.timeout(20):
        (found,) = await anext(stream)
    return found


async def paint(
    provider: Provider, request: ImageRequest | None = None, model: str = MODEL
) -> Images:
    """Return the images that a request for a red square comes to."""
    found = await result(provider, request or drawing(), model)
    assert isinstance(found, Images)
    return found


async def blob(provider: Provider, request: TaskRequest) -> Blob:
    found = await result(provider, request)
    assert isinstance(found, Blob)
    return found


async def failure(
    provider: Provider, request: TaskRequest | None = None, model: str = MODEL
) -> ProviderError:
    """Return the error that a task comes to."""
    with pytest.raises(ProviderError) as caught:
        await result(provider, request or drawing(), model)
    return caught.value
