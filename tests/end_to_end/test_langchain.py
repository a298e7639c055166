"""LangChain's ChatOpenAI, which knows of this server a base URL and nothing else."""

import asyncio
from typing import Any

import pytest
from httpx2 import AsyncClient
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from tests.rig import openai_events
from tests.rig.dialects import (
    CALLS,
    CITY,
    COMPLETION_TOKENS,
    DIALECTS,
    FINE,
    OBJECT,
    PARIS,
    PROMPT_TOKENS,
    City,
    Speakers,
)
from tests.rig.recording_relay import Tap

# Of LangChain's own making: it serializes what the openai package has parsed.
QUIET = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
pytestmark = [pytest.mark.asyncio(loop_scope="session"), QUIET]


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It rains in {city}."


def model(url: str, http: AsyncClient, **more: Any) -> ChatOpenAI:
    options: Any = {"api_key": "none", "stream_usage": True, "max_retries": 0, **more}
    return ChatOpenAI(model="m", base_url=url, http_async_client=http, **options)


def check_usage(usage: Any) -> None:
    counted = (usage["input_tokens"], usage["output_tokens"])
    assert counted == (PROMPT_TOKENS, COMPLETION_TOKENS)


@pytest.mark.parametrize("responses", [False, True])
async def test_invoke_and_stream(
    speakers: Speakers, http: AsyncClient, *, responses: bool
) -> None:
    """Every dialect's words, whole and in pieces, through either API of OpenAI's."""
    for kind in DIALECTS:
        speakers.play(kind, FINE, FINE)
        asking = model(speakers.url(kind), http, use_responses_api=responses)

        whole = await asking.ainvoke("hello")
        pieces = [piece async for piece in asking.astream("hello")]

        assert whole.text == "Fine."
        assert [piece.text for piece in pieces if piece.text] == ["Fi", "ne."]
        (usage,) = (piece.usage_metadata for piece in pieces if piece.usage_metadata)
        check_usage(usage)
        check_usage(whole.usage_metadata)
        assert [piece.chunk_position for piece in pieces].index("last") == len(
            pieces
        ) - 1
        assert len(openai_events.read(speakers.tap.take())) == 2


async def test_tool_round_trip(speakers: Speakers, http: AsyncClient) -> None:
    """A call in pieces is one call; its result goes up, and the answer comes down."""
    for kind in DIALECTS:
        upstream = speakers.play(kind, CALLS, FINE)
        asking = model(speakers.url(kind), http).bind_tools([weather])
        question = HumanMessage("What is the weather in Paris?")

        called = AIMessageChunk(content="")
        async for piece in asking.astream([question]):
            assert isinstance(piece, AIMessageChunk)
            called += piece
        (call,) = called.tool_calls
        answer = await asking.ainvoke([question, called, weather.invoke(call)])

        assert (call["name"], call["args"]) == ("weather", PARIS)
        assert called.response_metadata["finish_reason"] == "tool_calls"
        assert answer.text == "Fine."
        assert b"It rains in Paris." in upstream.requests[1].body
        assert len(openai_events.read(speakers.tap.take())) == 2


async def test_structured_output(speakers: Speakers, http: AsyncClient) -> None:
    """A schema is asked for and kept, whichever way LangChain asks, and streamed."""
    for kind in DIALECTS:
        upstream = speakers.play(kind, OBJECT, OBJECT)
        asking = model(speakers.url(kind), http).with_structured_output(City)

        assert await asking.ainvoke("hello") == CITY
        assert [made async for made in asking.astream("hello")][-1] == CITY
        assert all(b'"Tiber"' in request.body for request in upstream.requests)
        assert len(openai_events.read(speakers.tap.take())) == 2


async def test_left_stream_hangs_up_on_the_provider(
    speakers: Speakers, http: AsyncClient
) -> None:
    """Who leaves the loop stops the upstream's generation, whatever it speaks."""
    for kind in DIALECTS:
        upstream = speakers.hang(kind)
        async for piece in model(speakers.url(kind), http).astream("hello"):
            if piece.text:
                break

        async with asyncio.timeout(5):
            await upstream.hung_up.get()


async def test_embedded_model(embedded_tap: Tap, http: AsyncClient) -> None:
    """Words and an object from the embedded model, raced against its like."""
    url = f"{embedded_tap.url}/api/SmolLM2+Second"
    asking = model(url, http)

    whole = await asking.ainvoke("Say hello.", max_tokens=8)
    pieces = [p.text async for p in asking.astream("Say hello.", max_tokens=8)]
    made = await asking.with_structured_output(City).ainvoke("Name a capital.")

    assert whole.text
    assert "".join(pieces)
    assert isinstance(made, City)
    assert len(openai_events.read(embedded_tap.take())) == 3
