"""What tests of the log of races share: API keys, and listening."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import aiohttp

from .client import Client

KEYS = ("mine", "other", "admin")
AUTH = "".join(
    f"[[auth.keys]]\nname = '{name}'\nsha256 = '{sha256(name.encode()).hexdigest()}'\n"
    for name in KEYS
).replace("name = 'admin'\n", "name = 'admin'\nadmin = true\n")


def key_of(key: str, request_id: str = "") -> dict[str, str]:
    """Return the headers of a request with the key of this name."""
    headers = {"Authorization": f"Bearer {key}"}
    return headers | ({"X-Request-ID": request_id} if request_id else {})


@asynccontextmanager
async def listening(me: Client, key: str = "") -> AsyncIterator[aiohttp.StreamReader]:
    """Listen to the races that run or end from now on."""
    headers = key_of(key) if key else {}
    url = f"{me.url}/v1/races/events"
    async with me.session.get(url, headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        yield answer.content


async def next_event(content: aiohttp.StreamReader) -> tuple[str, Any]:
    """Return the name and the data of the next event."""
    async with asyncio.timeout(10):
        event = b": "
        while event.startswith(b": "):
            event = await content.readuntil(b"\n\n")
    name, data = event.decode().removesuffix("\n\n").split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def heard(content: aiohttp.StreamReader) -> Any:
    """Return the story of the next race that ends."""
    name, data = await next_event(content)
    while name != "race.ended":
        name, data = await next_event(content)
    return data
