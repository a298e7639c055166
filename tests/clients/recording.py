"""A relay before a server, which keeps what clients ask."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httptools
from attrs import define, field, frozen
from yarl import URL


@frozen
class Asked:
    """A request as a client sent it; names of headers are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@define
class _Reader:
    """Collects the requests of one connection; a callback of the parser a method."""

    asked: list[Asked]
    path: str = ""
    headers: dict[str, str] = field(factory=dict)
    body: bytearray = field(factory=bytearray)
    parser: httptools.HttpRequestParser = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.path, self.headers, self.body = "", {}, bytearray()

    def on_url(self, url: bytes) -> None:
        self.path += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        method = self.parser.get_method().decode()
        self.asked.append(Asked(method, self.path, self.headers, bytes(self.body)))


@define(eq=False)
class Relay:
    """Passes on what clients and the server at *server* say; *asked* are requests."""

    server: URL
    url: str = ""
    asked: list[Asked] = field(factory=list)
    _serving: set[asyncio.Task[None]] = field(factory=set, init=False)

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self._pass_on(reader, writer)
        writer.close()
        self._serving.discard(task)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        up_reader, up_writer = await asyncio.open_connection(
            self.server.host, self.server.port
        )
        parser = _Reader(self.asked).parser
        ways = [
            asyncio.create_task(_copy(reader, up_writer, parser)),
            asyncio.create_task(_copy(up_reader, writer, None)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            up_writer.close()

    async def stop(self) -> None:
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)


async def _copy(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    parser: httptools.HttpRequestParser | None,
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(2**16):
            if parser is not None:
                parser.feed_data(data)
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def relay(url: str) -> AsyncIterator[Relay]:
    """Listen on a free port for whom the server at *url* shall answer."""
    made = Relay(URL(url))
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield made
        finally:
            await made.stop()
