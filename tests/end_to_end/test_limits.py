"""The limits of keys, on a real server: exact, told in headers, and given back."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT, Answer, client, hello
from tests.rig.keys import ask, auth, bearer
from tests.rig.upstream import DONE, END, HEAD, ROLE, delta, says

TEAM = "sk-team"
# As USAGE of the upstreams has it.
TOKENS = 5
WORKERS = pytest.mark.parametrize("workers", [1, 2])


async def burst(url: str, number: int, **more: Any) -> list[Answer]:
    """Ask *number* times at once, each over a connection of its own."""

    async def one() -> Answer:
        async with client(url) as me:
            return await ask(me, TEAM, **more)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(number)]
    return [task.result() for task in tasks]


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


@WORKERS
async def test_never_one_request_too_many_and_none_lost(
    start_server: StartServer, make_upstream: MakeUpstream, workers: int
) -> None:
    """Of forty at once twelve get in, whichever of the workers has them."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(
        auth(team="requests_per_minute = 12", other=""),
        upstream.table("One"),
        arguments=["--workers", str(workers)],
    )
    await server.logged("serving", times=workers)
    answers = await burst(server.url, 40)
    assert statuses(answers) == {200: 12, 429: 28}
    assert len(upstream.requests) == 12
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.error["code"] == "rate_limit_exceeded"
    assert refused.error["type"] == "requests"
    wait = int(refused.headers["Retry-After-Ms"])
    assert 0 < wait <= 60_000
    assert int(refused.headers["Retry-After"]) == -(-wait // 1000)
    async with client(server.url) as me:
        assert (await ask(me, "sk-other")).status == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_tokens_are_settled_by_real_usage(
    start_server: StartServer, make_upstream: MakeUpstream, *, stream: bool
) -> None:
    """What was reserved too much is back at once; the headers tell what is left."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(
        auth(team="tokens_per_minute = 1000\nrequests_per_minute = 50"),
        upstream.table("One"),
    )
    async with client(server.url) as me:
        for i in range(1, 6):
            answer = await ask(me, TEAM, stream=stream)
            assert answer.status == 200
            assert answer.headers["X-RateLimit-Limit-Requests"] == "50"
            assert answer.headers["X-RateLimit-Remaining-Requests"] == str(50 - i)
        told = await me.get("/v1/models", **bearer(TEAM))
    left = int(told.headers["X-RateLimit-Remaining-Tokens"])
    # The last of them is told with what was reserved for it.
    assert 1000 - 5 * TOKENS - 110 <= left <= 1000 - 4 * TOKENS
    assert told.headers["X-RateLimit-Reset-Tokens"].endswith("s")


async def test_hanging_up_early_is_no_way_around(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """What was forwarded counts, and the input of whoever was asked."""
    words = [delta(content="word ") for _ in range(30)]
    upstream = await make_upstream([HEAD, ROLE, *words, ...])
    server = await start_server(
        auth(team="tokens_per_day = 200"), upstream.table("One")
    )
    async with client(server.url) as me:
        seen, refused = 0, {}
        while seen < 20:
            body = hello("One", stream=True, max_tokens=1)
            async with me.session.post(
                server.url + CHAT, json=body, **bearer(TEAM)
            ) as answer:
                if answer.status != 200:
                    refused = await answer.json()
                    break
                await answer.content.readuntil(b"word ")
                answer.close()
            await upstream.hung_up.get()
            seen += 1
    assert seen < 10
    assert refused["error"]["code"] == "insufficient_quota"


async def test_as_many_answers_at_once_as_allowed(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """A place is free again when an answer ends, and when its client leaves."""
    free = asyncio.Event()
    upstream = await make_upstream(
        [HEAD, ROLE, delta(content="Hi"), free, delta("stop"), DONE, END]
    )
    server = await start_server(auth(team="streams = 2"), upstream.table("One"))
    async with client(server.url) as me:

        async def open_one() -> Any:
            body = hello("One", stream=True)
            answer = await me.session.post(server.url + CHAT, json=body, **bearer(TEAM))
            assert answer.status == 200
            await answer.content.readuntil(b"Hi")
            return answer

        first, second = await open_one(), await open_one()
        full = await ask(me, TEAM)
        assert (full.status, full.error["code"]) == (429, "rate_limit_exceeded")
        assert "streams" in full.error["message"]
        first.close()
        await upstream.hung_up.get()
        third = await open_one()
        free.set()
        for answer in (second, third):
            assert b"[DONE]" in await answer.read()
        assert (await ask(me, TEAM)).status == 200


async def test_messages_clients_read_anthropics_headers(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """And an error in Anthropic's shape, when the limit is reached."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(
        auth(team="requests_per_minute = 1"), upstream.table("One")
    )
    body = hello("One", max_tokens=9)
    async with client(server.url) as me:
        answer = await me.request("POST", "/v1/messages", json=body, **bearer(TEAM))
        assert answer.headers["Anthropic-RateLimit-Requests-Limit"] == "1"
        assert answer.headers["Anthropic-RateLimit-Requests-Remaining"] == "0"
        assert answer.headers["Anthropic-RateLimit-Requests-Reset"].endswith("Z")
        refused = await me.request("POST", "/v1/messages", json=body, **bearer(TEAM))
    assert refused.status == 429
    assert refused.json["error"]["type"] == "rate_limit_error"


async def test_a_race_of_eight_takes_eight_inputs(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Each vendor bills the prompt: a race that can't be paid for is not run."""
    upstream = await make_upstream(says("Hi"))
    names = [f"P{i}" for i in range(8)]
    server = await start_server(
        auth(team="tokens_per_minute = 1000"), *map(upstream.table, names)
    )
    long = [{"role": "user", "content": "x" * 800}]
    async with client(server.url) as me:
        refused = await ask(me, TEAM, " ".join(names), messages=long)
        assert refused.status == 429
        assert refused.error["type"] == "tokens"
        assert refused.headers["X-Should-Retry"] == "false"
        assert not upstream.requests
        assert (await ask(me, TEAM, "P0 P1", messages=long)).status == 200


async def test_failures_cost_a_request_and_no_tokens(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """What nobody has answered is given back; what is refused counts for nobody."""
    upstream = await make_upstream([b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"])
    server = await start_server(
        auth(team="tokens_per_day = 100\nrequests_per_minute = 4"),
        upstream.table("One"),
    )
    async with client(server.url) as me:
        for _ in range(4):
            assert (await ask(me, TEAM)).status == 502
        wrong = await ask(me, TEAM, messages=[])
        assert wrong.status == 400
        full = await ask(me, TEAM)
    assert (full.status, full.error["type"]) == (429, "requests")
    assert int(full.headers["X-RateLimit-Remaining-Tokens"]) == 100
