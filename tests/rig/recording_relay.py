"""A relay before a server, which keeps what the server answered."""

import asyncio
import contextlib
import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

from attrs import define, field, frozen
from yarl import URL


@frozen
class Heard:
    """An answer as it came over the wire."""

    status: int
    content_type: str
    body: bytes

    @property
    def streamed(self) -> bool:
        return self.content_type.startswith("text/event-stream")


@define(eq=False)
class Tap:
    """Passes on what clients and the server at *server* say, byte for byte."""

    server: URL
    url: str = ""
    _sent: list[bytearray] = field(factory=list, init=False)
    _serving: set[asyncio.Task[Any]] = field(factory=set, init=False)

    def take(self) -> list[Heard]:
        """Return the whole answers since the last time, by connection."""
        answers = [answer for sent in self._sent for answer in _answers(bytes(sent))]
        self.forget()
        return answers

    def forget(self) -> None:
        for sent in self._sent:
            sent.clear()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        host, port = self.server.host, self.server.port
        answering, asking = await asyncio.open_connection(host, port)
        self._sent.append(kept := bytearray())
        ways = [
            asyncio.create_task(_pass_on(reader, asking, bytearray())),
            asyncio.create_task(_pass_on(answering, writer, kept)),
        ]
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            asking.close()
            writer.close()
            self._serving.discard(task)

    async def stop(self) -> None:
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(2**16):
            kept += data
            writer.write(data)
            await writer.drain()


class _Kept(BytesIO):
    """What `http.client` reads from, and closes after each answer."""

    def makefile(self, mode: str) -> BytesIO:
        return self

    def close(self) -> None:
        return


def _answers(sent: bytes) -> list[Heard]:
    """Return the answers that one connection carried."""
    file, found = _Kept(sent), []
    while file.tell() < len(sent):
        answer = http.client.HTTPResponse(file)  # type: ignore[arg-type]
        answer.begin()
        try:
            body = answer.read()
        except http.client.IncompleteRead as exc:
            body = exc.partial  # a client may hang up when it has heard `[DONE]`
        found.append(Heard(answer.status, answer.headers.get_content_type(), body))
    return found


@asynccontextmanager
async def tap(url: str) -> AsyncIterator[Tap]:
    """Listen on a free port for whom the server at *url* shall answer."""
    made = Tap(URL(url))
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield made
        finally:
            await made.stop()
