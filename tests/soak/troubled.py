"""
An upstream on bare sockets that is well or in trouble as each request itself says, and
whose answers can be checked by whoever gets them.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import Any

from attrs import define, field, frozen

from tests.rig.raw_client import reset_on_close
from tests.rig.upstream import END, HEAD, Step, answers, chunked

# The field of a request that says what the upstreams of its racers are to do.
FIELD = "soak"
# What may trip a reader of streams: line ends, quotes, what looks like a frame, letters
# of several bytes.
VOCABULARY = (
    *("race", "token", "winner", "a\nb", '"quoted"', "back\\slash", "\r\n\r\n", "{"),
    *("data:", "[DONE]", "naïve", "Straße", "日本語", "🏁", "e\u0301", "\u2028"),
)
ERROR = {"error": {"message": "the soak's own trouble", "type": "server_error"}}
CLOSING_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@frozen
class Part:
    """
    What one racer's upstream does: by *kind*, after *delay* seconds, in events of one
    word each, *gap* seconds apart, *size* bytes a write, or all at once (0). A trouble
    that comes late does so after *spoken* of the *count* words.
    """

    kind: str
    delay: float = 0.0
    gap: float = 0.0
    size: int = 0
    count: int = 10
    spoken: int = 1
    status: int = 500


def answer(race: str, racer: str, count: int) -> list[str]:
    """Return the words of a racer's whole answer: the last is the others' checksum."""
    rng = random.Random(f"{race} {racer}")
    words = [race, racer, *rng.choices(VOCABULARY, k=count)]
    return [*words, checksum(words)]


def checksum(words: list[str]) -> str:
    return sha256(" ".join(words).encode()).hexdigest()


def script(part: Part, words: list[str]) -> list[Step]:
    """Return what an upstream sends that is to say *words*, and does after it."""
    if part.kind in EARLY:
        return EARLY[part.kind](part)
    said = words[: part.spoken] if part.kind in LATE else words
    head = CLOSING_HEAD if part.kind == "closes" else HEAD
    framed = bytes if part.kind == "closes" else chunked
    events = [_delta(role="assistant", content=""), *map(_delta_of, _spaced(said))]
    body = [framed(event) for event in events]
    last = LATE[part.kind]() if part.kind in LATE else WELL[part.kind](framed)
    if part.gap:
        return [head, *(step for event in body for step in (event, part.gap)), *last]
    whole = b"".join([head, *body])
    size = part.size or len(whole)
    return [*(whole[at : at + size] for at in range(0, len(whole), size)), *last]


def _spaced(words: list[str]) -> Iterable[str]:
    return (word if not at else f" {word}" for at, word in enumerate(words))


def _delta_of(word: str) -> bytes:
    return _delta(content=word)


def _delta(finish_reason: str | None = None, **delta: str) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event({"id": "c", "created": 1, "model": "m", "choices": [choice]})


def _event(payload: Any) -> bytes:
    return b"data: %s\n\n" % json.dumps(payload, ensure_ascii=False).encode()


STOP = _delta("stop")
DONE = b"data: [DONE]\n\n"
ROLE = chunked(_delta(role="assistant", content=""))
BROKEN = chunked(b'data: {"choices": [{"del\n\n')

# No token comes.
EARLY: dict[str, Callable[[Part], list[Step]]] = {
    "hangs": lambda _: [...],
    "sends headers only": lambda _: [HEAD, ...],
    "sends a role only": lambda _: [HEAD, ROLE, ...],
    "resets": lambda _: [None],
    "resets after headers": lambda _: [HEAD, None],
    "has no token": lambda _: [HEAD, ROLE, chunked(DONE), END],
    "is empty": lambda _: [HEAD, END],
    "has a status": lambda part: answers(part.status, ERROR),
    "has an error with 200": lambda _: answers(200, ERROR),
    "has an error frame": lambda _: [HEAD, chunked(_event(ERROR)), END],
    "is a page": lambda _: answers(200, raw=b"<!doctype html><p>Sign in"),
    "is no JSON": lambda _: [HEAD, BROKEN, END],
    "is no HTTP": lambda _: [b"220 mail.example ESMTP\r\n\r\n", None],
}
# Trouble comes after the first words.
LATE: dict[str, Callable[[], list[Step]]] = {
    "resets later": lambda: [None],
    "breaks off": lambda: [b""],
    "stalls": lambda: [...],
    "has an error frame later": lambda: [chunked(_event(ERROR)), END],
    "is no JSON later": lambda: [BROKEN, END],
    "ends too early": lambda: [END],
}
# The answer is whole. Those that never end, or end late, are hung up on.
WELL: dict[str, Callable[[Callable[[bytes], bytes]], list[Step]]] = {
    "is well": lambda framed: [framed(STOP + DONE) + END],
    "says more": lambda framed: [framed(STOP + DONE + _delta(content="!")) + END],
    "ends late": lambda framed: [framed(STOP + DONE), 0.2, END],
    "never ends": lambda framed: [framed(STOP + DONE), ...],
    "says no [DONE]": lambda framed: [framed(STOP) + END],
    "closes": lambda framed: [framed(STOP + DONE), b""],
}


@define(eq=False)
class Troubled:
    """
    Serves every provider: a request's path begins with its id, and its field *soak* has
    the race, and the parts by id.
    """

    port: int = 0
    _writers: set[asyncio.StreamWriter] = field(factory=set)

    def table(self, name: str) -> str:
        url = f"http://127.0.0.1:{self.port}/{name}/v1"
        return f'[providers.{name}]\nkind = "openai"\nbase_url = "{url}"'

    def hang_up(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.close()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers.add(writer)
        # uvloop calls it a RuntimeError to write to one that has hung up.
        with suppress(ConnectionError, asyncio.IncompleteReadError, RuntimeError):
            while await _exchange(reader, writer):
                pass
        writer.close()
        self._writers.discard(writer)


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer a request; return whether the connection is good for another."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    method, path, *_ = head.split(" ")
    if method == "get":
        return await _play(answers(200, {"data": []}), reader, writer)
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    asked = json.loads(await reader.readexactly(length))[FIELD]
    racer = path.split("/")[1].upper()
    part = Part(**asked["parts"][racer])
    await asyncio.sleep(part.delay)
    said = answer(asked["race"], racer, part.count)
    return await _play(script(part, said), reader, writer)


async def _play(
    steps: list[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    for step in steps:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        elif isinstance(step, float):
            await asyncio.sleep(step)
        elif step is None:
            if not writer.is_closing():
                reset_on_close(writer.get_extra_info("socket"))
                writer.transport.abort()
            return False
        else:
            await reader.read(1)
            return False
    return steps[-1] != b""


@asynccontextmanager
async def troubled() -> AsyncIterator[Troubled]:
    """Start one on a free port."""
    made = Troubled()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        try:
            yield made
        finally:
            made.hang_up()
