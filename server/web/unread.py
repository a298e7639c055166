"""How much memory the bodies may take together that are not complete yet."""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from server.errors import ServerBusy

# So many of the largest bodies may be on their way in at a time; any number of small
# ones is.
LARGEST = 2


@define(eq=False)
class UnreadBodies:
    """The bytes that have come of bodies that are not complete."""

    _held: int = field(default=0, init=False)

    @contextmanager
    def reading(self, largest: int) -> Iterator["Share"]:
        """Read one body, of *largest* bytes at most; its bytes are given back after."""
        share = Share(self, largest * LARGEST)
        try:
            yield share
        finally:
            self._held -= share.taken

    def take(self, count: int, limit: int) -> None:
        """Raise ServerBusy if all together would have more than *limit* bytes."""
        if self._held + count > limit:
            raise ServerBusy(
                "The server is taking in too many large bodies. Try again soon.",
                headers={"Retry-After": "1", "Connection": "close"},
            )
        self._held += count


@define(eq=False)
class Share:
    """What one body takes of it."""

    _bodies: UnreadBodies
    _limit: int
    taken: int = field(default=0, init=False)

    def take(self, count: int) -> None:
        self._bodies.take(count, self._limit)
        self.taken += count
