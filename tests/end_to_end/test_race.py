"""The race on real sockets, through a real server process: contract, section 5."""

import asyncio
import random

import pytest

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Client
from tests.rig.upstream import (
    DONE,
    END,
    HEAD,
    ROLE,
    Step,
    answers,
    chunked,
    delta,
    event,
    says,
)

NO = {"error": {"message": "no", "code": "bad_x"}}
BUSY = {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}


async def test_first_token_wins_not_first_headers(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    A speaks headers and a role at once, its first text a second later; B sends headers
    after 200 ms and text 10 ms later. B always wins, whatever the order, and A is hung
    up on before it has said anything.
    """
    eager = await make_upstream([HEAD, ROLE, 1.0, *says("A")[2:]])
    steady = await make_upstream(
        [0.2, HEAD, 0.01, delta(content="B"), delta("stop"), DONE, END]
    )
    client = await serve(eager.table("Eager"), steady.table("Steady"))
    won = []

    async def one() -> None:
        order = " ".join(random.sample(["Eager", "Steady"], 2))
        answer = await client.chat(order, stream=True)
        won.append((answer.headers["X-Provider"], answer.said))

    for _ in range(25):
        await asyncio.gather(*(one() for _ in range(40)))

    assert won == [("Steady", "B")] * 1000
    async with asyncio.timeout(10):
        for _ in range(1000):
            await eager.hung_up.get()


async def test_stream_has_the_shape_that_openai_gives_it(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    One id, created and model, the upstream's own; the winner's id in every chunk; the
    role in the first delta only; one finish_reason; no usage unless asked; [DONE].
    """
    upstream = await make_upstream(says("Hel", "lo"))
    client = await serve(upstream.table("One"))

    *chunks, done = (await client.chat("One", stream=True)).frames

    assert done == "[DONE]"
    same = {(c["id"], c["created"], c["model"], c["provider"]) for c in chunks}
    assert same == {("chatcmpl-1", 1700000000, "upstream-model", "One")}
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]
    assert not any("usage" in chunk for chunk in chunks)


async def test_usage_comes_last_for_who_asks(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """With stream_options.include_usage, a last chunk with no choices has the usage."""
    client = await serve((await make_upstream(says("Hi"))).table("One"))

    options = {"include_usage": True}
    answer = await client.chat("One", stream=True, stream_options=options)

    *_, last, done = answer.frames
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 5)
    assert done == "[DONE]"


async def test_whole_answer_is_put_together_from_the_stream(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Without `stream`, the client gets one completion, with usage and the winner."""
    upstream = await make_upstream(says("Hel", "lo"))
    client = await serve(upstream.table("One"))

    answer = await client.chat("One")

    assert answer.said == "Hello"
    assert answer.json["object"] == "chat.completion"
    assert answer.json["usage"]["total_tokens"] == 5
    assert answer.json["provider"] == answer.headers["X-Provider"] == "One"
    assert 'desc="won"' in answer.headers["Server-Timing"]


async def test_gateway_fields_stay_here_and_unknown_ones_go_on(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """`provider` and `race` are ours; a field that we do not know is the upstream's."""
    upstream = await make_upstream(says("Hi"))
    client = await serve(upstream.table("One", api_key="sk-of-the-provider"))

    await client.chat("One", race={"max_parallel": 1}, top_k=7)

    (request,) = upstream.requests
    assert request.json["top_k"] == 7
    assert not {"provider", "race"} & request.json.keys()
    assert request.headers["authorization"] == "Bearer sk-of-the-provider"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "bad",
    [
        answers(500, {"error": {"message": "broken"}}),
        answers(200, {"error": {"message": "broken"}}),
        [HEAD, ROLE, DONE, END],
        [HEAD, event({"error": {"message": "broken"}}), END],
        [HEAD, chunked(b"data: {not json\n\n"), END],
        [HEAD, ROLE, b""],
        [b""],
    ],
    ids=["500", "error with 200", "no token", "error frame", "garbage", "cut", "reset"],
)
async def test_fault_of_one_racer_is_not_seen(
    serve: Serve, make_upstream: MakeUpstream, bad: list[Step], stream: bool
) -> None:
    """Whatever one racer does instead of speaking, the other's answer comes whole."""
    broken = await make_upstream(bad)
    healthy = await make_upstream([0.05, *says("Hel", "lo")])
    client = await serve(broken.table("Broken"), healthy.table("Healthy"))

    answer = await client.chat("Broken Healthy", stream=stream)

    assert (answer.status, answer.said) == (200, "Hello")
    assert answer.headers["X-Provider"] == "Healthy"
    assert "Broken;dur=" in answer.headers["Server-Timing"]


@pytest.mark.parametrize(
    ("scripts", "status", "code"),
    [
        (
            [answers(400, {"error": {"message": "no", "code": "bad_x"}})] * 2,
            400,
            "bad_x",
        ),
        ([answers(429, BUSY, ["Retry-After: 7"])] * 2, 429, "rate_limit_exceeded"),
        ([[...], [HEAD, ROLE, ...]], 504, "timeout"),
        ([answers(400, {}), answers(500, {})], 502, "all_providers_failed"),
        ([answers(401, {}), answers(401, {})], 502, "all_providers_failed"),
    ],
    ids=["refused", "busy", "slow", "mixed", "denied"],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_all_failures_are_told_together(
    serve: Serve,
    make_upstream: MakeUpstream,
    scripts: list[list[Step]],
    status: int,
    code: str,
    stream: bool,
) -> None:
    """Where nobody wins, all failures together make the status, and all are named."""
    a, b = [await make_upstream(script) for script in scripts]
    limit = "[race]\nfirst_token_timeout = 0.3"
    client = await serve(limit, a.table("A"), b.table("B"))

    answer = await client.chat("A B", stream=stream)

    assert (answer.status, answer.error["code"]) == (status, code)
    assert {loss["id"] for loss in answer.error["providers"]} == {"A", "B"}
    assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)


async def test_winner_that_dies_in_a_stream_ends_it_with_an_error(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    What was shown can't be taken back: an error frame comes, no finish_reason, no
    [DONE], and the connection closes.
    """
    dying = await make_upstream([HEAD, delta(content="Hel"), b""])
    client = await serve(dying.table("Dying"))

    answer = await client.chat("Dying", stream=True)

    said, error = answer.frames
    assert said["choices"][0]["delta"]["content"] == "Hel"
    assert error["error"]["code"] == "stream_interrupted"
    assert error["error"]["providers"][0]["phase"] == "stream"
    assert b'finish_reason":"' not in answer.body


async def test_winner_that_dies_unseen_is_replaced(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Not streamed, nothing was shown: the racer that was cut off is asked again."""
    gate = asyncio.Event()
    dying = await make_upstream([HEAD, gate, delta(content="Hel"), 0.05, b""])
    other = await make_upstream([0.2, *says("Good")])
    client = await serve(dying.table("Dying"), other.table("Other"))

    asking = asyncio.create_task(client.chat("Dying Other"))
    await other.arrived.get()
    gate.set()
    answer = await asking

    assert (answer.said, answer.headers["X-Provider"]) == ("Good", "Other")
    assert len(other.requests) == 2


async def hang_up_after(client: Client, until: asyncio.Event, stream: bool) -> None:
    """Ask both, and go away when *until* is set."""
    asking = asyncio.create_task(client.chat("A B", stream=stream))
    await until.wait()
    asking.cancel()
    await asyncio.wait({asking})


@pytest.mark.parametrize("stream", [True, False])
async def test_client_that_goes_away_cuts_every_racer_off(
    serve: Serve, make_upstream: MakeUpstream, stream: bool
) -> None:
    """Nobody generates for a client that is gone: both upstreams are hung up on."""
    a, b = await make_upstream([HEAD, ROLE, ...]), await make_upstream([...])
    client = await serve(a.table("A"), b.table("B"))
    asked = asyncio.Event()
    leaving = asyncio.create_task(hang_up_after(client, asked, stream))

    await asyncio.gather(a.arrived.get(), b.arrived.get())
    asked.set()

    async with asyncio.timeout(5):
        await asyncio.gather(a.hung_up.get(), b.hung_up.get())
    await leaving


@pytest.mark.parametrize("stream", [True, False])
async def test_client_that_goes_away_later_cuts_the_winner_off(
    serve: Serve, make_upstream: MakeUpstream, stream: bool
) -> None:
    """The same when the winner speaks already."""
    winner = await make_upstream([HEAD, delta(content="Hel"), ...])
    client = await serve(winner.table("A"))
    asking = asyncio.create_task(client.chat("A", stream=stream))

    await winner.arrived.get()
    await winner.played.wait()
    asking.cancel()

    async with asyncio.timeout(5):
        await winner.hung_up.get()


async def test_headers_are_held_and_then_pings_begin(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    After header_hold without a winner the 200 goes out, comment lines follow each
    ping_interval, and the answer comes when it comes.
    """
    speak = asyncio.Event()
    slow = await make_upstream([speak, *says("Hi")])
    settings = "[server]\nheader_hold = 0.1\nping_interval = 0.1"
    client = await serve(settings, slow.table("Slow"))

    async with client.open_chat("Slow") as answer:
        assert answer.status == 200
        assert await answer.content.readline() == b": ping\n"
        speak.set()
        assert b"[DONE]" in await answer.read()


async def test_failure_after_held_headers_is_an_error_frame(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A 200 that is out can't be taken back: the error comes in the stream."""
    failing = await make_upstream([0.3, *answers(500, {"error": "broken"})])
    client = await serve("[server]\nheader_hold = 0.1", failing.table("Bad"))

    answer = await client.chat("Bad", stream=True)

    (frame,) = answer.frames
    assert answer.status == 200
    assert frame["error"]["code"] == "all_providers_failed"
    assert frame["error"]["providers"][0]["message"] == "broken"


async def test_ping_fills_a_silence_after_the_first_token(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A winner that pauses does not leave the client without a sign of life."""
    go_on = asyncio.Event()
    upstream = await make_upstream([HEAD, delta(content="Hm"), go_on, *says("!")[2:]])
    client = await serve("[server]\nping_interval = 0.1", upstream.table("One"))

    async with client.open_chat("One") as answer:
        assert (await answer.content.readuntil(b"\n\n")).startswith(b"data: ")
        assert await answer.content.readline() == b": ping\n"
        go_on.set()
        assert b"[DONE]" in await answer.read()


async def test_duplicates_race_once(serve: Serve, make_upstream: MakeUpstream) -> None:
    """A provider that is named twice is asked once, whatever the spelling."""
    upstream = await make_upstream(says("Hi"))
    client = await serve(upstream.table("My-Own"))

    await client.chat("My-Own myown MY_OWN")

    assert len(upstream.requests) == 1


async def test_providers_in_the_path(serve: Serve, make_upstream: MakeUpstream) -> None:
    """/api/A+B/… names the racers for clients that set nothing but a base URL."""
    a = await make_upstream([...])
    b = await make_upstream([a.asked, *says("B")])
    client = await serve(a.table("A"), b.table("B"))
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}

    answer = await client.request("POST", "/api/A+B/chat/completions", json=body)

    assert answer.headers["X-Provider"] == "B"
    async with asyncio.timeout(5):
        await a.hung_up.get()


async def test_deadline_ends_a_race(serve: Serve, make_upstream: MakeUpstream) -> None:
    """A client's own deadline ends its race with a 504, and cuts everybody off."""
    silent = await make_upstream([...])
    client = await serve(silent.table("Silent"))

    answer = await client.chat("Silent", race={"deadline": 0.2})

    assert (answer.status, answer.error["code"]) == (504, "deadline_exceeded")
    async with asyncio.timeout(5):
        await silent.hung_up.get()
