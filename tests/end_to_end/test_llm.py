"""The command `llm`, with this server's models in its extra-openai-models.yaml."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.rig import openai_events
from tests.rig.dialects import CALLS, CITY, FINE, OBJECT, City, Speakers
from tests.rig.recording_relay import Tap

pytestmark = pytest.mark.asyncio(loop_scope="session")

FUNCTIONS = """
def weather(city: str) -> str:
    "Tell the weather of a city."
    return f"It rains in {city}."
"""


def model(url: str, **more: str) -> str:
    """Return what a user writes into that file about one model."""
    keys = {"model_id": "mine", "model_name": "m", "api_base": url}
    keys |= {"supports_schema": "true", "supports_tools": "true", **more}
    return "- " + "\n  ".join(f"{key}: {value}" for key, value in keys.items())


@asynccontextmanager
async def llm(model: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command with a *model* and no other plugin, in a folder of its own."""
    with TemporaryDirectory() as folder:
        Path(folder, "extra-openai-models.yaml").write_text(model)  # noqa: ASYNC240
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("llm")),
            *("-m", "mine", "--key", "none", *arguments),
            env={**os.environ, "LLM_USER_PATH": folder, "LLM_LOAD_PLUGINS": ""},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Where the tests run in the background, all that they start ignores it.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        try:
            async with asyncio.timeout(60):
                yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def told(model: str, *arguments: str) -> str:
    """Return what the command prints."""
    async with llm(model, *arguments) as process:
        out, error = await process.communicate()
    assert process.returncode == 0, error
    return out.decode()


async def test_answers(speakers: Speakers, embedded_tap: Tap) -> None:
    """
    With a tool and without, to a schema, streamed and not, by either API of OpenAI's,
    from upstreams of several dialects and from the embedded model.
    """
    speakers.play("anthropic", CALLS, FINE)
    speakers.play("gemini", OBJECT)
    speakers.play("openai", FINE)
    schema = json.dumps(City.model_json_schema())
    embedded = f"{embedded_tap.url}/api/SmolLM2+Second"
    whole = ("--no-stream", "Say hello.")

    called, made, newer, spoken = await asyncio.gather(
        told(model(speakers.url("anthropic")), "--functions", FUNCTIONS, "Rain?"),
        told(model(speakers.url("gemini")), "--schema", schema, *whole),
        told(model(speakers.url("openai"), responses="true"), *whole),
        told(model(embedded), "-o", "max_tokens", "8", "Say hello."),
    )

    assert called == newer == "Fine.\n"
    assert City.model_validate_json(made) == CITY
    assert spoken.strip()
    assert b"It rains in Paris." in speakers.upstreams["anthropic"].requests[1].body
    assert b'"Tiber"' in speakers.upstreams["gemini"].requests[0].body
    assert len(openai_events.read(speakers.tap.take())) == 4
    assert len(openai_events.read(embedded_tap.take())) == 1


async def test_interrupted_command_hangs_up_on_the_provider(speakers: Speakers) -> None:
    """Words are printed as they come, and who stops the command stops the upstream."""
    upstream = speakers.hang("ollama")

    async with llm(model(speakers.url("ollama")), "Say hello.") as process:
        assert process.stdout is not None
        assert await process.stdout.readexactly(5) == b"Hello"
        process.send_signal(signal.SIGINT)
        await upstream.hung_up.get()
