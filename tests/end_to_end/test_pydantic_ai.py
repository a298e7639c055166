"""pydantic-ai's agents: tools that they call, objects that they must return."""

import asyncio
from typing import Any

import pytest
from httpx2 import AsyncClient
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.rig import openai_events
from tests.rig.dialects import (
    CALLS,
    CITY,
    COMPLETION_TOKENS,
    DIALECTS,
    FINE,
    OBJECT,
    PROMPT_TOKENS,
    Call,
    City,
    Speakers,
)
from tests.rig.recording_relay import Tap

pytestmark = pytest.mark.asyncio(loop_scope="session")
Model = type[OpenAIChatModel | OpenAIResponsesModel]
BOTH = pytest.mark.parametrize("model", [OpenAIChatModel, OpenAIResponsesModel])


def agent(
    model: Model, url: str, http: AsyncClient, output: Any = str
) -> Agent[None, Any]:
    provider = OpenAIProvider(base_url=url, api_key="none", http_client=http)
    return Agent(model("m", provider=provider), output_type=output)


@BOTH
async def test_tool_loop(speakers: Speakers, http: AsyncClient, model: Model) -> None:
    """
    An agent's call is run, and its result answered, whole and streamed, whatever is
    spoken and through either API of OpenAI's.
    """
    for kind in DIALECTS:
        upstream = speakers.play(kind, CALLS, FINE, CALLS, FINE)
        asking = agent(model, speakers.url(kind), http)
        cities = []

        @asking.tool_plain
        def weather(city: str) -> str:
            """Tell the weather of a city."""
            cities.append(city)  # noqa: B023 - it is called before the next turn
            return f"It rains in {city}."

        whole = await asking.run("What is the weather?")
        async with asking.run_stream("What is the weather?") as streamed:
            pieces = [piece async for piece in streamed.stream_text(debounce_by=None)]

        assert whole.output == pieces[-1] == "Fine."
        assert pieces[0] == "Fi"
        assert cities == ["Paris"] * 2
        thoughts = [
            part
            for part in whole.all_messages()[1].parts
            if part.part_kind == "thinking"
        ]
        assert len(thoughts) == 1
        for usage in (whole.usage, streamed.usage):
            assert usage.input_tokens == PROMPT_TOKENS * 2
            assert usage.output_tokens == COMPLETION_TOKENS * 2
        assert b"It rains in Paris." in upstream.requests[-1].body
        assert len(openai_events.read(speakers.tap.take())) == 4


@BOTH
async def test_structured_output(
    speakers: Speakers, http: AsyncClient, model: Model
) -> None:
    """An object comes as the answer, streamed and not, or as a tool's arguments."""
    for kind in DIALECTS:
        upstream = speakers.play(kind, OBJECT, OBJECT)
        url = speakers.url(kind)
        asking = agent(model, url, http, NativeOutput(City))

        whole = await asking.run("Which city?")
        async with asking.run_stream("Which city?") as streamed:
            made = await streamed.get_output()

        assert whole.output == made == CITY
        assert all(b'"Tiber"' in request.body for request in upstream.requests)
        # Ollama can't be made to call a tool, and the request says that it must.
        if kind != "ollama":
            speakers.play(kind, [Call("call_1", "final_result", CITY.model_dump())])
            assert (await agent(model, url, http, City).run("Which?")).output == CITY
        assert len(openai_events.read(speakers.tap.take())) == 2 + (kind != "ollama")


async def test_left_stream_hangs_up_on_the_provider(
    speakers: Speakers, http: AsyncClient
) -> None:
    """Who leaves a stream stops the upstream's generation, whatever it speaks."""
    for kind in DIALECTS:
        upstream = speakers.hang(kind)
        asking = agent(OpenAIChatModel, speakers.url(kind), http)
        async with asking.run_stream("hello") as streamed:
            async for _ in streamed.stream_text(debounce_by=None):
                break

        async with asyncio.timeout(5):
            await upstream.hung_up.get()


@BOTH
async def test_embedded_model(
    embedded_tap: Tap, http: AsyncClient, model: Model
) -> None:
    """A real model, too small to be trusted with anything, keeps to the schema."""
    url = f"{embedded_tap.url}/api/SmolLM2+Second"

    made = await agent(model, url, http, NativeOutput(City)).run("Name a capital.")

    assert isinstance(made.output, City)
    assert len(openai_events.read(embedded_tap.take())) == 1
