"""What requests have used and what it cost, from the answers to `/v1/usage`."""

import asyncio
import csv
import json
import os
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeUpstream, Serve, StartServer
from tests.rig.anthropic_events import THEIRS, script
from tests.rig.client import CHAT, Client, client, frames, hello
from tests.rig.parts import Text
from tests.rig.procfs import children
from tests.rig.race_listener import AUTH, key_of
from tests.rig.responses_upstream import responses
from tests.rig.upstream import DONE, HEAD, Step, answers, delta, event

JSON = ["Content-Type: application/json"]
# Dollars per million tokens: 1,000 in and 100 out cost a fifth of a cent.
PRICES = "[providers.{}.prices]\n'm' = [1.0, 10.0]"
COST = 0.002
COUNTED = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
USED = event({"choices": [], "usage": COUNTED})
STREAM: list[Step] = [
    HEAD,
    delta(content="Hi"),
    delta("stop"),
    USED,
    DONE,
    b"0\r\n\r\n",
]
WHOLE = answers(
    200,
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi"},
                "finish_reason": "stop",
            }
        ],
        "usage": COUNTED,
    },
    JSON,
)
VECTORS = answers(
    200,
    {
        "object": "list",
        "model": "m",
        "usage": {"prompt_tokens": 2000, "total_tokens": 2000},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    },
    JSON,
)
ASKED = {"model": "m", "provider": "One"}
MESSAGE = {**ASKED, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
SEEN = {"stream_options": {"include_usage": True}}
# Each surface, what is sent there, and what its upstream answers.
SURFACES: list[tuple[str, dict[str, Any], list[Step]]] = [
    (CHAT, hello("One"), WHOLE),
    (CHAT, hello("One"), STREAM),
    (CHAT, hello("One", stream=True, **SEEN), STREAM),
    ("/v1/completions", {**ASKED, "prompt": "x"}, STREAM),
    ("/v1/completions", {**ASKED, "prompt": "x", "stream": True, **SEEN}, STREAM),
    ("/v1/completions", {**ASKED, "prompt": ["x"]}, STREAM),
    ("/v1/messages", MESSAGE, STREAM),
    ("/v1/messages", {**MESSAGE, "stream": True}, STREAM),
    ("/v1/responses", {**ASKED, "input": "x"}, STREAM),
    ("/v1/responses", {**ASKED, "input": "x", "stream": True}, STREAM),
    ("/v1/embeddings", {**ASKED, "input": "x"}, VECTORS),
]


def usages(body: bytes) -> list[Any]:
    """Return every usage that has a cost, wherever it stands in an answer."""
    if body.startswith(b"{"):
        payloads = [json.loads(body)]
    else:
        lines = [line for line in body.split(b"\n") if line.startswith(b"data: {")]
        payloads = [json.loads(line.removeprefix(b"data: ")) for line in lines]
    tops = [each.get("response") or each for each in payloads]
    return [each["usage"] for each in tops if "cost" in (each.get("usage") or {})]


async def rows(me: Client, query: str = "", key: str = "") -> list[Any]:
    got = await me.get(f"/v1/usage{query}", headers=key_of(key) if key else {})
    assert (got.status, got.json["object"]) == (200, "list")
    return list(got.json["data"])


@pytest.mark.parametrize(("path", "body", "answer"), SURFACES)
async def test_cost_is_shown_where_usage_is(
    serve: Serve,
    make_upstream: MakeUpstream,
    path: str,
    body: dict[str, Any],
    answer: list[Step],
) -> None:
    """Each answer says once what it cost; the race's story and the sums agree."""
    upstream = await make_upstream(answer)
    me = await serve(upstream.table("One"), PRICES.format("One"))

    got = await me.request("POST", path, json=body)
    story = await me.race(got)
    (row,) = await rows(me)

    (usage,) = usages(got.body)
    assert usage["cost"] == story["dollars"] == row["dollars"] == COST
    assert (row["requests"], row["unpriced_requests"]) == (1, 0)
    assert row["input_tokens"] + 10 * row["output_tokens"] == 2000


@pytest.mark.parametrize("stream", [False, True])
async def test_cost_where_messages_pass(
    serve: Serve, make_upstream: MakeUpstream, *, stream: bool
) -> None:
    """An upstream of the same API is passed on; the cost is added to its usage."""
    upstream = await make_upstream(script(THEIRS))
    table = upstream.table("One").replace('"openai"', '"anthropic"')
    me = await serve(table, PRICES.format("One"))

    got = await me.request("POST", "/v1/messages", json={**MESSAGE, "stream": stream})
    (row,) = await rows(me)

    (usage,) = usages(got.body)
    assert usage["cost"] == row["dollars"] > 0
    assert usage["output_tokens"] == row["output_tokens"]


@pytest.mark.parametrize("stream", [False, True])
async def test_cost_where_responses_pass(
    serve: Serve, make_upstream: MakeUpstream, *, stream: bool
) -> None:
    """Likewise; the response that is stored has it, too."""
    upstream = await make_upstream(responses(Text("Hi")))
    me = await serve(upstream.table("One", responses="always"), PRICES.format("One"))

    body = {**ASKED, "input": "x", "stream": stream}
    got = await me.request("POST", "/v1/responses", json=body)
    (row,) = await rows(me)
    kept = got.json if not stream else frames_end(got.body)
    stored = await me.get(f"/v1/responses/{kept['id']}")

    (usage,) = usages(got.body)
    assert usage["cost"] == row["dollars"] == stored.json["usage"]["cost"] > 0


def frames_end(body: bytes) -> Any:
    """Return the response object of a stream's last event."""
    return frames(b"data: " + body.rpartition(b"\ndata: ")[2])[0]["response"]


async def test_unpriced_is_counted_and_costs_nothing_known(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Neither the answer nor the story has a price; the sums say for how many."""
    upstream = await make_upstream(STREAM)
    me = await serve(upstream.table("One"))

    got = await me.chat("One")
    (row,) = await rows(me)

    assert "cost" not in got.json["usage"]
    assert (await me.race(got))["dollars"] is None
    assert (row["dollars"], row["unpriced_requests"]) == (0, 1)


async def test_what_the_upstream_says_it_cost(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Its own figure counts where the configuration has no price, and only there."""
    used = event({"choices": [], "usage": {**COUNTED, "cost": 0.5}})
    told = [HEAD, delta(content="Hi"), delta("stop"), used, DONE, b"0\r\n\r\n"]
    upstream = await make_upstream(told)
    tables = [upstream.table("One"), upstream.table("Two"), PRICES.format("Two")]
    me = await serve(*tables)

    costs = [(await me.chat(name)).json["usage"]["cost"] for name in ("One", "Two")]

    assert costs == [0.5, COST]
    assert [row["dollars"] for row in await rows(me)] == [0.5, COST]


async def test_losers_are_told_apart(serve: Serve, make_upstream: MakeUpstream) -> None:
    """Who was cut off, or failed after a token, has wasted tokens, which cost money."""
    broken = [HEAD, delta(content="a"), delta(content="b"), None]
    first = await make_upstream(broken)
    second = await make_upstream(STREAM)
    tables = [first.table("One"), second.table("Two")]
    prices = [PRICES.format("One"), PRICES.format("Two")]
    me = await serve("[race]\nstrategy = 'fallback'", *tables, *prices)

    got = await me.chat("One Two")
    one, two = sorted(await rows(me), key=lambda row: str(row["provider"]))
    story = await me.race(got)

    assert got.said == "Hi"
    assert (one["requests"], one["wasted_tokens_at_least"]) == (0, 2)
    assert (one["dollars"], one["dollars_wasted"]) == (0, 0.00002)
    assert (two["requests"], two["wasted_tokens_at_least"]) == (1, 0)
    assert (story["dollars"], story["dollars_wasted"]) == (COST, 0.00002)


async def test_what_came_counts_where_nothing_was_counted(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    A stream that ends without usage, one that breaks off, one whose client has left.
    """
    words = [delta(content=word) for word in "abc"]
    silent = await make_upstream([HEAD, *words, delta("stop"), DONE, b"0\r\n\r\n"])
    dying = await make_upstream([HEAD, *words, None])
    endless = await make_upstream([HEAD, *words, ...])
    made = {"Silent": silent, "Dying": dying, "Endless": endless}
    me = await serve(*(up.table(name) for name, up in made.items()))

    await me.chat("Silent")
    async with client(me.url) as alone:
        await alone.chat("Dying", stream=True)
    async with me.open_chat("Endless") as answer:
        while b'"c"' not in await answer.content.readline():
            pass
        name = answer.headers["X-Request-ID"]
    assert (await me.race(name))["outcome"] == "client left"

    told = {row["provider"]: row for row in await rows(me)}
    assert {name: row["output_tokens"] for name, row in told.items()} == {
        "Silent": 3,
        "Dying": 3,
        "Endless": 3,
    }
    assert {row["requests"] for row in told.values()} == {1}


async def test_images_count_without_tokens(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A price by the token says nothing of them."""
    sound = answers(200, raw=b"ID3sound", headers=["Content-Type: audio/mpeg"])
    upstream = await make_upstream(sound)
    me = await serve(upstream.table("One"), PRICES.format("One"))

    body = {**ASKED, "input": "x", "voice": "alloy"}
    await me.request("POST", "/v1/audio/speech", json=body)

    (row,) = await rows(me)
    assert (row["requests"], row["output_tokens"]) == (1, 0)
    assert (row["dollars"], row["unpriced_requests"]) == (0, 1)


async def test_each_key_sees_its_own(serve: Serve, make_upstream: MakeUpstream) -> None:
    """An admin sees all; the sums are by what is wanted, of the days that are."""
    upstream = await make_upstream(STREAM)
    me = await serve(AUTH, upstream.table("One"), PRICES.format("One"))
    for key in ("mine", "mine", "other"):
        await me.request("POST", CHAT, json=hello("One"), headers=key_of(key))

    today = datetime.now(UTC).strftime("%Y-%m-%d")
    (mine,) = await rows(me, key="mine")
    all_of_them = await rows(me, "?by=key", "admin")
    (sum_of_all,) = await rows(me, f"?by=provider,day&since={today}", "admin")
    none = await rows(me, "?until=2020-01-01", "admin")

    assert mine == {
        "key": "mine",
        "provider": "One",
        "model": "m",
        "day": today,
        "requests": 2,
        "input_tokens": 2000,
        "output_tokens": 200,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "wasted_tokens_at_least": 0,
        "dollars": 2 * COST,
        "dollars_wasted": 0.0,
        "unpriced_requests": 0,
    }
    assert {row["key"]: row["requests"] for row in all_of_them} == {
        "mine": 2,
        "other": 1,
    }
    assert (sum_of_all["key"], sum_of_all["model"]) == (None, None)
    assert (sum_of_all["requests"], none) == (3, [])
    assert (await me.get("/v1/usage")).status == 401


async def test_as_csv(serve: Serve, make_upstream: MakeUpstream) -> None:
    """The same rows as a table, with a line of names."""
    upstream = await make_upstream(STREAM)
    me = await serve(upstream.table("One"))
    await me.chat("One")

    got = await me.get("/v1/usage?format=csv&by=provider")
    (row,) = csv.DictReader(StringIO(got.body.decode()))
    (listed,) = await rows(me, "?by=provider")

    assert got.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert row == {
        name: "" if value is None else str(value) for name, value in listed.items()
    }


@pytest.mark.parametrize("query", ["by=person", "since=today", "format=xml"])
async def test_bad_questions(serve: Serve, query: str) -> None:
    """They are refused, naming the parameter."""
    me = await serve()

    got = await me.get(f"/v1/usage?{query}")

    assert (got.status, got.error["param"]) == (400, query.partition("=")[0])


async def test_it_outlives_the_server(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """What was used is in the file once the server has stopped, and is added to."""
    upstream = await make_upstream(STREAM)
    path = tmp_path / "usage.sqlite"
    tables = [upstream.table("One"), f"[usage]\npath = '{path}'"]
    for times in (1, 2):
        server = await start_server(*tables)
        async with client(server.url) as me:
            await me.chat("One")
            (row,) = await rows(me)
            assert row["requests"] == times
        assert await server.stop() == 0

    with closing(sqlite3.connect(path)) as stored:
        assert stored.execute("SELECT requests FROM usage").fetchall() == [(2,)]


async def test_locked_file_loses_nothing(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """What can't be stored is kept, told in the log and at /readyz, stored later."""
    upstream = await make_upstream(STREAM)
    path = tmp_path / "usage.sqlite"
    server = await start_server(upstream.table("One"), f"[usage]\npath = '{path}'")
    async with client(server.url) as me:
        await me.chat("One")
        assert len(await rows(me)) == 1  # the file is there
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await me.chat("One")
            await server.logged("usage can't be stored")
            ready = await me.get("/readyz")
            assert (ready.status, ready.json["status"]) == (200, "degraded")
            assert "locked" in ready.json["not_kept"]["usage"]
            (row,) = await rows(me)
            assert row["requests"] == 2
            other.execute("ROLLBACK")
        await server.logged("usage is stored again")
        assert (await me.get("/readyz")).json["status"] == "ok"
    assert await server.stop() == 0

    with closing(sqlite3.connect(path)) as stored:
        assert stored.execute("SELECT requests FROM usage").fetchall() == [(2,)]


@pytest.mark.parametrize("path", ["", "usage.sqlite"])
async def test_several_workers_add_up(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path, path: str
) -> None:
    """Whichever worker is asked tells of all of them, also of one that was killed."""
    upstream = await make_upstream(STREAM)
    file = str(tmp_path / path) if path else ""
    server = await start_server(
        upstream.table("One"),
        f"[usage]\npath = '{file}'",
        arguments=["--workers", "3"],
    )
    await server.logged("serving", times=3)

    async def one() -> None:
        async with client(server.url) as me:
            await me.chat("One")

    async def many() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(one())

    await many()
    os.kill(min(children(server.process.pid)), signal.SIGKILL)
    await server.logged("serving", times=4)
    await many()

    for _ in range(6):
        async with client(server.url) as me:
            (row,) = await rows(me)
            assert (row["requests"], row["input_tokens"]) == (60, 60_000)
    assert await server.stop() == 0
    if path:
        with closing(sqlite3.connect(file)) as stored:
            assert stored.execute("SELECT requests FROM usage").fetchall() == [(60,)]
