"""Puts the parts of an answer, which an upstream may interleave, one after another."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import orjson
from attrs import define, field


class OrderedPart(Protocol):
    """A part of an answer: an item or a block, with its place among the others."""

    @property
    def index(self) -> int: ...

    @property
    def has_name(self) -> bool:
        """Whether it can be shown: a call's name may come after its first piece."""

    @property
    def whole(self) -> bool:
        """Whether nothing more can come. Text may end at any time, a call may not."""


PartT = TypeVar("PartT", bound=OrderedPart)
PieceT = TypeVar("PieceT")


@define(eq=False)
class Ordering(Generic[PartT, PieceT]):
    """
    Holds back what belongs to a later part until the parts before it are whole.

    Clients of APIs with items or blocks expect each of them to end before the next one
    begins. The first part that has not ended is shown as it grows.
    """

    _open: deque[PartT] = field(factory=deque, init=False)
    _unsent: dict[int, list[PieceT]] = field(factory=dict, init=False)

    @property
    def first(self) -> PartT:
        """The part that is being shown; raises IndexError if there is none."""
        return self._open[0]

    def add(self, part: PartT, *pieces: PieceT) -> None:
        """Take in *pieces* of *part*, which goes behind all others if it is new."""
        unsent = self._unsent.get(part.index)
        if unsent is None:
            unsent = self._unsent[part.index] = []
            self._open.append(part)
        unsent += pieces

    def is_last(self, part: PartT) -> bool:
        """Say whether no part has begun after *part*."""
        return self._open[-1] is part

    def advance(
        self, *, ended: bool = False
    ) -> Iterator[tuple[PartT, list[PieceT], bool]]:
        """
        Yield what can be shown now: a part, its new pieces, and whether it is over.

        *ended*: nothing more comes, so that all parts are shown, and over.
        """
        while self._open and (ended or self._open[0].has_name):
            part = self._open[0]
            pieces, self._unsent[part.index] = self._unsent[part.index], []
            over = ended or (len(self._open) > 1 and part.whole)
            yield part, pieces, over
            if not over:
                return
            self._open.popleft()


def is_whole_object(pieces: Sequence[str]) -> bool:
    """Say whether pieces of JSON text, put together, are a whole object."""
    last = next((piece for piece in reversed(pieces) if piece.strip()), "")
    if not last.rstrip().endswith("}"):
        return False  # most pieces end elsewhere, and are not worth parsing
    try:
        return isinstance(orjson.loads("".join(pieces)), dict)
    except orjson.JSONDecodeError:
        return False
