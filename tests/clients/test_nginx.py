"""Streams behind an nginx as people set it up, byte for byte."""

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .driving import Target, serving
from .nginx import FRONTS, found
from .scripted import Racer, Turn

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": {**CHAT, "max_tokens": 100},
    "/v1/responses": {"model": "m", "input": "hello"},
}
# What differs from one answer to the next: ids, and when it was made.
OWN = re.compile(rb'[0-9a-f]{16,}|"[a-z]+(_at|ated)":[\d.]+')
LINE = re.compile(rb"data:|event:|:|$")
pytestmark = pytest.mark.skipif(found() is None, reason="nginx is not installed")


@pytest.mark.parametrize("stream", [False, True])
async def test_bodies(tmp_path: Path, stream: bool) -> None:
    """A body is the same as without nginx, by HTTP/1.0 as by HTTP/1.1."""
    bodies = {}
    for front in (None, *FRONTS):
        folder = tmp_path / str(front).replace("/", "-")
        folder.mkdir()
        target = Target(name="", kinds=("openai",), front=front)
        racer = Racer("Speaks-openai", "openai", Turn(answer="It speaks of rivers."))
        async with serving([racer], target, folder) as (url, _):
            bodies[front] = await ask(url, stream=stream)
    for front in FRONTS:
        assert bodies[front] == bodies[None]
    if stream:
        lines = b"\n".join(bodies[None]).split(b"\n")
        assert all(LINE.match(line) for line in lines)


async def ask(url: str, *, stream: bool) -> list[bytes]:
    """Return what each API answers, less what is one answer's own."""
    found = []
    async with aiohttp.ClientSession() as session:
        for path, body in REQUESTS.items():
            asked = {**body, "stream": stream}
            async with session.post(url + path, json=asked) as answer:
                assert answer.status == 200
                found.append(OWN.sub(b"", await answer.read()))
    return found
