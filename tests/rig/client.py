"""A client's side of a test: requests, and what their answers say."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import field, frozen

from .canary import assert_no_canary
from .document import check

CHAT = "/v1/chat/completions"


def hello(provider: Any = None, **more: Any) -> dict[str, Any]:
    """Return the body of a small chat."""
    body: dict[str, Any] = {"model": "m", **more}
    body.setdefault("messages", [{"role": "user", "content": "hello"}])
    return body if provider is None else {**body, "provider": provider}


def frames(body: bytes) -> list[Any]:
    """Return the payloads of a stream's events, parsed but for `[DONE]`."""
    found = []
    for event in body.decode().split("\n\n"):
        if event.startswith("data: "):
            data = event.removeprefix("data: ")
            found.append(data if data == "[DONE]" else json.loads(data))
    return found


def text(events: list[Any]) -> str:
    """Return what a stream's events say."""
    return "".join(
        choice["delta"].get("content", "")
        for event in events
        if isinstance(event, dict)
        for choice in event.get("choices", ())
    )


@frozen
class Answer:
    """A whole answer."""

    status: int
    headers: Any = field(repr=False)
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def frames(self) -> list[Any]:
        return frames(self.body)

    @property
    def said(self) -> str:
        if self.body.startswith(b"{"):
            return str(self.json["choices"][0]["message"]["content"])
        return text(self.frames)


@frozen
class Client:
    """Talks to one server; waits for nothing longer than a minute."""

    session: aiohttp.ClientSession
    url: str

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.request("GET", path, **options)

    async def chat(self, provider: str | None = None, **more: Any) -> Answer:
        return await self.request("POST", CHAT, json=hello(provider, **more))

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        """Return an answer, which is what the OpenAPI document says it may be."""
        async with self.session.request(method, self.url + path, **options) as got:
            answer = Answer(got.status, got.headers, await got.read())
        told = f"{dict(answer.headers)} {answer.body.decode(errors='replace')}"
        assert_no_canary(told, f"the answer to {method} {path}")
        if method != "OPTIONS":  # a preflight's, which is the browser's own matter
            check(method, path, answer.status, answer.headers, answer.body)
        return answer

    async def race(self, of: Answer | str, **options: Any) -> Any:
        """Return the story of a race, by its answer or id; it is told after the end."""
        name = of if isinstance(of, str) else of.headers["X-Request-ID"]
        async with asyncio.timeout(10):
            while True:
                told = await self.get(f"/v1/races/{name}", **options)
                if told.status == 200:
                    return told.json

    async def stats(self, provider: str) -> Any:
        """Return a provider's record."""
        return (await self.get(f"/v1/providers/{provider}")).json["stats"]

    @asynccontextmanager
    async def open_chat(
        self, provider: str, **more: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Start a streamed chat, and hang up at the end of the block."""
        body = hello(provider, stream=True, **more)
        async with self.session.post(self.url + CHAT, json=body) as answer:
            yield answer
            answer.close()


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Client(session, url)
