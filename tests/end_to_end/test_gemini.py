"""The Gemini API, through the server: a mock's, and a scripted one true to Google's."""

import json
from typing import Any

import openai
import pytest
from llmock.pytest_plugin import LLMock

from providers import Limits, Provider, ProviderSettings, open_session
from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Client
from tests.rig.upstream import END, HEAD, Step, answers, chunked, event, says

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
QUESTION: Any = {"role": "user", "content": "What is the weather in Paris?"}
ASKED = {"role": "user", "parts": [{"text": QUESTION["content"]}]}
SYSTEM: Any = {"role": "system", "content": "Be brief."}
MODEL = "gemini-3-flash-preview"
PATH = f"/v1/models/{MODEL}:streamGenerateContent?alt=sse"


def gemini(base_url: str, **keys: Any) -> str:
    """Return the configuration of the provider Gemini."""
    keys = {"kind": "gemini", "base_url": base_url, "default_model": MODEL, **keys}
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(["[providers.Gemini]", 'api_key = "AIza-test-1234"', *lines])


def mocked(llmock: LLMock) -> str:
    return f"{llmock.base_url('gemini')}/v1beta"


async def ask(client: Client, *, streamed: bool, **more: Any) -> Any:
    """Ask Gemini with OpenAI's package, and return what that makes of the answer."""
    more = {"model": MODEL, "extra_body": {"provider": "Gemini"}, **more}
    url = f"{client.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as it:
        if not streamed:
            return await it.chat.completions.create(**more)
        more["stream_options"] = {"include_usage": True}
        async with it.chat.completions.stream(**more) as stream:
            return await stream.get_final_completion()


def part(finish: str | None = None, *parts: Any, **more: Any) -> bytes:
    """Return the event of a response with these parts."""
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if finish:
        candidate["finishReason"] = finish
    known = {"modelVersion": MODEL, "responseId": "resp-1"}
    return event({"candidates": [{**candidate, "index": 0}], **known, **more})


def generated(*parts: Any) -> list[Step]:
    """Return the script of an answer: an event for each part, and one for the end."""
    return [HEAD, *(part(None, each) for each in parts), part("STOP"), END]


COUNTS = {
    "promptTokenCount": 25,
    "cachedContentTokenCount": 20,
    "candidatesTokenCount": 9,
    "thoughtsTokenCount": 40,
    "totalTokenCount": 74,
}
CALL = {"id": "fc_1", "name": "get_weather", "args": {"city": "Paris"}}
FIRST_CALL = {"functionCall": CALL, "thoughtSignature": "c2lnbmVk"}
SECOND_CALL = {"functionCall": {"name": "get_weather", "args": {}}}
CALLS_TWICE: list[Step] = [
    HEAD,
    part(None, {"text": "Both ", "thought": True}),
    part(None, {"text": "cities.", "thought": True}),
    part(None, FIRST_CALL),
    part("STOP", SECOND_CALL, usageMetadata=COUNTS),
    END,
]
SAYS_FINE = generated({"text": "Fi"}, {"text": "ne."})


async def test_text(llmock: LLMock, serve: Serve) -> None:
    """The mock's text comes whole, with the usage; it was sent what was asked."""
    llmock.reply("Grüß dich, Welt.", times=None)
    client = await serve(gemini(mocked(llmock)))

    for streamed in (True, False):
        answer = await ask(
            client, streamed=streamed, messages=[SYSTEM, QUESTION], max_tokens=50
        )

        (choice,) = answer.choices
        assert choice.message.content == "Grüß dich, Welt."
        assert choice.finish_reason == "stop"
        assert answer.usage.completion_tokens > 0
    assert llmock.last_request.body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [ASKED],
        "generationConfig": {
            "maxOutputTokens": 50,
            "thinkingConfig": {"includeThoughts": True},
        },
    }


async def test_models_of_the_mock(llmock: LLMock) -> None:
    """The list of models is read, in the names that chats are asked for with."""
    settings = ProviderSettings(id="Gemini", kind="gemini", base_url=mocked(llmock))
    async with open_session() as session:
        models = (await Provider(settings, Limits(), session).list_models()).names

    assert "gemini-2.5-pro" in models


@pytest.mark.parametrize("streamed", [False, True])
async def test_tool_round_trip(llmock: LLMock, serve: Serve, *, streamed: bool) -> None:
    """A call, its result and the answer: the mock reads our tools, and our result."""
    client = await serve(gemini(mocked(llmock)))
    asked: Any = {"messages": [QUESTION], "tools": [WEATHER]}

    called = (await ask(client, streamed=streamed, **asked)).choices[0]
    (call,) = called.message.tool_calls
    told = {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
    asked["messages"] += [called.message.model_dump(exclude_none=True), told]
    answer = (await ask(client, streamed=streamed, **asked)).choices[0]

    assert called.finish_reason == "tool_calls"
    assert call.id
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    assert answer.finish_reason == "stop"
    assert answer.message.content
    made = {"id": call.id, "name": "get_weather", "args": {"city": "Paris"}}
    result = {"id": call.id, "name": "get_weather"}
    result["response"] = {"result": "21 degrees"}
    assert llmock.last_request.body["contents"] == [
        ASKED,
        {
            "role": "model",
            "parts": [
                # The mock signs nothing.
                {
                    "functionCall": made,
                    "thoughtSignature": "skip_thought_signature_validator",
                }
            ],
        },
        {"role": "user", "parts": [{"functionResponse": result}]},
    ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_signed_parallel_calls_round_trip(
    make_upstream: MakeUpstream, serve: Serve, *, streamed: bool
) -> None:
    """
    Thoughts come out as reasoning, two calls whole; sent back by the client as they
    came, the first has its signature again, and both results stand in one turn.
    """
    upstream = await make_upstream(SAYS_FINE)
    upstream.scripts = [CALLS_TWICE]
    client = await serve(gemini(upstream.url))
    asked: Any = {"messages": [QUESTION], "tools": [WEATHER]}

    called = await ask(client, streamed=streamed, **asked)
    message = called.choices[0].message
    first, second = message.tool_calls
    asked["messages"] += [
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": second.id, "content": '{"degrees": 2}'},
        {"role": "tool", "tool_call_id": first.id, "content": "1"},
    ]
    answer = await ask(client, streamed=streamed, **asked)

    assert (called.id, called.model) == ("resp-1", MODEL)
    assert called.choices[0].finish_reason == "tool_calls"
    assert message.reasoning_content == "Both cities."
    arguments = [call.function.arguments for call in (first, second)]
    assert arguments == ['{"city":"Paris"}', "{}"]
    assert first.id == "fc_1"
    assert second.id
    usage = called.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (25, 49)
    assert usage.total_tokens == 74
    assert usage.prompt_tokens_details.cached_tokens == 20
    assert usage.completion_tokens_details.reasoning_tokens == 40
    assert answer.choices[0].message.content == "Fine."
    named = {"name": "get_weather"}
    assert upstream.requests[1].json["contents"] == [
        ASKED,
        {
            "role": "model",
            "parts": [
                FIRST_CALL,
                {"functionCall": {"id": second.id, **SECOND_CALL["functionCall"]}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "id": second.id,
                        **named,
                        "response": {"degrees": 2},
                    }
                },
                {
                    "functionResponse": {
                        "id": "fc_1",
                        **named,
                        "response": {"result": 1},
                    }
                },
            ],
        },
    ]


async def test_path_and_key(make_upstream: MakeUpstream, serve: Serve) -> None:
    """The model stands in the path, its colon as it is; the key in its header only."""
    upstream = await make_upstream(SAYS_FINE)
    client = await serve(gemini(upstream.url, default_model=f"models/{MODEL}"))

    answer = await client.chat("Gemini", stream=True)

    (received,) = upstream.requests
    assert answer.said == "Fine."
    assert received.path == PATH
    assert received.headers["x-goog-api-key"] == "AIza-test-1234"
    assert "authorization" not in received.headers


async def test_image_goes_up(make_upstream: MakeUpstream, serve: Serve) -> None:
    """An image in a data: URL goes up; one on the web is refused without a call."""
    upstream = await make_upstream(SAYS_FINE)
    client = await serve(gemini(upstream.url))

    def looking_at(url: str) -> Any:
        image = {"type": "image_url", "image_url": {"url": url}}
        return [{"role": "user", "content": [image]}]

    seen = await client.chat("Gemini", messages=looking_at("data:image/png;base64,AA"))
    refused = await client.chat("Gemini", messages=looking_at("https://x.test/a.png"))

    (received,) = upstream.requests
    assert seen.said == "Fine."
    assert received.json["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AA"}}
    ]
    assert refused.status == 400
    assert "images as base64 data: URLs only" in refused.error["message"]


BLOCKED: list[Step] = [HEAD, event({"promptFeedback": {"blockReason": "SAFETY"}}), END]
SILENT: list[Step] = [HEAD, part("SAFETY"), END]


@pytest.mark.parametrize("script", [BLOCKED, SILENT], ids=["prompt", "answer"])
async def test_blocked(
    make_upstream: MakeUpstream, serve: Serve, script: list[Step]
) -> None:
    """Who blocks a request with no word said is out of the race, and says why alone."""
    blocks = await make_upstream(script)
    speaks = await make_upstream([0.05, *says("Hello")])
    client = await serve(gemini(blocks.url), speaks.table("Other"))

    for streamed in (True, False):
        raced = await client.chat("Gemini Other", stream=streamed)

        assert (raced.said, raced.headers["X-Provider"]) == ("Hello", "Other")
        with pytest.raises(openai.BadRequestError, match="SAFETY"):
            await ask(client, streamed=streamed, messages=[QUESTION])


async def test_blocked_later(make_upstream: MakeUpstream, serve: Serve) -> None:
    """An answer that is blocked in its middle ends with content_filter."""
    script = [HEAD, part(None, {"text": "Yes"}), part("PROHIBITED_CONTENT"), END]
    client = await serve(gemini((await make_upstream(script)).url))

    (choice,) = (await ask(client, streamed=False, messages=[QUESTION])).choices

    assert choice.message.content == "Yes"
    assert choice.finish_reason == "content_filter"


OVERLOADED = {
    "error": {
        "code": 503,
        "message": "The model is overloaded. Please try again later.",
        "status": "UNAVAILABLE",
    }
}


async def test_error_without_framing(make_upstream: MakeUpstream, serve: Serve) -> None:
    """
    An error that is no event: before any word another racer answers, after the first
    the client hears of it.
    """
    bare = chunked(json.dumps([OVERLOADED], indent=2).encode())
    broken = await make_upstream([HEAD, part(None, {"text": "Yes"}), bare, END])
    broken.scripts = [[HEAD, part(None), bare, END]]
    speaks = await make_upstream([0.05, *says("Hello")])
    client = await serve(gemini(broken.url), speaks.table("Other"))

    raced = await client.chat("Gemini Other", stream=True)
    with pytest.raises(openai.APIError, match="middle of its answer"):
        await ask(client, streamed=True, messages=[QUESTION])

    assert (raced.said, raced.headers["X-Provider"]) == ("Hello", "Other")


async def test_errors_of_the_mock(llmock: LLMock, serve: Serve) -> None:
    """An error before the stream is one of the package's, with the API's words."""
    client = await serve(gemini(mocked(llmock)))

    # The list of models is asked for too, whenever that may be.
    llmock.fail(503, times=None, message="Come back later")
    with pytest.raises(openai.InternalServerError, match="Come back later"):
        await ask(client, streamed=True, messages=[QUESTION])
    llmock.reset().fail(429, times=None, retry_after=7, message="Not so fast")
    with pytest.raises(openai.RateLimitError, match="Not so fast") as caught:
        await ask(client, streamed=True, messages=[QUESTION])

    assert caught.value.response.headers["retry-after"] == "7"


async def test_bad_key_is_no_bad_request(
    make_upstream: MakeUpstream, serve: Serve
) -> None:
    """Google answers 400 to a wrong key; the client's request is not to blame."""
    reason = {"@type": "google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}
    body = {"error": {**error, "details": [reason]}}
    client = await serve(gemini((await make_upstream(answers(400, body))).url))

    answer = await client.chat("Gemini")

    assert answer.status == 502
    assert "API key not valid." in answer.body.decode()


async def test_broken_streams_of_the_mock(llmock: LLMock, serve: Serve) -> None:
    """A stream that ends early, in good order or not, or is garbled, is no answer."""
    client = await serve(gemini(mocked(llmock)))
    # What has come in one piece with the fault may be lost with it.
    says = "middle of its answer|broke its answer off|unreadable answer|ended before"

    for fault in (llmock.truncate, llmock.disconnect, llmock.corrupt):
        fault(after_chunks=1)

        with pytest.raises(openai.APIError, match=says):
            await ask(client, streamed=True, messages=[QUESTION])
