"""What is noted of one call to an upstream, while it goes."""

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from types import MappingProxyType
from typing import Literal, TypeVar

import aiohttp
from attrs import define, field

from providers.chat import Usage

# How often a call is sent at most: dead connections that nobody has noticed are few.
MAX_SENT = 3
# Of nearly all calls: most have no trace.
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
T = TypeVar("T")
CallStep = Literal["connected", "headers"]


@define
class Attempt:
    """
    One call as it went, while it goes: times are perf_counter's, in seconds.

    *received* counts the bytes of the body, *chunks* what they were decoded to, and
    *tokens* those of the chunks that had content: there are at least so many. *ended*
    is when the answer was there to its end. *whole*: the answer was requested in one
    piece, so that nobody knows when its first token was written. *notes* say what has
    been put right so far, for the race's story: the dialect's own list. *dropped* names
    what of the request its upstream was not sent, such as "tools.web_search". *on_step*
    is called when the connection is there, and when the answer's head is. *usage* is
    what the upstream has counted, once it has said so. *trace* has headers that tell
    the upstream of a trace.
    """

    connected: float | None = None
    headers: float | None = None
    ended: float | None = None
    whole: bool = False
    reused: bool = False
    received: int = 0
    chunks: int = 0
    tokens: int = 0
    notes: list[str] = field(factory=list)
    dropped: list[str] = field(factory=list)
    on_step: Callable[[CallStep], None] | None = None
    usage: Usage | None = None
    trace: Mapping[str, str] = NO_HEADERS
    _sent_at: float = 0.0

    def connect(self) -> None:
        """Note that a connection is there."""
        self.connected = perf_counter()
        if self.on_step is not None:
            self.on_step("connected")

    async def send(self, send: Callable[[], Awaitable[T]], stale: float) -> T:
        """
        Call *send*; again where a kept-alive connection was dead already.

        *stale*: the seconds within which a dead connection shows.
        """
        sent = 0
        while True:
            sent += 1
            self.connected, self.reused = None, False
            self._sent_at = perf_counter()
            try:
                answer = await send()
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
                # Each round takes one such connection out of the pool.
                if sent == MAX_SENT or not self._was_stale(exc, stale):
                    raise
            else:
                self.headers = perf_counter()
                if self.on_step is not None:
                    self.on_step("headers")
                return answer

    def _was_stale(self, exc: aiohttp.ClientError, stale: float) -> bool:
        """
        Say whether the connection was dead, so that nobody has seen the request.

        A kept one that is dead breaks at once, and with nothing of an answer; but so
        does an upstream that takes each request and hangs up.
        """
        # What there was of an answer, or else words.
        rest = exc.message if isinstance(exc, aiohttp.ServerDisconnectedError) else ""
        at_once = perf_counter() - self._sent_at < stale
        return self.reused and at_once and isinstance(rest, str)
