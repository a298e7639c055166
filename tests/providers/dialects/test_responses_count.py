"""Tokens, counted by upstreams that speak the Responses API, on a real socket."""

import asyncio
from typing import Any

import pytest

from providers import (
    ChatRequest,
    Message,
    NativeRequest,
    Provider,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    TokenCount,
)
from providers.chat import RESPONSES
from tests.conftest import MakeUpstream
from tests.providers.conftest import Connect
from tests.rig.upstream import answers

JSON = ("Content-Type: application/json",)
MESSAGE = {"role": "user", "content": "hello"}
CHAT = ChatRequest(
    model="m",
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="user", content="hello"),
    ),
    max_tokens=9,
    top_p=1,
    reasoning_effort="low",
)
BODY = {
    "model": "m",
    "input": [MESSAGE],
    "made_up": 1,
    "tools": [{"type": "web_search"}],
    "store": True,
    "stream": True,
}
NATIVE = ChatRequest(
    model="m",
    messages=CHAT.messages,
    native=NativeRequest(format=RESPONSES, body=BODY),
)


async def count(provider: Provider, request: ChatRequest) -> Any:
    async with asyncio.timeout(10):
        (found,) = await anext(provider.count(request, "theirs", provider.limits))
    return found


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (
            CHAT,
            {
                "instructions": "Be brief.",
                "input": [MESSAGE],
                "reasoning": {"effort": "low"},
            },
        ),
        (NATIVE, {"input": [MESSAGE], "tools": [{"type": "web_search"}]}),
    ],
    ids=["chat", "native"],
)
async def test_count(
    make_upstream: MakeUpstream,
    connect: Connect,
    request_: ChatRequest,
    sent: dict[str, Any],
) -> None:
    """The count is of what would be asked, less what is no part of it."""
    reply = {"object": "response.input_tokens", "input_tokens": 14}
    upstream = await make_upstream(answers(200, reply, JSON))
    provider = connect(upstream.url, kind="responses", api_key="sk-test-1234")

    assert provider.counts
    assert await count(provider, request_) == TokenCount(input_tokens=14)

    (asked,) = upstream.requests
    assert asked.path == "/v1/responses/input_tokens"
    assert asked.json == {"model": "theirs", **sent}
    assert asked.headers["authorization"] == "Bearer sk-test-1234"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {}, ProviderProtocolError),
        (200, {"input_tokens": "14"}, ProviderProtocolError),
        (200, {"input_tokens": True}, ProviderProtocolError),
        (200, {"input_tokens": -1}, ProviderProtocolError),
        (404, {"error": {"message": "no such path"}}, ProviderRefusedRequest),
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
        await count(connect(upstream.url, kind="responses"), CHAT)
