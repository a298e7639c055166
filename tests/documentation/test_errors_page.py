"""docs/errors.md: every code is there, and the ten mistakes are as it says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, Omit

from providers import ProviderError
from server.errors import GatewayError
from tests.conftest import MakeUpstream, StartServer
from tests.rig.server_process import Server
from tests.rig.upstream import answers, says

PAGE = Path("docs/errors.md").read_text("utf-8")
FULL = {"message": "maximum context length is 10 tokens", "code": "x"}
OFFLINE = "[providers.Offline]\nkind='openai'\nbase_url='http://127.0.0.1:9/v1'\n"
# The SHA-256 of "right".
KEY = (
    "[[auth.keys]]\nname = 'k'\nsha256 ="
    " '27042f4e6eaca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad'\n"
)


def table(heading: str) -> list[list[str]]:
    """Return the cells of the table that follows *heading*."""
    text = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def codes(error: type[Any]) -> Iterator[str]:
    if code := getattr(error, "code", None):
        yield code
    for each in error.__subclasses__():
        if each.__module__.startswith(("server", "providers")):
            yield from codes(each)


@pytest.mark.parametrize(
    ("heading", "root"),
    [("Codes", GatewayError), ("Why a racer is out", ProviderError)],
)
def test_every_code(heading: str, root: type[Any]) -> None:
    """Each code of an error is on the page once, with a meaning and a remedy."""
    rows = table(heading)
    told = [row[0].strip("`") for row in rows]

    assert set(codes(root)) <= {*told}
    assert len(told) == len(set(told))
    assert all(len(row) == 3 and all(row) for row in rows)


MISTAKES: dict[str, dict[str, Any]] = {
    "wrong model": {"model": "gpt-4.o"},
    "provider typo": {"extra_body": {"provider": "Vendro"}},
    "provider off": {"extra_body": {"provider": "HuggingChat"}},
    "no key": {"extra_headers": {"Authorization": Omit()}},
    "wrong key": {"extra_headers": {"Authorization": "Bearer wrong"}},
    "empty messages": {"messages": []},
    "too long": {"extra_body": {"provider": "Small"}},
    "wrong types": {"temperature": "hot"},
    "provider offline": {"extra_body": {"provider": "Offline"}},
    "all failing": {"extra_body": {"provider": "Broken Offline"}},
}


@pytest.fixture
async def server(
    start_server: StartServer, make_upstream: MakeUpstream, mistake: list[str]
) -> Server:
    vendor = await make_upstream(says("hello"), models=("gpt-4o",))
    small = await make_upstream(answers(400, {"error": FULL}))
    broken = await make_upstream(answers(500, {"error": {"message": "on fire"}}))
    tables = [vendor.table("Vendor"), small.table("Small"), broken.table("Broken")]
    keys = KEY if mistake[0].endswith(" key") else ""
    return await start_server(*tables, OFFLINE, "[providers.HuggingChat]", keys)


@pytest.mark.parametrize(
    "mistake", table("The ten likeliest mistakes"), ids=lambda row: row[0]
)
async def test_mistake(server: Server, mistake: list[str]) -> None:
    """What the package raises and says, and the log's line, are what the page says."""
    name, raised, read, logged = mistake
    request = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hello!"}],
        **MISTAKES[name],
    }

    async with AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="right", max_retries=0
    ) as client:
        with pytest.raises(getattr(openai, raised.strip("`"))) as caught:
            await client.chat.completions.create(**request)

    assert read in str(caught.value)
    await server.logged(re.escape(logged))
