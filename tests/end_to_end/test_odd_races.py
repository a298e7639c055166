"""Odd upstreams in a race: who wins, what is told of it, and who is charged."""

import json
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from tests.conftest import MakeUpstream, Serve
from tests.faults.oddities.writing import DEEP, PAUSE, choice, raw, stream
from tests.faults.surfaces import ASKED, CHAT, Asked, Told
from tests.rig.client import Client
from tests.rig.upstream import DONE, END, HEAD, ROLE, Step, answers, delta, event, says

SLOW = 0.3
DEEP_CHUNK = raw('{"choices":[{"index":0,"delta":{"content":"a","x":' + DEEP + "}}]}")
MUTE: Sequence[Step] = [HEAD, ROLE, delta("length"), DONE, END]
EACH = pytest.mark.parametrize("asked", ASKED, ids=[each.name for each in ASKED])
WHOLE = [each for each in ASKED if not each.stream]
STREAMED = [each for each in ASKED if each.stream]


async def ask(client: Client, asked: Asked, providers: str, **more: Any) -> Told:
    body = asked.request(providers, **more)
    async with client.session.post(client.url + asked.path, json=body) as answer:
        return asked.read(answer.status, await answer.text())


async def stats(client: Client, name: str) -> Any:
    async with client.session.get(f"{client.url}/v1/providers/{name}") as answer:
        return (await answer.json())["stats"]


async def racers(client: Client) -> list[Any]:
    async with client.session.get(f"{client.url}/v1/races") as answer:
        races: list[Any] = (await answer.json())["data"]
    return races


@EACH
async def test_odd_but_sound_wins(
    serve: Serve, make_upstream: MakeUpstream, asked: Asked
) -> None:
    """
    Who is odd but sound wins against who is slow, is counted as well, and never rests;
    what was put right stands in the story and in the record.
    """
    odd = stream(delta("stop", content="Red "), delta("stop", content="green"))
    client = await serve(
        (await make_upstream(odd)).table("Odd"),
        (await make_upstream([SLOW, *says("Slow")])).table("Slow"),
    )
    for _ in range(4):
        told = await ask(client, asked, "Slow Odd")
        assert (told.provider, told.text, told.finishes) == (
            "Odd",
            "Red green",
            ["stop"],
        )

    record = await stats(client, "Odd")
    assert (record["wins"], record["failures"], record["status"]) == (4, 0, "ready")
    assert record["notes"] == {"finish reason before the end": 4}
    for race in await racers(client):
        noted = {each["id"]: each.get("notes") for each in race["racers"]}
        assert noted == {"Odd": ["finish reason before the end"], "Slow": None}


@EACH
@pytest.mark.parametrize("strategy", ["race", "fallback", "hedge"])
async def test_wordless_loses(
    serve: Serve, make_upstream: MakeUpstream, asked: Asked, strategy: str
) -> None:
    """Whoever has a word wins against a sound answer without one, in every strategy."""
    client = await serve(
        (await make_upstream(MUTE)).table("Mute"),
        (await make_upstream([PAUSE, *says("Hi")])).table("Slow"),
    )
    told = await ask(client, asked, "Mute Slow", race={"strategy": strategy})

    assert (told.provider, told.text, told.finishes) == ("Slow", "Hi", ["stop"])
    record = await stats(client, "Mute")
    assert (record["failures"], record["status"]) == (0, "ready")


@EACH
@pytest.mark.parametrize("strategy", ["race", "fallback", "hedge"])
async def test_wordless_wins_where_all_fail(
    serve: Serve, make_upstream: MakeUpstream, asked: Asked, strategy: str
) -> None:
    """A sound answer without a word is better than no answer."""
    client = await serve(
        (await make_upstream(MUTE)).table("Mute"),
        (await make_upstream([PAUSE, *answers(503, {"error": "no"})])).table("Bad"),
    )
    told = await ask(client, asked, "Mute Bad", race={"strategy": strategy})

    assert (told.status, told.provider, told.text) == (200, "Mute", "")
    assert (told.finishes, told.ended) == (["length"], True)
    (race,) = await racers(client)
    assert (race["winner"], race["outcome"]) == ("Mute", "won")


@pytest.mark.parametrize("kind", ["answers", "streams"])
async def test_wordless_again_and_again(
    serve: Serve, make_upstream: MakeUpstream, kind: str
) -> None:
    """It stays so when its provider is asked for answers in one piece."""
    message = {"role": "assistant", "content": ""}
    choices = [{"index": 0, "message": message, "finish_reason": "length"}]
    script = MUTE if kind == "streams" else answers(200, {"choices": choices})
    upstream = await make_upstream(script)
    client = await serve(upstream.table("Mute"))

    for _ in range(25):
        told = await ask(client, Asked(CHAT, stream=False), "Mute")
        assert (told.status, told.text, told.finishes) == (200, "", ["length"])

    assert not upstream.requests[-1].json["stream"]
    record = await stats(client, "Mute")
    assert (record["wins"], record["failures"]) == (25, 0)


BROKEN_LATER: dict[str, Sequence[Step]] = {
    "a reason that says so": [delta("insufficient_system_resource")],
    "x_groq.error": [event({"choices": [], "x_groq": {"error": "over capacity"}})],
    "an error": [event({"error": {"message": "overloaded", "code": 503}})],
    "deep JSON": [DEEP_CHUNK],
    "no JSON": [raw("{oops")],
}


@pytest.mark.parametrize("asked", WHOLE, ids=[each.name for each in WHOLE])
@pytest.mark.parametrize("name", BROKEN_LATER)
async def test_broken_later(
    serve: Serve, make_upstream: MakeUpstream, asked: Asked, name: str
) -> None:
    """An answer that breaks before anything is shown is replaced by another's."""
    broken = stream(delta(content="Once"), PAUSE, *BROKEN_LATER[name])
    client = await serve(
        (await make_upstream(broken)).table("Broken"),
        (await make_upstream([SLOW, *says("Fine")])).table("Other"),
    )
    told = await ask(client, asked, "Broken Other")

    assert (told.status, told.provider, told.text) == (200, "Other", "Fine")


@pytest.mark.parametrize("asked", STREAMED, ids=[each.name for each in STREAMED])
@pytest.mark.parametrize("providers", ["Broken", "Broken Slow"])
async def test_next_request_after_a_broken_stream(
    serve: Serve, make_upstream: MakeUpstream, asked: Asked, providers: str
) -> None:
    """After an upstream's error a stream ends well, and its connection goes on."""
    broken = stream(delta(content="Hi"), PAUSE, *BROKEN_LATER["an error"])
    client = await serve(
        (await make_upstream(broken)).table("Broken"),
        (await make_upstream([SLOW, *says("Fine")])).table("Slow"),
    )
    made = []
    trace = aiohttp.TraceConfig()

    async def note(*_: Any) -> None:
        made.append(1)

    trace.on_connection_create_end.append(note)
    async with aiohttp.ClientSession(client.url, trace_configs=[trace]) as session:
        for _ in range(3):  # then it rests
            body = asked.request(providers)
            async with session.post(asked.path, json=body) as answer:
                told = asked.read(answer.status, await answer.text())
            assert ("overloaded" in told.error, told.ended) == (True, False)
    assert len(made) == 1


@EACH
async def test_too_deep_a_request(
    serve: Serve, make_upstream: MakeUpstream, asked: Asked
) -> None:
    """What can't be written for an upstream is the client's fault, and is so told."""
    upstream = await make_upstream(says("Hi"))
    client = await serve(upstream.table("One"))
    deep = json.loads(DEEP)
    for _ in range(4):
        told = await ask(client, asked, "One", metadata={"a": deep})
        assert told.status in (200, 400)

    record = await stats(client, "One")
    assert (record["failures"], record["status"]) == (0, "ready")
    assert record["requests"] == len(upstream.requests)


async def test_too_deep_embeddings(serve: Serve, make_upstream: MakeUpstream) -> None:
    """A task's body that can't be written is not sent, and charged to nobody."""
    upstream = await make_upstream(says("Hi"))
    client = await serve(upstream.table("One"))
    body = {"model": "m", "provider": "One", "input": json.loads(DEEP)}
    for _ in range(7):
        url = f"{client.url}/v1/embeddings"
        async with client.session.post(url, json=body) as answer:
            assert answer.status == 400

    record = await stats(client, "One")
    assert (record["requests"], record["failures"]) == (0, 0)
    assert record["status"] == "ready"
    assert not upstream.requests


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_refused_requests_are_no_failures(
    serve: Serve, make_upstream: MakeUpstream, status: int
) -> None:
    """A provider that refuses what a client has sent has not failed."""
    refusal = answers(status, {"error": {"message": "no such field"}})
    client = await serve((await make_upstream(refusal)).table("One"))
    for _ in range(5):
        told = await ask(client, Asked(CHAT, stream=False), "One")
        assert told.status == status

    record = await stats(client, "One")
    assert (record["requests"], record["failures"]) == (5, 0)
    assert record["status"] == "ready"


async def test_seals_before_the_first_token(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """What belongs to the answer and comes before its first token is kept in a race."""
    detail = {"type": "reasoning.encrypted", "data": "QQ", "index": 0}
    sealed = stream(
        ROLE,
        choice(delta={"reasoning_details": [detail]}),
        PAUSE,
        delta(content="Hi"),
        delta("stop"),
    )
    client = await serve(
        (await make_upstream(sealed)).table("One"),
        (await make_upstream([SLOW, *says("Slow")])).table("Slow"),
    )
    body = Asked(CHAT, stream=False).request("One Slow")
    async with client.session.post(client.url + CHAT, json=body) as answer:
        message = (await answer.json())["choices"][0]["message"]
    assert (message["content"], message["reasoning_details"]) == ("Hi", [detail])
