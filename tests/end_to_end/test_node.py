"""Packages for Node, which say in JSON what they made of this server's answers."""

import asyncio
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.rig import openai_events
from tests.rig.dialects import (
    CALLS,
    CITY,
    COMPLETION_TOKENS,
    DIALECTS,
    FINE,
    OBJECT,
    PROMPT_TOKENS,
    Speakers,
    speaker,
)
from tests.rig.recording_relay import Tap

RESPONSE = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    *["response.output_text.delta"] * 2,
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
PARTS = [
    "start",
    "start-step",
    *("reasoning-start", "reasoning-delta", "reasoning-end"),
    *("tool-input-start", "tool-input-delta", "tool-input-end"),
    *("tool-call", "tool-result", "finish-step", "start-step"),
    *("text-start", "text-delta", "text-end"),
    "finish-step",
    "finish",
]
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def run(node: Path, script: str, *arguments: str) -> list[Any]:
    """Run a script, and return the lines that it prints."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(node / script), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, error.decode()
    return [json.loads(line) for line in out.splitlines()]


async def hung_up(speakers: Speakers, times: int) -> None:
    """Wait until every upstream has been hung up on so often."""
    async with asyncio.timeout(10):
        for upstream in speakers.upstreams.values():
            for _ in range(times):
                await upstream.hung_up.get()


async def test_openai(node: Path, speakers: Speakers) -> None:
    """
    OpenAI's package: a tool that it runs, a stream with its usage, an object to a zod
    schema, a response, the models, from upstreams of every dialect.
    """
    for kind in DIALECTS:
        speakers.play(kind, CALLS, FINE, FINE, OBJECT, FINE)

    found = await run(node, "openai.js", "use", *map(speakers.url, DIALECTS))

    for kind, made in zip(DIALECTS, found, strict=True):
        assert made["called"] == made["responded"] == "Fine."
        assert "".join(made["words"]) == "Fine."
        assert made["usage"]["prompt_tokens"] == PROMPT_TOKENS
        assert made["usage"]["completion_tokens"] == COMPLETION_TOKENS
        assert made["parsed"] == CITY.model_dump()
        assert made["kinds"] == RESPONSE
        assert made["listed"] == [f"{speaker(kind)}-model"]
        assert b"It rains in Paris." in speakers.upstreams[kind].requests[1].body
        assert b'"Tiber"' in speakers.upstreams[kind].requests[3].body
    answers = [a for a in speakers.tap.take() if b'"object":"list"' not in a.body]
    assert len(openai_events.read(answers)) == 5 * len(DIALECTS)


async def test_ai_sdk(node: Path, speakers: Speakers) -> None:
    """
    Vercel's AI SDK: tools that it runs and objects, streamed and not, by chat
    completions and by Responses, part by part in the order that it documents.
    """
    for kind in DIALECTS:
        speakers.play(kind, *(CALLS, FINE, CALLS, FINE, OBJECT, OBJECT) * 2)

    found = await run(node, "ai.js", "use", *map(speakers.url, DIALECTS))

    for i, made in enumerate(found):
        passed = i == 2 * [*DIALECTS].index("responses") + 1
        kinds = [kind for kind, _ in groupby(made["kinds"])]
        # Of what is thought aloud in a response, it shows no more than that it is,
        # unless it is a summary.
        shows = i % 2 == 0 or passed
        assert kinds == [k for k in PARTS if shows or k != "reasoning-delta"]
        assert made["text"] == made["whole"] == "Fine."
        assert made["steps"] == ["tool-calls", "stop"]
        assert made["made"] == made["grown"] == CITY.model_dump()
        assert made["usage"]["inputTokens"] == PROMPT_TOKENS * 2
        assert made["usage"]["outputTokens"] == COMPLETION_TOKENS * 2
        assert made["warnings"] == []
    assert len(found) == 2 * len(DIALECTS)
    for upstream in speakers.upstreams.values():
        for i in (1, 3, 7, 9):
            assert b"It rains in Paris." in upstream.requests[i].body
        for i in (4, 5, 10, 11):
            assert b'"Tiber"' in upstream.requests[i].body
    assert len(openai_events.read(speakers.tap.take())) == 12 * len(DIALECTS)


async def test_aborts_hang_up_on_the_provider(node: Path, speakers: Speakers) -> None:
    """An AbortController stops the upstream's generation, whatever is spoken."""
    urls = [speakers.url(kind) for kind in DIALECTS]

    for kind in DIALECTS:
        speakers.hang(kind)
    for left in await run(node, "openai.js", "leave", *urls):
        assert left == {"aborted": True}
    await hung_up(speakers, times=1)

    for kind in DIALECTS:
        speakers.hang(kind, times=2)
    for left in await run(node, "ai.js", "leave", *urls):
        assert left["kinds"][-2:] == ["text-delta", "abort"]
    await hung_up(speakers, times=2)


async def test_race(node: Path, speakers: Speakers) -> None:
    """Whoever wins of four that speak a dialect each, both packages read the same."""
    for kind in DIALECTS:
        speakers.play(kind, *[FINE] * 20)
    url = f"{speakers.tap.url}/api/{'+'.join(map(speaker, DIALECTS))}"

    found = [
        *await run(node, "openai.js", "say", url),
        *await run(node, "ai.js", "say", url),
    ]

    assert len(found) == 3
    assert all(made["whole"] == made["words"] == "Fine." for made in found)
    assert len(openai_events.read(speakers.tap.take())) == 6


async def test_embedded_model(node: Path, embedded_tap: Tap) -> None:
    """Both packages, by every API that they speak, with the embedded model's words."""
    url = f"{embedded_tap.url}/api/SmolLM2+Second"

    found = [
        *await run(node, "openai.js", "say", url),
        *await run(node, "ai.js", "say", url),
    ]

    assert len(found) == 3
    assert all(made["whole"] and made["words"] for made in found)
    assert len(openai_events.read(embedded_tap.take())) == 6
