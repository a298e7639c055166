"""The other side of the matrix: faulty upstreams and a healthy one, and their ports."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing

from attrs import define, field

from tests.rig.upstream import Received, Script, Upstream, upstream

from .judging import SECRET, Cell, said_by_healthy
from .scripts import ALL, DONE, HEALTHY, PAUSE, ROLE, STOP, Asked, chunk, frame, whole
from .table import Place

SETTINGS = """
[race]
connect_timeout = 10.0
first_token_timeout = 20.0
idle_timeout = 20.0
total_timeout = 25.0

[log]
level = "debug"
"""


@define
class Upstreams:
    """
    Plays the part of every provider in some cells, which a request names as its `user`.

    *ports* are those of the places where no script is reached.
    """

    scripted: Upstream
    ports: dict[Place, int]
    _cells: dict[str, Cell] = field(factory=dict, init=False)
    _played: dict[str, asyncio.Event] = field(factory=dict, init=False)
    _told: dict[str, list[asyncio.Event]] = field(factory=dict, init=False)

    def enter(self, cells: Iterable[Cell]) -> None:
        """Play these cells from now on."""
        self._cells = {cell.id: cell for cell in cells}
        self._played = {name: asyncio.Event() for name in self._cells}
        self._told = {
            name: [asyncio.Event() for _ in range(ALL + 1)] for name in self._cells
        }

    def toml(self) -> str:
        """Return the configuration with a provider for each cell."""
        tables = [SETTINGS, _table(HEALTHY, self.scripted.port, {})]
        for cell in self._cells.values():
            port = self.ports.get(cell.fault.place, self.scripted.port)
            tables.append(_table(cell.id, port, cell.fault.limits))
        return "\n".join(tables)

    def write(self, received: Received) -> Script:
        """Return the script that a request gets."""
        cell = self._cells[received.json["user"]]
        if _is_healthy(received):
            return self._healthy(cell)
        if not cell.stream:
            return cell.fault.write(Asked(received))
        return cell.fault.write(Asked(received, self._told[cell.id].__getitem__))

    def tell(self, cell: Cell, body: bytearray) -> None:
        """Let the faulty one go on: so much of an answer has reached the client."""
        waiting = self._told[cell.id]
        if cell.stream and not waiting[ALL].is_set():
            come = body[: body.rfind(b"\n\n") + 2].count(b"\n\n")
            for told in waiting[: come + 1]:
                told.set()

    def asked(self) -> Counter[str]:
        """Return how often each faulty provider was sent a request."""
        names = (r.path.split("/")[1] for r in self.scripted.requests)
        return Counter(name for name in names if name != HEALTHY)

    async def hang_up(self) -> None:
        """
        Close the connections that the server keeps, when it has closed all others.

        Raises TimeoutError if a script is played on and on: nobody has hung up on it.
        """
        await self.scripted.quiet.wait()
        self.scripted.hang_up_idle()

    def over(self, received: Received) -> None:
        """Let the healthy one speak, once the faulty one has come to its end."""
        played = self._played.get(received.json["user"])
        if played is not None and not _is_healthy(received):
            played.set()

    def _healthy(self, cell: Cell) -> Script:
        said = frame(chunk(content=said_by_healthy(cell.id)))
        answer = whole([ROLE, said, STOP, DONE])
        if cell.shape != "slower":
            return answer
        if cell.fault.kind == "answers":
            return [...]
        if cell.fault.place == "script":
            return [self._played[cell.id], PAUSE, *answer]
        return [sum(cell.fault.limits.values()) + PAUSE, *answer]


@asynccontextmanager
async def upstreams() -> AsyncIterator[Upstreams]:
    """Open every port that there is, and three that there is nothing behind."""
    async with AsyncExitStack() as stack:
        scripted = await stack.enter_async_context(upstream())
        refusing = stack.enter_context(closing(socket.socket()))
        refusing.bind(("127.0.0.1", 0))
        full = stack.enter_context(
            closing(socket.create_server(("127.0.0.1", 0), backlog=0))
        )
        stack.enter_context(closing(socket.create_connection(full.getsockname())))
        closing_server = await stack.enter_async_context(
            await asyncio.start_server(_hang_up, "127.0.0.1", 0)
        )
        made = Upstreams(
            scripted,
            {
                "refusing": refusing.getsockname()[1],
                "full": full.getsockname()[1],
                "closing": closing_server.sockets[0].getsockname()[1],
            },
        )
        scripted.choose, scripted.over = made.write, made.over
        yield made


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def _is_healthy(received: Received) -> bool:
    return received.path.startswith(f"/{HEALTHY}/")


def _table(name: str, port: int, limits: dict[str, float]) -> str:
    keys = {
        "kind": "openai",
        "base_url": f"http://127.0.0.1:{port}/{name}/v1",
        "api_key": f"sk-{SECRET}-{name}",
        **limits,
    }
    secrets = f'X-Team = "{SECRET}-team", Cookie = "id={SECRET}-cookie; lang=en"'
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join([f"[providers.{name}]", *lines, f"headers = {{ {secrets} }}"])
