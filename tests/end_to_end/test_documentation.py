"""The examples of the API's documentation, word for word but for the port."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Client
from tests.rig.upstream import says

EXAMPLES = Path(__file__).with_name("documented")
# The second example goes on where the first has imported requests.
IMPORT = "import requests\n"


async def run_example(name: str, url: str, ids: dict[str, str]) -> str:
    """Run an example against the server at *url*, provider ids swapped by *ids*."""
    code = (EXAMPLES / f"{name}.txt").read_text(encoding="utf-8")
    assert "http://localhost:1337" in code
    code = code.replace("http://localhost:1337", url)
    for documented, real in ids.items():
        code = code.replace(documented, real)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IMPORT + code),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


EXPECTED = {
    "list_providers": "ID: HuggingChat, URL: https://huggingface.co/chat\n"
    "ID: AnotherProvider, URL: http://another.example\n",
    "provider_details": "Provider ID: HuggingChat\n"
    "Supported Models: ['gpt-4o-mini', 'openai/gpt-oss-20b']\n"
    "Parameters: ['model', 'messages', ",
    "single_provider": "Once upon a time\n",
    "multiple_providers": "Once upon a time\n",
}


@pytest.mark.parametrize("name", EXPECTED)
async def test_examples_work_with_the_documented_ids(
    serve: Serve, make_upstream: MakeUpstream, name: str
) -> None:
    """With HuggingChat and AnotherProvider configured, the page's code is unchanged."""
    chat = await make_upstream(says("Once", " upon", " a time"))
    slow = await make_upstream([...])
    models = '[providers.HuggingChat.models]\n"gpt-4o-mini" = "openai/gpt-oss-20b"'
    client = await serve(
        chat.table("HuggingChat", api_key="hf_token"),
        models,
        slow.table("AnotherProvider", url="http://another.example"),
    )

    output = await run_example(name, client.url, {})

    assert output.startswith(EXPECTED[name])


@pytest.mark.parametrize("name", EXPECTED)
async def test_examples_work_with_the_embedded_model(
    embedded: Client, name: str
) -> None:
    """The same examples against the model that needs no account."""
    ids = {"HuggingChat AnotherProvider": "SmolLM2 Second", "HuggingChat": "SmolLM2"}

    output = await run_example(name, embedded.url, ids)

    assert output.strip()
    assert "No response received" not in output
    if name == "provider_details":
        assert "['SmolLM2-135M-Instruct']" in output
