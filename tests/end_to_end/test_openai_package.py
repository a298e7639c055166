"""The official openai package over racers of every dialect, and our errors in it."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.conftest import MakeUpstream, Serve
from tests.rig import openai_events
from tests.rig.client import Client
from tests.rig.dialects import (
    CALLS,
    CITY,
    DIALECTS,
    FINE,
    OBJECT,
    PARIS,
    City,
    Speakers,
)
from tests.rig.pictures import generated, picture
from tests.rig.recording_relay import Tap
from tests.rig.upstream import DONE, END, HEAD, Step, answers, delta, says

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]
MODEL = "gpt-4o-mini"
NAMED = {"provider": "SmolLM2"}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture
def sync(embedded_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{embedded_url}/v1", api_key="none") as made:
        yield made


@pytest.fixture
async def package(embedded_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{embedded_url}/v1", api_key="none") as it:
        yield it


def test_sync_completion(sync: openai.OpenAI) -> None:
    """A whole answer, with its usage and the winner's id."""
    answer = sync.chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=8, extra_body=NAMED
    )

    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    assert answer.model_extra is not None
    assert answer.model_extra["provider"] == "SmolLM2"


def test_sync_stream(sync: openai.OpenAI) -> None:
    """A stream, raced between two; the role comes once, the finish once."""
    stream = sync.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        max_tokens=8,
        stream=True,
        extra_body={"provider": "SmolLM2 Second"},
    )

    choices = [chunk.choices[0] for chunk in stream]

    assert [c.delta.role for c in choices].count("assistant") == 1
    assert sum(c.finish_reason is not None for c in choices) == 1
    assert "".join(c.delta.content or "" for c in choices)


async def test_async_completion_and_stream(package: openai.AsyncOpenAI) -> None:
    """The asynchronous client gets both, with usage at the end of the stream."""
    whole = await package.chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=8, extra_body=NAMED
    )
    stream = await package.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
        extra_body=NAMED,
    )
    chunks = [chunk async for chunk in stream]

    assert whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].choices == []


async def test_stream_helper(package: openai.AsyncOpenAI) -> None:
    """The package's accumulating helper takes our chunks."""
    async with package.chat.completions.stream(
        model=MODEL, messages=HELLO, stop=[" "], temperature=0, extra_body=NAMED
    ) as stream:
        kinds = {event.type async for event in stream}
        final = await stream.get_final_completion()

    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content


async def test_tool_calls_through_the_helper(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Pieces of two parallel calls, one without an index, come out whole."""

    def piece(index: int, **call: Any) -> bytes:
        return delta(tool_calls=[{"index": index, **call}])

    script: list[Step] = [
        HEAD,
        piece(0, id="a", type="function", function={"name": "f", "arguments": ""}),
        piece(0, function={"arguments": '{"x":'}),
        piece(1, id="b", type="function", function={"name": "g", "arguments": "{}"}),
        piece(0, function={"arguments": "1}"}),
        delta("tool_calls"),
        DONE,
        END,
    ]
    client = await serve((await make_upstream(script)).table("One"))
    url = f"{client.url}/v1"
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": {}}}

    async with openai.AsyncOpenAI(base_url=url, api_key="none") as package:
        manager = package.chat.completions.stream(
            model="m", messages=HELLO, tools=[tool], extra_body={"provider": "One"}
        )
        async with manager as stream:
            final = await stream.get_final_completion()

    calls: Any = final.choices[0].message.tool_calls
    assert [(c.id, c.function.name, c.function.arguments) for c in calls] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", "{}"),
    ]


async def test_tool_call_goes_round(serve: Serve, make_upstream: MakeUpstream) -> None:
    """Call, result, answer: the upstream gets the result under the call's id."""
    function = {"name": "weather", "arguments": '{"city":"Paris"}'}
    call = {"index": 0, "id": "call_9", "type": "function", "function": function}
    asks = [HEAD, delta(tool_calls=[call]), delta("tool_calls"), DONE, END]
    upstream = await make_upstream(asks)
    client = await serve(upstream.table("One"))
    tool: Any = {"type": "function", "function": {"name": "weather"}}
    options: Any = {"model": "m", "tools": [tool], "extra_body": {"provider": "One"}}

    async with openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key="k") as package:
        first = await package.chat.completions.create(messages=HELLO, **options)
        asked = first.choices[0].message
        assert asked.tool_calls
        result = {"role": "tool", "tool_call_id": asked.tool_calls[0].id}
        upstream.script = says("It", " rains.")
        history: Any = [*HELLO, asked.model_dump(), {**result, "content": "rain"}]
        second = await package.chat.completions.create(messages=history, **options)

    assert second.choices[0].message.content == "It rains."
    sent = upstream.requests[1].json["messages"]
    assert sent[1]["tool_calls"][0]["function"] == function
    assert sent[2] == {**result, "tool_call_id": "call_9", "content": "rain"}


async def test_early_break_hangs_up_on_the_provider(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Who leaves the loop and closes the stream stops the upstream's generation."""
    upstream = await make_upstream([HEAD, delta(content="word"), ...])
    client = await serve(upstream.table("One"))
    url = f"{client.url}/v1"

    async with openai.AsyncOpenAI(base_url=url, api_key="none") as package:
        stream = await package.chat.completions.create(
            model="m", messages=HELLO, stream=True, extra_body={"provider": "One"}
        )
        async with stream:
            async for _ in stream:
                break

    async with asyncio.timeout(5):
        await upstream.hung_up.get()


async def test_early_break_frees_the_embedded_model(embedded: Client) -> None:
    """
    The engine has one slot, and an answer that would take minutes; after its client
    has left, the next is served.
    """
    endless = {"max_tokens": 900, "ignore_eos": True}
    async with embedded.open_chat("Second", **endless) as answer:
        await answer.content.readuntil(b"\n\n")

    async with asyncio.timeout(8):
        after = await embedded.chat("Second", max_tokens=1)

    assert after.status == 200


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"temperature": 9}, openai.BadRequestError),
        ({"provider": "Nobody"}, openai.NotFoundError),
        ({"provider": "Broken"}, openai.InternalServerError),
        ({"provider": "Busy"}, openai.RateLimitError),
    ],
)
async def test_errors_are_of_the_right_class(
    serve: Serve,
    make_upstream: MakeUpstream,
    body: dict[str, Any],
    error: type[openai.APIStatusError],
) -> None:
    """The package raises what it has for each status, with our message."""
    broken = await make_upstream(answers(500, {"error": {"message": "broken"}}))
    busy = await make_upstream(answers(429, {"error": {"message": "busy"}}))
    client = await serve(broken.table("Broken"), busy.table("Busy"))
    url = f"{client.url}/v1"

    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as package:
        with pytest.raises(error) as caught:
            await package.chat.completions.create(
                model="m", messages=HELLO, extra_body=body
            )

    assert caught.value.request_id
    assert "message" in str(caught.value.body)


async def test_interrupted_stream_raises(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A stream that breaks off is an APIError, and not an answer that looks whole."""
    upstream = await make_upstream([HEAD, delta(content="Hel"), b""])
    open_client = await serve(upstream.table("One"))

    async with openai.AsyncOpenAI(
        base_url=f"{open_client.url}/v1", api_key="k"
    ) as package:
        stream = await package.chat.completions.create(
            model="m", messages=HELLO, stream=True, extra_body={"provider": "One"}
        )
        with pytest.raises(openai.APIError, match="middle of its answer"):
            [chunk async for chunk in stream]


async def test_unknown_key(serve: Serve, make_upstream: MakeUpstream) -> None:
    """A wrong key is an AuthenticationError."""
    table = f'[[auth.keys]]\nname = "k"\nsha256 = "{"0" * 64}"'
    client = await serve(table, (await make_upstream(says("Hi"))).table("One"))

    async with openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key="k") as package:
        with pytest.raises(openai.AuthenticationError):
            await package.models.list()


async def test_models(package: openai.AsyncOpenAI) -> None:
    """The list, and one of it, as the package reads them."""
    listed = [model.id async for model in package.models.list()]
    one = await package.models.retrieve("SmolLM2-135M-Instruct")

    assert "SmolLM2-135M-Instruct" in listed
    assert one.model_extra is not None
    assert one.model_extra["providers"] == ["SmolLM2"]


# Racers of every dialect


@pytest.mark.asyncio(loop_scope="session")
async def test_streams_are_strictly_the_api(speakers: Speakers) -> None:
    """
    Thoughts, a call, a text: chunk by chunk what the package's types say, whichever
    dialect is spoken, and the same as if not streamed; usage comes if asked for.
    """
    for kind in DIALECTS:
        async with openai.AsyncOpenAI(base_url=speakers.url(kind), api_key="k") as it:
            for parts in (CALLS, FINE):
                speakers.play(kind, *[parts] * 3)
                options: Any = {"model": "m", "messages": HELLO}
                for more in (
                    {"stream": True, "stream_options": {"include_usage": True}},
                    {"stream": True},
                ):
                    stream = await it.chat.completions.create(**options, **more)
                    assert [chunk async for chunk in stream]
                await it.chat.completions.create(**options)

                counted, bare, whole = openai_events.read(speakers.tap.take())

                told = openai_events.joined(bare)
                assert openai_events.joined(counted) == told
                assert openai_events.told(whole) == told
                calls = parts is CALLS
                assert told["content"] == ("" if calls else "Fine.")
                assert told["reasoning_content"] == ("Hm." if calls else "")
                called = [(name, json.loads(text)) for name, text in told["calls"]]
                assert called == ([("weather", PARIS)] if calls else [])
                assert told["finish_reason"] == ("tool_calls" if calls else "stop")
                for usage in (counted[-1]["usage"], whole["usage"]):
                    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (
                        3,
                        2,
                    )
                assert bare[-1]["choices"]


@pytest.mark.asyncio(loop_scope="session")
async def test_sync_helpers(speakers: Speakers) -> None:
    """The sync client's helpers for streams, tools, pictures and schemas."""
    for kind in DIALECTS:
        upstream = speakers.play(kind, CALLS, FINE, OBJECT, OBJECT)

        await asyncio.to_thread(use_helpers, speakers.url(kind))

        assert len(openai_events.read(speakers.tap.take())) == 4
        _, answered, *structured = (request.body for request in upstream.requests)
        assert b"It rains." in answered
        assert b64encode(picture()) in answered
        assert all(b'"Tiber"' in asked for asked in structured)


def use_helpers(url: str) -> None:
    """Ask for a call, an answer to its result, and for objects."""
    image = f"data:image/png;base64,{b64encode(picture()).decode()}"
    shown = [
        {"type": "text", "text": "How is the weather here?"},
        {"type": "image_url", "image_url": {"url": image}},
    ]
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": shown}]}
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as it:
        chat = it.chat.completions
        with chat.stream(model="m", tools=[WEATHER], **asked) as stream:
            kinds = [event.type for event in stream]
            message = stream.get_final_completion().choices[0].message
        assert message.tool_calls
        (call,) = message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "It rains."}
        asked["messages"] += [message.to_dict(), result]
        answer = chat.create(model="m", tools=[WEATHER], **asked)
        parsed = chat.parse(model="m", messages=HELLO, response_format=City)
        with chat.stream(model="m", messages=HELLO, response_format=City) as stream:
            last = stream.get_final_completion()

    assert "tool_calls.function.arguments.delta" in kinds
    assert kinds[-1] == "tool_calls.function.arguments.done"
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "weather",
        PARIS,
    )
    assert answer.choices[0].message.content == "Fine."
    assert parsed.choices[0].message.parsed == CITY
    assert last.choices[0].message.parsed == CITY


@pytest.mark.asyncio(loop_scope="session")
async def test_parse_with_the_embedded_model(embedded_tap: Tap) -> None:
    """A grammar keeps the model to the schema, streamed and not; the race is strict."""
    url = f"{embedded_tap.url}/v1"
    asked: Any = {"model": MODEL, "messages": HELLO, "response_format": City}
    asked["extra_body"] = NAMED
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as it:
        parsed = await it.chat.completions.parse(**asked)
        async with it.chat.completions.stream(**asked) as stream:
            last = await stream.get_final_completion()
        raced = {"provider": "SmolLM2 Second"}
        words = await it.chat.completions.create(
            model=MODEL, messages=HELLO, max_tokens=8, stream=True, extra_body=raced
        )
        assert [chunk async for chunk in words]

    assert isinstance(parsed.choices[0].message.parsed, City)
    assert isinstance(last.choices[0].message.parsed, City)
    assert len(openai_events.read(embedded_tap.take())) == 3


async def test_sync_models_embeddings_and_images(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """The sync client gets lists, vectors (in base64, as it asks) and pictures."""
    vector = {"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}
    json_ = ["Content-Type: application/json"]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    vectors = {"object": "list", "model": "m", "data": [vector], "usage": usage}
    upstream = await make_upstream(models=("large", "small"))
    upstream.scripts = [
        answers(200, vectors, json_),
        answers(200, generated(picture()), json_),
    ]
    asking = await serve(upstream.table("One"))
    await upstream.listed.wait()

    def use(it: openai.OpenAI) -> None:
        assert [model.id for model in it.models.list()] == ["large", "small"]
        assert it.models.retrieve("small").id == "small"
        made = it.embeddings.create(model="small", input="hello")
        assert made.data[0].embedding == [0.5, -1.0]
        images = it.images.generate(
            prompt="x", model="large", response_format="b64_json"
        )
        assert images.data
        assert images.data[0].b64_json == b64encode(picture()).decode()

    with openai.OpenAI(
        base_url=f"{asking.url}/api/One", api_key="k", max_retries=0
    ) as it:
        await asyncio.to_thread(use, it)
