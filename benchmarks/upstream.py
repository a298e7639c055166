"""A fake upstream that costs next to nothing: `python -m benchmarks.upstream LANES`.

One port a lane, so that gateways take each for a provider of its own. What is sent was
encoded beforehand. It prints its ports, and ends with its standard input.
"""

import asyncio
import json
import os
import random
import re
import sys
from collections.abc import Sequence
from functools import partial
from math import exp
from time import perf_counter
from typing import Any, cast

import uvloop
from attrs import define, field

from .wire import (
    EVENTS,
    HEAD,
    ORDER,
    ROLE,
    Order,
    burst,
    ending,
    json_answer,
    native,
    whole,
)

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
RACE = re.compile(rb'"user": ?"race-(\d+)"')
STREAM = re.compile(rb'"stream": ?true')
# The heavy tail: milliseconds.
MEDIAN, SIGMA = 40.0, 0.3
STRAGGLERS, SLOWEST, LEAST_SLOW = 0.03, 12.0, 4.0


def tail(lane: int, race: int) -> float:
    """Draw the seconds to the first token: the same for every policy that asks."""
    draw = random.Random(race * 100 + lane)
    delay = MEDIAN * exp(draw.gauss(0, SIGMA))
    if draw.random() < STRAGGLERS:
        delay *= draw.uniform(LEAST_SLOW, SLOWEST)
    return delay / 1000


@define(eq=False)
class Call:
    """One request of a race, as this side saw it; perf_counter's seconds."""

    race: int
    lane: int
    arrived: float
    spoke: float | None = None
    hung_up: float | None = None


@define(eq=False)
class Book:
    """What all lanes share: what was called, and who waits to be told to go on."""

    calls: int = 0
    raced: list[Call] = field(factory=list)
    stepping: list["Lane"] = field(factory=list)
    paced: list["Lane"] = field(factory=list)
    asked_to_step: asyncio.Event = field(factory=asyncio.Event)

    def step(self) -> None:
        """Have every stream that waits send its next event."""
        for lane in self.stepping.copy():
            lane.send_next()

    def go(self) -> bytes:
        """Have every paced stream go on from its first event, which it has sent."""
        for lane in self.paced:
            lane.pace()
        self.paced = []
        return json_answer({})

    def take(self) -> bytes:
        """Return what was seen since the last time."""
        raced = [[c.race, c.lane, c.arrived, c.spoke, c.hung_up] for c in self.raced]
        answer = json_answer({"calls": self.calls, "raced": raced})
        self.calls, self.raced = 0, []
        return answer


class Lane(asyncio.Protocol):
    """One connection to one lane."""

    def __init__(self, book: Book, number: int) -> None:
        self._book = book
        self._number = number
        self._buffer = b""
        self._due: asyncio.TimerHandle | None = None
        self._call: Call | None = None
        self._order = Order(0)
        self._sent = 0
        self._end = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._out = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, _: Exception | None) -> None:
        if self._due is not None:
            self._due.cancel()
        if self._call is not None:
            self._call.hung_up = perf_counter()
        for waiting in (self._book.stepping, self._book.paced):
            if self in waiting:
                waiting.remove(self)

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        data = self._buffer + data if self._buffer else data
        end = data.find(b"\r\n\r\n")
        length = LENGTH.search(data, 0, end) if end > 0 else None
        size = end + 4 + (int(length[1]) if length else 0)
        if end < 0 or len(data) < size:
            self._buffer = data
            return
        self._buffer = b""
        if data.startswith(b"GET /log"):
            self._out.write(self._book.take())
        elif data.startswith(b"GET /go"):
            self._out.write(self._book.go())
        elif data.startswith(b"GET"):
            self._out.write(json_answer({"object": "list", "data": []}))
        else:
            self._answer(data, end, now)

    def _answer(self, data: bytes, end: int, now: float) -> None:
        asked = ORDER.search(data, end)
        if asked is None:
            raise ValueError(f"no order in {data[:500]!r}")
        self._book.calls += 1
        events, gap, delay = asked.groups()
        order = self._order = Order(int(events), gap.decode(), delay.decode())
        # The race's number stands near the order, and only in small requests.
        race = RACE.search(data, end, end + 600)
        if race is not None:
            self._call = Call(int(race[1]), self._number, now)
            self._book.raced.append(self._call)
        if data.startswith(b"POST /v1/responses"):
            self._later(lambda: self._out.write(HEAD + native(order.events)))
        elif STREAM.search(data, end):
            self._sent = 0
            self._end = ending(usage=b'"include_usage"' in data)
            self._stream()
        else:
            self._later(lambda: self._out.write(whole(order.events)))

    def _stream(self) -> None:
        gap = self._order.gap
        if gap in {"0", "each"}:
            self._later(self._send_all)
            return
        self._out.write(HEAD + ROLE)
        if gap == "step":
            self._book.stepping.append(self)
            self._book.asked_to_step.set()
        elif gap != "never":
            self.send_next()
            self._book.paced.append(self)

    def _later(self, send: Any) -> None:
        delay = self._order.delay
        if delay == "0":
            send()
        elif delay == "tail":
            race = self._call.race if self._call else 0
            self._due = self._loop.call_later(tail(self._number, race), send)
        else:
            self._due = self._loop.call_later(int(delay) / 1000, send)

    def _send_all(self) -> None:
        call, self._call = self._call, None  # what hangs up from now on has its answer
        if call is not None:
            call.spoke = perf_counter()
        if self._order.gap == "0":
            self._out.write(HEAD + ROLE + burst(self._order.events) + self._end)
        else:
            self._send_each([HEAD + ROLE, *EVENTS[: self._order.events], self._end])

    def _send_each(self, parts: list[bytes]) -> None:
        # Below the transport, which would join them.
        fd = self._out.get_extra_info("socket").fileno()
        for at, part in enumerate(parts):
            try:
                sent = os.write(fd, part)
            except BlockingIOError:
                sent = 0
            if sent < len(part):
                self._out.write(part[sent:] + b"".join(parts[at + 1 :]))
                return

    def send_next(self) -> None:
        """Send the next event, and the end after the last."""
        if self._sent < self._order.events:
            self._out.write(EVENTS[self._sent])
            self._sent += 1
            return
        if self in self._book.stepping:
            self._book.stepping.remove(self)
        self._out.write(self._end)

    def pace(self) -> None:
        """Send the other events, each for itself."""
        # Streams that go on together are not to speak together.
        gap = int(self._order.gap) / 1000
        self._due = self._loop.call_later(gap * random.random(), self._tick, gap)

    def _tick(self, gap: float) -> None:
        last = self._sent == self._order.events
        self.send_next()
        if not last:
            self._due = self._loop.call_later(gap, self._tick, gap)


async def listen(book: Book, lanes: int) -> tuple[list[int], list[asyncio.Server]]:
    """Open *lanes* ports; return them, and their servers."""
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(
            partial(Lane, book, number), "127.0.0.1", 0, backlog=4096
        )
        for number in range(lanes)
    ]
    return [server.sockets[0].getsockname()[1] for server in servers], servers


async def main(arguments: Sequence[str]) -> None:
    ports, servers = await listen(Book(), int(arguments[0]))
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    over = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(over), sys.stdin
    )
    await over.read()
    for server in servers:
        server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1:]))
