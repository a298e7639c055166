"""A load generator that costs next to nothing, and believes nobody."""

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any, cast

from attrs import define, frozen

from .wire import MOST, NUMBERS, WORD

PROMPT = "Say something small."
KEY = "sk-benchmark"
OVER = b"data: [DONE]\n\n"
# The start of a Responses stream's last event, which has no `[DONE]`.
COMPLETED = b"event: response.completed\n"


class WrongAnswer(Exception):
    """An answer that is not what the upstream sent."""


@frozen
class Target:
    """Where to send requests, and with what, for a gateway to take them."""

    port: int
    path: str = "/v1/chat/completions"
    prefix: str = ""
    headers: Mapping[str, str] = {}

    def native(self, model: str) -> bytes:
        """Return a request for a streamed response, of who speaks that API itself."""
        more = {"provider": "Native", "input": PROMPT, "store": False}
        body = json.dumps({"model": self.prefix + model, "stream": True, **more})
        return self._post("/v1/responses", body.encode())

    def request(
        self, model: str, *, stream: bool, prompt: str = PROMPT, **more: Any
    ) -> bytes:
        """Return a whole request: HTTP and all."""
        body = json.dumps(
            {
                "model": self.prefix + model,
                **more,
                "stream": stream,
                "messages": [{"role": "user", "content": prompt}],
            }
        ).encode()
        return self._post(self.path, body)

    def _post(self, path: str, body: bytes) -> bytes:
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Authorization": f"Bearer {KEY}",
            "Content-Type": "application/json",
            "Content-Length": len(body),
            **self.headers,
        }
        lines = [f"POST {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "\r\n"]).encode() + body


@define(eq=False)
class Answer:
    """One answer, in perf_counter's seconds; *seen* counts its words."""

    expected: int
    asked: float
    seen: int = 0
    first: float = 0.0
    head: bytes = b""
    _rest: bytes = b""
    _over: bool = False

    @property
    def ttft(self) -> float:
        return self.first - self.asked

    def feed(self, body: bytes) -> int:
        """Take in a part of the body; return how many words it brought."""
        rest = self._rest + body if self._rest else body
        end = rest.rfind(b"\n\n") + 2
        if end < 2:  # noqa: PLR2004 - not found
            self._rest = rest
            return 0
        self._rest = rest[end:]
        return self._check(rest[:end])

    def finish(self) -> None:
        """Raise WrongAnswer unless it is whole."""
        if self._rest and self._rest != OVER:  # no stream, then
            self._check(self._rest)
        if self.seen != self.expected:
            raise WrongAnswer(f"{self.seen} words instead of {self.expected}")
        if b"text/event-stream" in self.head and not self._over:
            raise WrongAnswer("the stream ends without saying so")

    def _check(self, body: bytes) -> int:
        found = WORD.findall(body)
        if found != NUMBERS[self.seen : self.seen + len(found)]:
            raise WrongAnswer(f"word {self.seen} does not follow: {body[:500]!r}")
        if found and not self.seen:
            self.first = perf_counter()
        self.seen += len(found)
        self._over = body.endswith(OVER) or COMPLETED in body
        if OVER in body and not self._over:
            raise WrongAnswer("something follows the end")
        return len(found)


class Connection(asyncio.Protocol):
    """One connection, kept alive; one answer at a time."""

    def __init__(self) -> None:
        self.closed = False
        self.answer = Answer(0, 0.0)
        self.on_words: Callable[[int], None] | None = None
        self._buffer = b""
        self._left: int | None = None
        self._over: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._out = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True
        if self._over is not None and not self._over.done():
            seen = self.answer.seen
            self._over.set_exception(WrongAnswer(f"cut off after {seen} words"))

    def close(self) -> None:
        self._over = None
        self._out.abort()

    def ask(self, request: bytes, words: int) -> asyncio.Future[Answer]:
        """Send *request*; the answer comes once it is whole, with *words* in it."""
        self._buffer = b""
        self._over = self._loop.create_future()
        self.answer = Answer(words, perf_counter())
        self._out.write(request)
        return self._over

    def data_received(self, data: bytes) -> None:
        if self._over is None:
            return
        try:
            self._take(self._buffer + data if self._buffer else data)
        except WrongAnswer as exc:
            if not self._over.done():
                self._over.set_exception(exc)
            self.close()

    def _take(self, data: bytes) -> None:
        if not self.answer.head:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:  # noqa: PLR2004 - not found
                self._buffer = data
                return
            self._begin(data[:end], data)
            data = data[end:]
        if self._left is None:
            self._take_chunks(data)
        else:
            self._left -= len(data)
            self._feed(data)
            self._buffer = b""
            if self._left <= 0:
                self._finish()

    def _begin(self, head: bytes, data: bytes) -> None:
        self.answer.head = head = head.lower()
        if b" 200 " not in head[:20]:
            raise WrongAnswer(data[:800].decode(errors="replace"))
        if b"\r\nconnection: close" in head:
            self.closed = True
        _, found, length = head.partition(b"\r\ncontent-length:")
        self._left = int(length.partition(b"\r\n")[0]) if found else None

    def _take_chunks(self, data: bytes) -> None:
        """Take the chunks that are whole, as chunk boundaries may cut events."""
        at = 0
        parts: list[bytes] = []
        while (line := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:line], 16)
            end = line + 2 + size
            if len(data) < end + 2:
                break
            at = end + 2
            if not size:
                self._feed(b"".join(parts))
                self._finish()
                return
            parts.append(data[line + 2 : end])
        self._buffer = data[at:]
        self._feed(b"".join(parts))

    def _feed(self, body: bytes) -> None:
        words = self.answer.feed(body)
        if words and self.on_words is not None:
            self.on_words(words)

    def _finish(self) -> None:
        self.answer.finish()
        self._buffer = b""
        if self._over is not None and not self._over.done():
            self._over.set_result(self.answer)


async def connect(target: Target) -> Connection:
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(Connection, "127.0.0.1", target.port)
    return made


async def ask_for(
    seconds: float,
    target: Target,
    request: bytes,
    words: int,
    at_once: int,
) -> list[Answer]:
    """Keep *at_once* requests on their way for *seconds*; return the answers."""
    until = perf_counter() + seconds
    return await _ask(target, request, words, at_once, lambda: perf_counter() < until)


async def ask_times(
    times: int, target: Target, request: bytes, words: int, at_once: int = 1
) -> list[Answer]:
    """Ask so many times, *at_once* at a time; return the answers."""
    numbers = count()
    return await _ask(target, request, words, at_once, lambda: next(numbers) < times)


async def _ask(
    target: Target,
    request: bytes,
    words: int,
    at_once: int,
    goes_on: Callable[[], bool],
) -> list[Answer]:
    answers: list[Answer] = []

    async def one() -> None:
        connection = await connect(target)
        while goes_on():
            if connection.closed:
                connection.close()
                connection = await connect(target)
            answers.append(await connection.ask(request, words))
        connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one())
    return answers


async def open_streams(
    target: Target, request: bytes, streams: int, patience: float = 60.0
) -> list[Connection]:
    """Open *streams*, some at a time; return them once each has said its first word."""
    opened: list[Connection] = []
    numbers = iter(range(streams))

    async def some() -> None:
        for _ in numbers:
            connection = await connect(target)
            spoke = asyncio.Event()
            connection.on_words = lambda _, spoke=spoke: spoke.set()
            over = connection.ask(request, MOST)
            over.add_done_callback(partial(_ended, spoke))
            opened.append(connection)
            await spoke.wait()
            connection.on_words = None
            if over.done():
                over.result()

    async with asyncio.timeout(patience), asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(some())
    return opened


def _ended(spoke: asyncio.Event, over: asyncio.Future[Answer]) -> None:
    # Streams that are hung up on end with nobody to ask how.
    if not over.cancelled():
        over.exception()
    spoke.set()
