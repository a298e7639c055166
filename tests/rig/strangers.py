"""
What strangers and clumsy clients do to a server, each for as long as it is let.

`python -m tests.rig.strangers NAME URL [HEADER VALUE]` does it from a process of its
own, so that whoever measures is not busy with it.
"""

import asyncio
import gzip
import json
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any

import aiohttp

from .client import CHAT
from .raw_client import raw_client

Attack = Callable[[str, dict[str, str]], Coroutine[Any, Any, str]]
MIB = 1024 * 1024
HEAD = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n"


def attacks() -> dict[str, Attack]:
    """Return them by their names; each returns what came of it."""
    return {
        "gzip bombs without a key": gzip_bombs,
        "bodies that drip": dripped_bodies,
        "4,000 connections": many_connections,
        "JSON 300 deep": deep_json,
        "200,000 items": many_items,
        "wrong keys": wrong_keys,
    }


async def gzip_bombs(url: str, _: dict[str, str]) -> str:
    """Send bodies of 16 MB, which unpack without end, with no key."""
    bomb = gzip.compress(b" " * (64 * MIB))
    packed = bomb * (16 * MIB // len(bomb))
    head = HEAD.format(CHAT, len(packed)) + "Content-Encoding: gzip\r\n\r\n"

    async def one() -> str:
        async with raw_client(url) as client:
            with suppress(ConnectionError):
                await client.send(head.encode() + packed)
            return await _status(client.to_the_end())

    return _told(await asyncio.gather(*(one() for _ in range(8))))


async def dripped_bodies(url: str, key: dict[str, str]) -> str:
    """Send 20 bodies of 16 MB up to their last megabyte, and then byte by byte."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in key.items())
    head = HEAD.format(CHAT, 16 * MIB) + lines + "\r\n"

    async def one() -> str:
        async with raw_client(url) as client:
            with suppress(ConnectionError):
                await client.send(head.encode() + b" " * (15 * MIB))
                for _ in range(600):
                    await client.send(b" ")
                    await asyncio.sleep(0.05)
            return await _status(client.to_the_end())

    return _told(await asyncio.gather(*(one() for _ in range(20))))


async def many_connections(url: str, _: dict[str, str]) -> str:
    """Open connections, each with half a head, and wait for their ends."""
    async with AsyncExitStack() as stack:

        async def one() -> str:
            client = await stack.enter_async_context(raw_client(url))
            with suppress(ConnectionError):
                await client.send(HEAD.format(CHAT, 1).encode())
            return await _status(client.to_the_end())

        return _told(await asyncio.gather(*(one() for _ in range(4000))))


async def deep_json(url: str, key: dict[str, str]) -> str:
    """Send chats with a field that is 300 arrays within each other."""
    deep = "[" * 300 + "]" * 300
    messages = json.dumps([{"role": "user", "content": "hello"}])
    body = f'{{"model":"m","messages":{messages},"metadata":{deep}}}'
    return _told(await _posted(url + CHAT, body, key, 50))


async def many_items(url: str, key: dict[str, str]) -> str:
    """Send conversations of 200,000 tiny items."""
    item = {"role": "user", "content": "a"}
    body = json.dumps({"model": "m", "input": [item] * 200_000})
    return _told(await _posted(url + "/v1/responses", body, key, 4))


async def wrong_keys(url: str, _: dict[str, str]) -> str:
    """Guess keys on 20 connections."""
    wrong = {"Authorization": "Bearer wrong"}
    return _told(await _posted(url + CHAT, "{}", wrong, 60))


async def _posted(
    url: str, body: str, headers: dict[str, str], times: int
) -> list[str]:
    connector = aiohttp.TCPConnector(limit=20)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def one() -> str:
            async with session.post(url, data=body.encode()) as answer:
                await answer.read()
                return str(answer.status)

        return await asyncio.gather(*(one() for _ in range(times)))


async def _status(reading: Coroutine[Any, Any, bytes]) -> str:
    """Return the status of what is read, or how it ended otherwise."""
    try:
        received = await reading
    except (ConnectionError, TimeoutError):
        return "hung up"
    return received.split()[1].decode() if received else "hung up"


def _told(outcomes: list[str]) -> str:
    counts = {each: outcomes.count(each) for each in sorted(set(outcomes))}
    return ", ".join(f"{each} x {count}" for each, count in counts.items())


if __name__ == "__main__":
    attack, place, *pairs = sys.argv[1:]
    keys = dict(zip(pairs[::2], pairs[1::2], strict=True))
    outcome = asyncio.run(attacks()[attack](place, keys))
    sys.stdout.write(outcome)
