"""Answers in one piece: who is asked for them, and that clients see no difference."""

import asyncio
from typing import Any

import pytest

from server.racing.times import ENOUGH
from tests.conftest import MakeUpstream, Serve
from tests.rig.client import CHAT, Answer, Client
from tests.rig.upstream import (
    DONE,
    END,
    HEAD,
    ROLE,
    USAGE,
    Received,
    Script,
    Upstream,
    answers,
    delta,
    says,
)

JSON = ["Content-Type: application/json"]
WHOLE: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "upstream-model",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello, you"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
CALL = {"name": "f", "arguments": '{"a":1}'}
CALLS: dict[str, Any] = {
    **WHOLE,
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": CALL}],
            },
            "finish_reason": "tool_calls",
        }
    ],
}
STREAMED_CALLS = [
    HEAD,
    ROLE,
    delta(tool_calls=[{"index": 0, **CALLS["choices"][0]["message"]["tool_calls"][0]}]),
    delta("tool_calls"),
    USAGE,
    DONE,
    END,
]
MESSAGES = [{"role": "user", "content": "hello"}]
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": MESSAGES},
    "/v1/completions": {"prompt": "hello"},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 10},
    "/v1/responses": {"input": "hello", "store": False},
}
# What is new in each answer.
NEW = ("id", "created", "created_at", "completed_at", "item_id")


def plays(whole: Script, stream: Script) -> Any:
    """Return what chooses the script for a request by whether it is for a stream."""

    def choose(request: Received) -> Script:
        return stream if request.json["stream"] else whole

    return choose


async def speaking(make_upstream: MakeUpstream) -> Upstream:
    """Start an upstream that says `Hello, you`, streamed or not."""
    upstream = await make_upstream()
    upstream.choose = plays(answers(200, WHOLE, JSON), says("Hello", ", you"))
    return upstream


async def ask(client: Client, path: str = CHAT) -> Answer:
    body = {"model": "m", "provider": "One", **BODIES[path]}
    return await client.request("POST", path, json=body)


async def warm_up(client: Client, path: str = CHAT) -> Answer:
    """Ask until it is known that the provider is quick; return the last answer."""
    for _ in range(ENOUGH - 1):
        await client.race(await ask(client, path))
    last = await ask(client, path)
    await client.race(last)
    return last


def streams(upstream: Upstream) -> list[bool]:
    return [request.json["stream"] for request in upstream.requests]


def lasting(value: Any) -> Any:
    """Return an answer less what no two answers share."""
    if isinstance(value, list):
        return [lasting(each) for each in value]
    if isinstance(value, dict):
        return {name: lasting(v) for name, v in value.items() if name not in NEW}
    return value


@pytest.mark.parametrize(
    ("path", "calls"),
    [
        *[(path, False) for path in BODIES],
        *[(path, True) for path in BODIES if path != "/v1/completions"],
    ],
)
async def test_the_answer_is_the_same(
    path: str, calls: bool, serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Whichever API is spoken, an answer is what its stream would have come to."""
    upstream = await speaking(make_upstream)
    if calls:
        upstream.choose = plays(answers(200, CALLS, JSON), STREAMED_CALLS)
    client = await serve(upstream.table("One"))

    before = await warm_up(client, path)
    answer = await ask(client, path)

    assert streams(upstream) == [True] * ENOUGH + [False]
    assert (answer.status, answer.headers["X-Provider"]) == (200, "One")
    assert answer.headers["Server-Timing"].startswith("One;dur=")
    assert lasting(answer.json) == lasting(before.json)


async def test_what_is_told_of_it(serve: Serve, make_upstream: MakeUpstream) -> None:
    """It has won, and nobody knows when its first token came."""
    upstream = await speaking(make_upstream)
    client = await serve(upstream.table("One"))
    await warm_up(client)
    before = await client.stats("One")

    answer = await ask(client)
    story = await client.race(answer)
    after = await client.stats("One")

    (lane,) = story["racers"]
    assert (story["winner"], story["ttft_ms"], story["stream"]) == ("One", None, False)
    assert (lane["outcome"], lane["first_token_ms"], lane["chunks"]) == ("won", None, 1)
    assert lane["start_ms"] <= lane["headers_ms"] <= lane["end_ms"]
    assert after["wins"] == before["wins"] + 1
    assert after["ttft_ms"] == before["ttft_ms"]


async def test_races_and_streams(serve: Serve, make_upstream: MakeUpstream) -> None:
    """Where a first token decides or is to be shown, each is asked for a stream."""
    upstream = await speaking(make_upstream)
    other = await speaking(make_upstream)
    client = await serve(upstream.table("One"), other.table("Two"))
    await warm_up(client)
    upstream.requests.clear()

    await client.chat("One", stream=True)
    await client.chat("One Two")

    assert streams(upstream) == [True, True]


async def test_one_that_fails(serve: Serve, make_upstream: MakeUpstream) -> None:
    """It fails as a stream does: told to its client, and to the record."""
    upstream = await speaking(make_upstream)
    client = await serve(upstream.table("One"))
    await warm_up(client)
    error = {"error": {"message": "out of order", "code": "broken"}}
    upstream.choose = plays(answers(503, error, JSON), [...])

    answer = await ask(client)

    (told,) = answer.error["providers"]
    assert (answer.status, answer.error["code"]) == (502, "all_providers_failed")
    assert (told["status"], told["message"]) == (503, "out of order")
    assert (await client.stats("One"))["failures"] == 1


async def test_a_client_that_leaves(serve: Serve, make_upstream: MakeUpstream) -> None:
    """The upstream is hung up on at once."""
    upstream = await speaking(make_upstream)
    client = await serve(upstream.table("One"))
    await warm_up(client)
    upstream.choose = plays([HEAD, ...], [])
    asking = asyncio.ensure_future(ask(client))
    async with asyncio.timeout(10):
        while streams(upstream) != [True] * ENOUGH + [False]:
            await upstream.arrived.get()

        asking.cancel()

        await upstream.hung_up.get()


async def test_a_long_answer(serve: Serve, make_upstream: MakeUpstream) -> None:
    """
    One that takes longer than a first token may is asked for again, as a stream; those
    that follow are asked for so at once.
    """
    upstream = await speaking(make_upstream)
    client = await serve(upstream.table("One"), "[race]\nfirst_token_timeout = 3.0")
    while False not in streams(upstream):  # a tenth of that is little on a busy machine
        await warm_up(client)
    upstream.requests.clear()
    script = [HEAD, delta(content="It "), 0.1, *says("was long")[2:]]
    upstream.choose = plays([...], script)

    answer = await ask(client)
    await client.race(answer)
    again = await ask(client)

    assert (answer.said, again.said) == ("It was long", "It was long")
    assert streams(upstream) == [False, True, True]
    assert (await client.stats("One"))["failures"] == 0
