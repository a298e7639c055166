"""Text completions with the official openai package, over racers of each dialect."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Client, frames
from tests.rig.upstream import DONE, END, HEAD, Step, answers, delta, event, says

PATH = "/v1/completions"
ONE = {"provider": "One"}
SMOL = {"provider": "SmolLM2"}


@asynccontextmanager
async def package(client: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    url = f"{client.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as made:
        yield made


def text(piece: str, finish_reason: str | None = None) -> bytes:
    """Return the event of a text completion's chunk."""
    choice = {"index": 0, "text": piece, "finish_reason": finish_reason}
    return event({"id": "cmpl-1", "object": "text_completion", "choices": [choice]})


def completes(*pieces: str) -> list[Step]:
    return [HEAD, *map(text, pieces), text("", "stop"), DONE, END]


def test_sync_embedded_goes_on_from_the_text(embedded_url: str) -> None:
    """The embedded model completes a text as such, and does not answer it."""
    with openai.OpenAI(base_url=f"{embedded_url}/v1", api_key="none") as it:
        made = it.completions.create(
            model="m",
            prompt="The capital of France is",
            max_tokens=2,
            temperature=0,
            echo=True,
            logprobs=1,
            extra_body=SMOL | {"echo": None},
        )
        (echoed,) = it.completions.create(
            model="m", prompt="one two", max_tokens=1, echo=True, extra_body=SMOL
        ).choices

    (choice,) = made.choices
    assert choice.text.startswith(" Paris")
    assert choice.finish_reason == "length"
    assert choice.logprobs is not None
    assert (choice.logprobs.tokens or [])[0] == " Paris"
    assert made.usage is not None
    assert made.usage.completion_tokens == 2
    assert echoed.text.startswith("one two")


async def test_embedded_several_prompts(embedded: Client) -> None:
    """Three prompts, raced between two engines, streamed and whole, by their index."""
    prompts = ["The capital of France is", "One, two, three,", "The sky is"]
    options: Any = {"model": "m", "prompt": prompts, "max_tokens": 3}
    options["extra_body"] = {"provider": "SmolLM2 Second"}

    async with package(embedded) as it:
        whole = await it.completions.create(temperature=0, **options)
        stream = await it.completions.create(
            stream=True,
            temperature=0,
            stream_options={"include_usage": True},
            **options,
        )
        chunks = [chunk async for chunk in stream]

    texts = ["", "", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert [choice.text for choice in whole.choices] == texts
    assert texts[0].startswith(" Paris")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 9


async def test_who_completes_and_who_chats(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    An upstream with `completions` gets the text, one without a chat; a gap goes to the
    former, too, unless it is known to refuse one.
    """
    one = await make_upstream(completes(" upon", " a time"))
    other = await make_upstream(says(" there", " was"))
    client = await serve(
        one.table("One", completions=True),
        one.table("Gapless", completions=True, unsupported_fields=["suffix"]),
        other.table("Other"),
    )
    body = {"model": "m", "prompt": "Once", "max_tokens": 5, "top_k": 3}

    made = [
        await client.request("POST", PATH, json=body | {"provider": "One"}),
        await client.request("POST", "/api/Other/completions", json=body),
        await client.request("POST", PATH, json=body | ONE | {"suffix": "end"}),
    ]
    one.script = says("x")
    gap = body | {"provider": "Gapless", "suffix": "end"}
    await client.request("POST", PATH, json=gap)

    said = [answer.json["choices"][0]["text"] for answer in made]
    assert said == [" upon a time", " there was", " upon a time"]
    completed, filled, asked = one.requests
    assert completed.path == "/v1/completions"
    assert completed.json == {
        **body,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert filled.json["suffix"] == "end"
    assert asked.path == other.requests[0].path == "/v1/chat/completions"
    assert "suffix" not in asked.json
    assert other.requests[0].json["messages"] == [{"role": "user", "content": "Once"}]
    assert made[1].headers["X-Provider"] == made[1].json["provider"] == "Other"


ANTHROPIC = [
    {
        "type": "message_start",
        "message": {"model": "claude", "usage": {"input_tokens": 1}},
    },
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": " there was"},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 2},
    },
    {"type": "message_stop"},
]
GEMINI = [
    {"candidates": [{"content": {"parts": [{"text": " there was"}], "role": "model"}}]},
    {"candidates": [{"finishReason": "STOP"}]},
]


@pytest.mark.parametrize(
    ("kind", "events"), [("anthropic", ANTHROPIC), ("gemini", GEMINI)]
)
async def test_other_dialects(
    serve: Serve, make_upstream: MakeUpstream, kind: str, events: list[Any]
) -> None:
    """Who speaks no OpenAI completes in a chat, and a stream is a stream of texts."""
    upstream = await make_upstream([HEAD, *map(event, events), END])
    keys = {"kind": kind, "base_url": upstream.url, "default_model": "m"}
    table = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    client = await serve("[providers.One]", *table)

    async with package(client) as it:
        stream = await it.completions.create(
            model="m", prompt="Once", stream=True, extra_body=ONE
        )
        chunks = [chunk async for chunk in stream]

    assert "".join(c.choices[0].text for c in chunks) == " there was"
    assert [c.choices[0].finish_reason for c in chunks][-1] == "stop"
    assert {c.object for c in chunks} == {"text_completion"}


async def test_stream_ends_as_openais_does(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """`[DONE]` after a whole answer; an error and no `[DONE]` after a broken one."""
    upstream = await make_upstream(says("Hi"))
    client = await serve(upstream.table("One"))
    body = {"model": "m", "prompt": "Once", "stream": True, **ONE}

    refused = await client.request("POST", PATH, json=body | {"prompt": [1, 2]})
    whole = frames((await client.request("POST", PATH, json=body)).body)
    upstream.script = [HEAD, delta(content="Hi"), b""]
    broken = frames((await client.request("POST", PATH, json=body)).body)

    assert whole[-1] == "[DONE]"
    assert broken[-1]["error"]["code"] == "stream_interrupted"
    assert (refused.status, refused.error["param"]) == (400, "prompt")


async def test_racers_answer_all_prompts_or_are_out(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """One failure puts a racer out, and another one answers; its streams are closed."""
    bad = await make_upstream(answers(500, {"error": "no"}))
    bad.scripts = [[HEAD, delta(content="x"), ...]]
    good = await make_upstream(says("Hi"))
    client = await serve(bad.table("Bad"), good.table("Good"))
    body: Any = {"model": "m", "prompt": ["a", "b"], "provider": "Bad Good"}
    body |= {"race": {"strategy": "fallback"}}

    answer = await client.request("POST", PATH, json=body)

    assert [c["text"] for c in answer.json["choices"]] == ["Hi", "Hi"]
    assert answer.headers["X-Provider"] == "Good"
    assert answer.json["usage"]["total_tokens"] == 10
    async with asyncio.timeout(5):
        await bad.hung_up.get()
