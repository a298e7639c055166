"""
One of several serving processes. It reads its orders from standard input, and ends with
that.
"""

import asyncio
import base64
import pickle
import shutil
import signal
import socket
import sys
from asyncio import StreamReader
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import cast

import orjson
from attrs import asdict, frozen

from providers import EngineAddress, load_packages
from server import logs
from server.config.settings import Config
from server.record.counters import counters_of_worker

from .channel_member import Member
from .listening import SocketFile
from .serve import Change, Worker, serve

# Bytes of an order: a configuration with all that it takes from the environment.
LONGEST_ORDER = 64 * 1024 * 1024


@frozen
class Order:
    """What a worker is to serve with from now on."""

    config: Config
    engines: Mapping[str, EngineAddress]

    def line(self) -> bytes:
        return base64.b64encode(pickle.dumps(self)) + b"\n"


def read_order(line: bytes) -> Order:
    # The pipe leads from the process that started this one, and nobody else has it.
    return cast("Order", pickle.loads(base64.b64decode(line)))  # noqa: S301 - as above


@frozen
class Place:
    """
    What a worker is started with, and cannot change: the descriptors of its listening
    socket and of its link to the supervisor, its number, how many *workers* there are,
    and the file of responses and the *folder* that all share.
    """

    listening: int
    link: int
    number: int
    workers: int
    responses: str
    folder: str

    def text(self) -> str:
        return orjson.dumps(asdict(self)).decode()


async def work(place: Place) -> None:
    """
    Serve as the orders say.

    If the orders end because the supervisor is gone, its temporary folder and the file
    of its socket are removed here.
    """
    orders = StreamReader(limit=LONGEST_ORDER)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    if not (line := await orders.readline()):
        return
    first = read_order(line)
    logs.configure(first.config.log)
    sock = socket.socket(fileno=place.listening)
    file = SocketFile.of(sock)
    channel = Member(socket.socket(fileno=place.link))
    counters = counters_of_worker(Path(place.folder), place.number, place.workers)
    worker = Worker(channel, counters, place.number, place.responses)
    try:
        await serve(first.config, first.engines, sock, _changes(orders), worker)
    finally:
        channel.close()
    if orders.at_eof():
        shutil.rmtree(place.folder, ignore_errors=True)
        if file is not None:
            file.remove()


async def _changes(orders: StreamReader) -> AsyncIterator[Change]:
    async for line in orders:
        order = read_order(line)
        yield order.config, order.engines


def main(place: str) -> None:
    """Work in this place, which the supervisor has made."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is for the one that gives orders
    import uvloop

    load_packages()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(Place(**orjson.loads(place))))


if __name__ == "__main__":
    main(sys.argv[1])
