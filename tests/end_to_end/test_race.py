"""The race on real sockets, through a real server process."""

import asyncio
import json
import random
from time import perf_counter
from typing import Any

import aiohttp

from tests.conftest import MakeUpstream, Serve
from tests.upstream import DONE, END, HEAD, ROLE, delta, says

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def frames(body: bytes) -> list[Any]:
    """Return the payloads of a stream's events, parsed but for `[DONE]`."""
    found = []
    for event in body.decode().split("\n\n"):
        if event.startswith("data: "):
            data = event.removeprefix("data: ")
            found.append(data if data == "[DONE]" else json.loads(data))
    return found


def text(events: list[Any]) -> str:
    return "".join(
        choice["delta"].get("content", "")
        for event in events
        if isinstance(event, dict)
        for choice in event.get("choices", ())
    )


async def test_first_token_wins_not_first_headers(
    serve: Serve, make_upstream: MakeUpstream, http: aiohttp.ClientSession
) -> None:
    """
    A speaks headers and a role at once, its first text 500 ms later; B sends headers
    after 200 ms and text 10 ms later. B always wins, whatever the order, and A is hung
    up on within 10 ms (p99) of B's first token.
    """
    eager = await make_upstream([HEAD, ROLE, 0.5, *says("A")[2:]])
    steady = await make_upstream(
        [0.2, HEAD, 0.01, delta(content="B"), delta("stop"), DONE, END]
    )
    server = await serve(eager.table("Eager"), steady.table("Steady"))
    won = []

    async def one() -> None:
        order = random.sample(["Eager", "Steady"], 2)
        body = {**HELLO, "provider": " ".join(order), "stream": True}
        async with http.post(f"{server.url}/v1/chat/completions", json=body) as answer:
            won.append(
                (answer.headers["X-Provider"], text(frames(await answer.read())))
            )

    for _ in range(50):
        await asyncio.gather(*(one() for _ in range(20)))

    assert won == [("Steady", "B")] * 1000
    assert eager.hung_up.qsize() == 1000
