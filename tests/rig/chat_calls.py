"""What the tests of the transport share: a small chat, and ways to read its answer."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from providers import (
    ChatCall,
    ChatRequest,
    Chunk,
    Message,
    Provider,
    ProviderError,
    chunks_of,
)

from .upstream import delta

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
HELLO = ChatRequest(
    model="m",
    messages=(Message(role="user", content="hello"),),
    stream=True,
    body=BODY,
)
KEY = "sk-0123456789abcdef"
A = delta(content="a")
STOP = delta("stop")
COMPLETION = {
    "choices": [{"index": 0, "message": {"content": "whole"}, "finish_reason": "stop"}]
}
OVERLOADED = {"error": {"message": "The model is overloaded", "code": "overloaded"}}


def start(
    provider: Provider, request: ChatRequest = HELLO, **limits: float
) -> ChatCall:
    tightened = provider.limits.tightened(**limits)
    stream = provider.chat(request, "upstream-model", tightened)
    assert isinstance(stream, ChatCall)
    return stream


def text(chunks: Iterable[Chunk]) -> str:
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    return "".join(delta.content or "" for delta in deltas)


async def read(provider: Provider, **limits: float) -> str:
    """Return the text of a whole answer."""
    async with asyncio.timeout(10):
        stream = start(provider, HELLO, **limits)
        return text([chunk async for pieces in stream for chunk in chunks_of(pieces)])


async def failure(provider: Provider, **limits: float) -> ProviderError:
    """Return the error with which an answer fails."""
    with pytest.raises(ProviderError) as caught:
        await read(provider, **limits)
    return caught.value


async def token(stream: ChatCall) -> str:
    """Read on to the next text."""
    async with asyncio.timeout(10):
        while not (said := text(chunks_of(await anext(stream)))):
            pass
    return said


async def soon(queue: asyncio.Queue[Any]) -> Any:
    """Return what *queue* gets; hanging up at once is well within this time."""
    async with asyncio.timeout(2):
        return await queue.get()
