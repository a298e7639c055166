"""What is noted of one call to an upstream, while it goes."""

from time import perf_counter

import aiohttp
from attrs import define

# Seconds within which a dead connection shows: a round trip, wherever it goes.
STALE = 1.0


@define
class Attempt:
    """
    One call as it went, while it goes: times are perf_counter's, in seconds.

    *received* counts the bytes of the body, *chunks* what they were decoded to, and
    *tokens* those of the chunks that had content: there are at least so many. *ended*
    is when the answer was there to its end; *whole*, whether it was asked for in one
    piece, of which nobody knows when its first token was written.
    """

    connected: float | None = None
    headers: float | None = None
    ended: float | None = None
    whole: bool = False
    reused: bool = False
    received: int = 0
    chunks: int = 0
    tokens: int = 0
    _sent_at: float = 0.0

    def begin(self) -> None:
        self.connected, self.reused = None, False
        self._sent_at = perf_counter()

    def was_stale(self, exc: aiohttp.ClientError) -> bool:
        """
        Say whether the connection was dead, so that nobody has seen the request.

        A kept one that is dead breaks at once, and with nothing of an answer; but so
        does an upstream that takes each request and hangs up.
        """
        # What there was of an answer, or else words.
        rest = exc.message if isinstance(exc, aiohttp.ServerDisconnectedError) else ""
        at_once = perf_counter() - self._sent_at < STALE
        return self.reused and at_once and isinstance(rest, str)
