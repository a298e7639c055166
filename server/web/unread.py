"""How much memory incomplete request bodies may take together."""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from server.errors import ServerBusy

# So many bodies of the largest size may be on their way in at a time; or any number of
# small ones.
LARGEST = 2


@define(eq=False)
class UnreadBodies:
    """Counts the bytes of incomplete bodies."""

    _total: int = field(default=0, init=False)

    @contextmanager
    def reading(self, largest: int) -> Iterator["Share"]:
        """Return the context of reading one body, of *largest* bytes at most."""
        share = Share(self, largest * LARGEST)
        try:
            yield share
        finally:
            self._total -= share.taken

    def take(self, count: int, limit: int) -> None:
        """Count more bytes; raises ServerBusy beyond *limit* for all bodies."""
        if self._total + count > limit:
            raise ServerBusy(
                "The server is taking in too many large bodies. Try again soon.",
                headers={"Retry-After": "1", "Connection": "close"},
            )
        self._total += count


@define(eq=False)
class Share:
    """The bytes of one body among those of all."""

    _bodies: UnreadBodies
    _limit: int
    taken: int = field(default=0, init=False)

    def take(self, count: int) -> None:
        self._bodies.take(count, self._limit)
        self.taken += count
