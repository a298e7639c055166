"""A provider's server on a real socket, doing exactly what its script says."""

import asyncio
import contextlib
import email.policy
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from time import perf_counter
from types import EllipsisType
from typing import Any, cast
from urllib.parse import parse_qsl

from attrs import define, field

from .canary import CANARY

# What a script is made of: bytes are sent, a number is waited for in seconds, an event
# is waited for, `...` means: then nothing, until the other side hangs up; `None` resets
# the connection. A script may be endless.
Step = bytes | float | asyncio.Event | EllipsisType | None
Script = Iterable[Step]

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"


def chunked(data: bytes) -> bytes:
    """Return *data* as one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(payload: Any) -> bytes:
    """Return *payload* as one chunk with one server-sent event."""
    return chunked(b"data: " + json.dumps(payload).encode() + b"\n\n")


def delta(finish_reason: str | None = None, **delta: Any) -> bytes:
    """Return the event of a chat completion chunk with this delta."""
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "upstream-model",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }
    )


ROLE = delta(role="assistant", content="")
DONE = chunked(b"data: [DONE]\n\n")
USAGE = event(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "upstream-model",
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
)


def says(*words: str) -> list[Step]:
    """Return the script of a good answer."""
    return [
        HEAD,
        ROLE,
        *[delta(content=word) for word in words],
        delta("stop"),
        USAGE,
        DONE,
        END,
    ]


def answers(
    status: int, body: Any = None, headers: Iterable[str] = (), *, raw: bytes = b""
) -> list[Step]:
    """Return the script of an answer that is no stream: JSON, or *raw* bytes."""
    content = raw or json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status} Status",
        f"Content-Length: {len(content)}",
        *headers,
        "\r\n",
    ]
    return ["\r\n".join(lines).encode() + content]


@define
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.path.partition("?")[2]))

    @property
    def form(self) -> list[tuple[str, str | None, str, bytes]]:
        """Each field of a multipart body: name, file name, content type, value."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        whole = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        return [
            (
                str(part.get_param("name", header="content-disposition")),
                part.get_filename(),
                part.get_content_type(),
                cast("bytes", part.get_payload(decode=True)),
            )
            for part in whole.iter_parts()
        ]


@define(eq=False)
class Upstream:
    """
    Plays *script* for each POST, and lists *models* for each GET. *scripts* are played
    before *script*, one a POST; *choose*, if there is one, names the script for each
    POST, and *over* is told when it is over. *listing*, if there is one, is what a GET
    gets. *refuses*, if there is one, says why the vendor would answer 400 to a POST's
    JSON, as those of `validators` do; "" for what it takes. *files* are scripts for the
    GETs whose path begins so, which *requests* then has, too.

    *hung_up* gets the time (perf_counter) at which a client hung up before the script
    was over; *asked* is set when a request has arrived, *played* when the first bytes
    of a script have been sent, *listed* when the models have. *quiet* is set while no
    script is being played.
    """

    script: list[Step] = field(factory=list)
    models: tuple[str, ...] = ()
    scripts: list[list[Step]] = field(factory=list)
    listing: list[Step] = field(factory=list)
    files: dict[str, list[Step]] = field(factory=dict)
    choose: Callable[[Received], Script] | None = None
    over: Callable[[Received], None] | None = None
    refuses: Callable[[Any], str] | None = None
    requests: list[Received] = field(factory=list)
    connections: int = 0
    arrived: asyncio.Queue[Received] = field(factory=asyncio.Queue)
    hung_up: asyncio.Queue[float] = field(factory=asyncio.Queue)
    asked: asyncio.Event = field(factory=asyncio.Event)
    played: asyncio.Event = field(factory=asyncio.Event)
    listed: asyncio.Event = field(factory=asyncio.Event)
    quiet: asyncio.Event = field(factory=asyncio.Event)
    port: int = 0
    scheme: str = "http"
    _serving: set[asyncio.Task[Any]] = field(factory=set, init=False)
    _playing: int = field(default=0, init=False)
    _idle: set[asyncio.StreamWriter] = field(factory=set, init=False)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"

    def table(self, name: str, **keys: Any) -> str:
        """
        Return the configuration of this upstream as the provider *name*, whose key no
        output of the test may have.
        """
        keys.setdefault("api_key", CANARY)
        lines = [f"[providers.{name}]", 'kind = "openai"', f'base_url = "{self.url}"']
        return "\n".join(
            [*lines, *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
        )

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while request := await self._next(reader, writer):
                if not await self._answer(request, reader, writer):
                    break
        writer.close()
        self._serving.discard(task)

    async def _next(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Received | None:
        self._idle.add(writer)
        try:
            return await _request(reader)
        finally:
            self._idle.discard(writer)

    async def _answer(
        self,
        request: Received,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Play the script that *request* gets; return whether another may follow."""
        script: Script | None = self._file(request)
        listing = script is None and request.method == "GET"
        if not listing:
            self.requests.append(request)
            self.arrived.put_nowait(request)
            self.asked.set()
        if script is None:
            script = self._listing() if listing else self._script(request)
        self._playing += 1
        self.quiet.clear()
        try:
            more = await self._play(script, reader, writer)
        finally:
            self._playing -= 1
            if not self._playing:
                self.quiet.set()
            if self.over is not None and not listing:
                self.over(request)
        if more and listing:
            self.listed.set()
        return more

    def _script(self, request: Received) -> Script:
        if self.refuses is not None and (why := self.refuses(request.json)):
            error = {"message": why, "type": "invalid_request_error", "code": 400}
            return answers(400, {"error": error})
        if self.choose is not None:
            return self.choose(request)
        return self.scripts.pop(0) if self.scripts else self.script

    def _listing(self) -> Script:
        rows = [{"id": model, "object": "model"} for model in self.models]
        return self.listing or answers(200, {"object": "list", "data": rows})

    def _file(self, request: Received) -> list[Step] | None:
        if request.method != "GET":
            return None
        found = (f for path, f in self.files.items() if request.path.startswith(path))
        return next(found, None)

    async def stop(self) -> None:
        """Hang up on whoever is still there."""
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    def hang_up_idle(self) -> None:
        """Close the connections that wait for another request."""
        for writer in self._idle:
            writer.close()

    async def _play(
        self,
        script: Script,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Do what *script* says; return whether the client is still there."""
        gone = asyncio.ensure_future(reader.read(1))
        first = last = b""
        try:
            for step in script:
                if isinstance(step, bytes):
                    first, last = first or step, step
                    writer.write(step)
                    await writer.drain()
                    self.played.set()
                elif step is None:
                    _reset(writer)
                    return False
                elif await _gone_before(gone, step):
                    self.hung_up.put_nowait(perf_counter())
                    return False
            # A body without a length ends with the connection.
            return _has_length(first, last)
        except ConnectionError:  # it was being written to just then
            self.hung_up.put_nowait(perf_counter())
            raise
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await gone


def _has_length(first: bytes, last: bytes) -> bool:
    """Return whether a body says where it ends, by what was sent first and last."""
    if not last:
        return False
    return b"Content-Length" in first or (b"chunked" in first and last.endswith(END))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection the hard way: no lingering, so that TCP sends a reset."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, linger
    )
    writer.transport.abort()


async def _gone_before(
    gone: asyncio.Future[bytes], step: float | asyncio.Event | EllipsisType
) -> bool:
    """Wait for *step*; return whether the client hung up before it was over."""
    waiting = asyncio.create_task(_wait_for(step))
    both: set[asyncio.Future[Any]] = {gone, waiting}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return gone.done()


async def _wait_for(step: float | asyncio.Event | EllipsisType) -> None:
    if isinstance(step, float | int):
        await asyncio.sleep(step)
    elif isinstance(step, asyncio.Event):
        await step.wait()
    else:
        await asyncio.Event().wait()


async def _request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head[0].split(" ", 2)
    pairs = (line.split(": ", 1) for line in head[1:] if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body)


@asynccontextmanager
async def upstream(
    script: Iterable[Step] = (),
    models: tuple[str, ...] = (),
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Upstream]:
    """Start an upstream on a free port."""
    made = Upstream(list(script), models, scheme="https" if tls else "http")
    async with await asyncio.start_server(
        made.serve, "127.0.0.1", 0, backlog=1024, ssl=tls
    ) as server:
        made.port = server.sockets[0].getsockname()[1]
        try:
            yield made
        finally:
            await made.stop()
