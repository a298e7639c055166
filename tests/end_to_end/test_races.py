"""The story of every race: at /v1/races, live, and in a file; and what is not in it."""

import asyncio
from typing import Any

import pytest
from attrs import frozen

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import CHAT, Answer, Client, hello
from tests.rig.pictures import generated, picture
from tests.rig.upstream import HEAD, ROLE, Upstream, answers, delta, says

JSON = ["Content-Type: application/json"]
VECTORS = {
    "object": "list",
    "model": "e",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
}


def has(told: Any, **facts: Any) -> bool:
    """Say whether a story, or a racer's part of it, has these."""
    assert {name: told[name] for name in facts} == facts
    return True


def lanes(story: Any) -> dict[str, Any]:
    return {lane["id"]: lane for lane in story["racers"]}


async def test_other_policies_on_paper(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    The last races can be run again by another policy, and are summed up by provider;
    what is no policy is a 400 that names the field.
    """
    never, good = await make_upstream([...]), await make_upstream(says("Good"))
    me = await serve(never.table("Never"), good.table("Good"))
    for _ in range(3):
        await me.chat("Good Never", stream=True)

    async def replayed(**policy: Any) -> Answer:
        return await me.request("POST", "/v1/races/replay", json=policy)

    told = (await replayed(strategy="fallback")).json
    assert has(told, object="replay", races=3, unknown=[])
    assert (told["recorded"]["calls"], told["replayed"]["calls"]) == (6, 3)
    for field, wrong in {
        "strategy": "luck",
        "hedge_delay": "p0",
        "hedge_budget": -1,
        "parallel": 0,
    }.items():
        refused = await replayed(**{"strategy": "hedge", field: wrong})
        assert (refused.status, refused.error["param"]) == (400, field)
    summary = (await me.get("/v1/races/summary")).json["data"]
    assert [(each["id"], each["minutes"][0]["wins"]) for each in summary] == [
        ("Good", 3),
        ("Never", 0),
    ]


TIMES = ("start_ms", "connect_ms", "headers_ms", "first_token_ms", "end_ms")


@pytest.mark.parametrize("stream", [True, False])
async def test_who_ran_and_what_became_of_them(
    serve: Serve, make_upstream: MakeUpstream, stream: bool
) -> None:
    """
    A race has its request's facts, each racer its times, in their order; losers tell
    why they lost, how long hanging up took, and what they had said at least.
    """
    broken = await make_upstream(answers(500, {"error": "broken"}))
    talker = await make_upstream([HEAD, ROLE, ...])
    good = await make_upstream([0.1, HEAD, delta(content="a"), *says("b")[2:]])
    me = await serve(broken.table("Bad"), talker.table("Slow"), good.table("Good"))

    answer = await me.chat("Bad Slow Good", stream=stream)
    story = await me.race(answer)

    assert has(
        story,
        object="race",
        id=answer.headers["X-Request-ID"],
        path=CHAT,
        task="chat",
        model="m",
        stream=stream,
        key=None,
        strategy="race",
        outcome="won",
        code=None,
        winner="Good",
    )
    bad, slow, won = (lanes(story)[name] for name in ("Bad", "Slow", "Good"))
    assert has(bad, outcome="failed", reason="upstream_error", phase="headers")
    assert has(bad, status=500, tokens_wasted_at_least=0)
    assert has(slow, outcome="cut off", reason="Good was first", first_token_ms=None)
    assert has(slow, tokens_wasted_at_least=0, chunks=1)
    assert 0 <= slow["closed_ms"] < 1000
    assert won["bytes"] > slow["bytes"] > bad["bytes"] == 0
    assert "tokens_wasted_at_least" not in won
    of_winner = [won[time] for time in TIMES]
    assert of_winner == sorted(of_winner)
    assert story["ms"] >= won["end_ms"]
    assert story["ttft_ms"] == won["first_token_ms"] >= 100


@frozen
class Field:
    """A server whose providers end in the ways that a race can."""

    client: Client
    upstreams: dict[str, Upstream]

    async def story(self, providers: str, **more: Any) -> Any:
        return await self.client.race(await self.client.chat(providers, **more))

    async def left(self, names: str, until: asyncio.Queue[Any], **more: Any) -> Any:
        """Ask, and go away when *until* has something; return the story."""
        name = f"left-{names.replace(' ', '-')}"
        body, headers = hello(names, **more), {"X-Request-ID": name}
        asking = self.client.request("POST", CHAT, json=body, headers=headers)
        task = asyncio.create_task(asking)
        async with asyncio.timeout(10):
            await until.get()
        task.cancel()
        await asyncio.wait({task})
        return await self.client.race(name)


@pytest.fixture
async def field(serve: Serve, make_upstream: MakeUpstream) -> Field:
    word = [HEAD, delta(content="Hel"), delta(content="lo")]
    upstreams = {
        "Good": await make_upstream([0.05, *says("Good")]),
        "Dying": await make_upstream([*word, b""]),
        "Hasty": await make_upstream([*word, 0.05, b""]),
        "Talking": await make_upstream([*word, ...]),
        "Silent": await make_upstream([...]),
        "Mute": await make_upstream([...]),
        "Busy": await make_upstream(answers(429, {})),
    }
    tables = (upstream.table(name) for name, upstream in upstreams.items())
    return Field(await serve(*tables), upstreams)


async def test_interrupted_stream(field: Field) -> None:
    """The winner has failed after all; its story says how far it came."""
    story = await field.story("Dying Silent", stream=True)

    assert has(story, outcome="failed", code="stream_interrupted", winner="Dying")
    dying = lanes(story)["Dying"]
    assert has(dying, outcome="failed", phase="stream", tokens_wasted_at_least=2)
    assert lanes(story)["Silent"]["reason"] == "Dying was first"
    assert (await field.client.stats("Dying"))["failures"] == 1


async def test_winner_that_was_replaced(field: Field) -> None:
    """Both rounds are told: who beat whom in the first, and who won in the end."""
    answer = await field.client.chat("Hasty Good")
    story = await field.client.race(answer)

    assert has(story, outcome="won", code=None, winner="Good")
    first, second = story["racers"][:2], story["racers"][2:]
    assert {lane["id"]: lane["outcome"] for lane in first} == {
        "Hasty": "failed",
        "Good": "cut off",
    }
    assert {lane["reason"] for lane in first} == {"unreachable", "Hasty was first"}
    assert [(lane["id"], lane["outcome"]) for lane in second] == [("Good", "won")]
    assert answer.headers["Server-Timing"].count("Good") == 1
    assert timing(answer) == {"Hasty": "failed: unreachable", "Good": "won"}


@pytest.mark.parametrize("stream", [True, False])
async def test_client_that_left(field: Field, stream: bool) -> None:
    """Before or after the first token: that is told, and nobody has failed of it."""
    story = await field.left("Mute", field.upstreams["Mute"].arrived, stream=stream)
    assert has(story, outcome="client left", code=None, winner=None)
    (mute,) = story["racers"]
    assert has(mute, outcome="cut off", reason="the client left")
    assert "closed_ms" not in mute
    assert has(await field.client.stats("Mute"), requests=0, losses=0, failures=0)

    # Silent is hung up on once Talking has won.
    decided = field.upstreams["Silent"].hung_up
    story = await field.left("Talking Silent", decided, stream=stream)
    assert has(story, outcome="client left", winner="Talking")
    assert has(lanes(story)["Talking"], outcome="won", reason=None)
    assert lanes(story)["Talking"]["tokens_wasted_at_least"] in {1, 2}
    assert lanes(story)["Silent"]["reason"] == "Talking was first"
    assert has(await field.client.stats("Talking"), wins=1, failures=0)
    assert has(await field.client.stats("Silent"), losses=1, failures=0)


async def test_errors(field: Field) -> None:
    """They have a story, and a server-timing with each racer, as answers have."""
    answer = await field.client.chat("Silent", race={"deadline": 0.1})
    story = await field.client.race(answer)
    assert has(story, outcome="failed", code="deadline_exceeded", winner=None)
    assert story["racers"][0]["reason"] == "deadline_exceeded"
    assert (answer.status, timing(answer)) == (504, {"Silent": "cut off"})

    answer = await field.client.chat("Busy", stream=True)
    story = await field.client.race(answer)
    assert has(story, outcome="failed", code="rate_limit_exceeded", winner=None)
    assert (answer.status, timing(answer)) == (429, {"Busy": "failed: rate_limited"})

    answer = await field.client.chat("Silent Good", stream=True)
    assert timing(answer) == {"Silent": "cut off", "Good": "won"}
    assert (await field.client.chat("Nobody")).headers.get("Server-Timing") is None


def timing(answer: Answer) -> dict[str, str]:
    """Return what a Server-Timing header says became of each racer."""
    found = {}
    for entry in answer.headers["Server-Timing"].split(", "):
        name, duration, desc = entry.split(";")
        assert float(duration.removeprefix("dur=")) >= 0
        found[name] = desc.removeprefix("desc=").strip('"')
    return found


async def test_tasks(serve: Serve, make_upstream: MakeUpstream) -> None:
    """Images and embeddings are raced and told like chats, with their own paths."""
    broken = await make_upstream(answers(500, {}))
    painter = await make_upstream(answers(200, generated(picture()), JSON))
    embedder = await make_upstream(answers(200, VECTORS, JSON))
    me = await serve(broken.table("Bad"), painter.table("P"), embedder.table("E"))

    body = {"prompt": "x", "model": "flux", "response_format": "b64_json"}
    path = "/v1/images/generate"
    image = await me.request("POST", path, json={**body, "provider": "Bad P"})
    story = await me.race(image)
    assert has(story, task="images", path=path, model="flux", stream=False)
    assert has(story, outcome="won", winner="P")
    assert lanes(story)["P"]["bytes"] > 100
    assert timing(image) == {"Bad": "failed: upstream_error", "P": "won"}

    path = "/api/Bad+E/embeddings"
    vectors = await me.request("POST", path, json={"model": "e", "input": "x"})
    story = await me.race(vectors)
    assert has(story, task="embeddings", path=path, model="e", winner="E")
    assert lanes(story)["Bad"]["tokens_wasted_at_least"] == 0
