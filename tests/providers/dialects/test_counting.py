"""Tokens, counted by upstreams on a real socket."""

import asyncio
from typing import Any

import pytest

from providers import (
    MESSAGES,
    ChatRequest,
    Message,
    NativeRequest,
    Provider,
    ProviderBusy,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    TokenCount,
)
from tests.conftest import MakeUpstream
from tests.providers.conftest import Connect
from tests.rig.upstream import answers

JSON = ("Content-Type: application/json",)
MESSAGE = {"role": "user", "content": "hello"}
CHAT = ChatRequest(
    model="m", messages=(Message(role="user", content="hello"),), max_tokens=9, top_p=1
)
NATIVE = ChatRequest(
    model="m",
    messages=CHAT.messages,
    native=NativeRequest(
        format=MESSAGES,
        body={"model": "m", "max_tokens": 9, "made_up": 1, "messages": [MESSAGE]},
        headers={"anthropic-beta": "b"},
    ),
)


async def count(provider: Provider, request: ChatRequest = NATIVE) -> Any:
    async with asyncio.timeout(10):
        (found,) = await anext(provider.count(request, "theirs", provider.limits))
    return found


async def test_anthropic(make_upstream: MakeUpstream, connect: Connect) -> None:
    """The count is of what the client said, less what is no part of it."""
    upstream = await make_upstream(answers(200, {"input_tokens": 14}, JSON))
    provider = connect(upstream.url, kind="anthropic", api_key="sk-test-1234")

    assert provider.counts
    assert await count(provider) == TokenCount(input_tokens=14)

    (asked,) = upstream.requests
    assert asked.path == "/v1/messages/count_tokens"
    assert asked.json == {"model": "theirs", "made_up": 1, "messages": [MESSAGE]}
    assert asked.headers["x-api-key"] == "sk-test-1234"
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert asked.headers["anthropic-beta"] == "b"


async def test_anthropic_asked_in_another_format(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A chat is translated for its count as it is for its answer."""
    upstream = await make_upstream(answers(200, {"input_tokens": 0}, JSON))

    await count(connect(upstream.url, kind="anthropic"), CHAT)

    content = [{"type": "text", "text": "hello"}]
    messages = [{"role": "user", "content": content}]
    assert upstream.requests[0].json == {"model": "theirs", "messages": messages}


async def test_gemini(make_upstream: MakeUpstream, connect: Connect) -> None:
    """The count is of the whole request, whose model is named in it, too."""
    upstream = await make_upstream(answers(200, {"totalTokens": 31}, JSON))
    provider = connect(upstream.url, kind="gemini", api_key="AIza-1234")

    assert provider.counts
    assert await count(provider, CHAT) == TokenCount(input_tokens=31)

    (asked,) = upstream.requests
    assert asked.path == "/v1/models/theirs:countTokens"
    assert asked.headers["x-goog-api-key"] == "AIza-1234"
    assert asked.json == {
        "generateContentRequest": {
            "model": "models/theirs",
            "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
            "generationConfig": {"topP": 1, "maxOutputTokens": 9},
        }
    }


async def test_others_do_not_count(connect: Connect) -> None:
    """OpenAI's API has no count, nor has Ollama's."""
    assert not connect("http://127.0.0.1:9/v1").counts
    assert not connect("http://127.0.0.1:9/v1", kind="ollama").counts


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {}, ProviderProtocolError),
        (200, {"input_tokens": "14"}, ProviderProtocolError),
        (200, {"input_tokens": -1}, ProviderProtocolError),
        (200, [], ProviderProtocolError),
        (404, {"error": {"message": "no such path"}}, ProviderRefusedRequest),
        (429, {"error": {"message": "later"}}, ProviderBusy),
    ],
)
async def test_failures(
    make_upstream: MakeUpstream,
    connect: Connect,
    status: int,
    body: Any,
    error: type[ProviderError],
) -> None:
    """What is no count is none."""
    upstream = await make_upstream(answers(status, body, JSON))

    with pytest.raises(error):
        await count(connect(upstream.url, kind="anthropic"))


async def test_page_instead_of_a_count(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A copy of the API without the route may answer anything with 200."""
    upstream = await make_upstream(answers(200, {}, ("Content-Type: text/html",)))

    with pytest.raises(ProviderProtocolError, match="text/html"):
        await count(connect(upstream.url, kind="anthropic"))
