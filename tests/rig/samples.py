"""Recorded answers of upstreams, and how a transport delivers one to its dialect."""

from collections.abc import Iterator
from pathlib import Path

from providers import Chunk, chunks_of
from providers.dialects import Dialect

WIRE = Path(__file__).parents[1] / "wire"
ALL_AT_ONCE = 1 << 20


def delivered(
    dialect: Dialect, body: bytes, size: int = ALL_AT_ONCE
) -> Iterator[Chunk]:
    """
    Yield the chunks of an answer whose body arrives in pieces of *size* bytes.

    What follows the answer's own end is not delivered: a transport hangs up there.
    """
    for start in range(0, len(body), size):
        yield from chunks_of(dialect.receive(body[start : start + size]))
        if dialect.done:
            return
    yield from chunks_of(dialect.end())
    assert dialect.done
