"""The strategy "fallback": each racer starts when the one before it has failed."""

from typing import ClassVar

from attrs import define

from .parallel import Parallel


@define
class Fallback(Parallel):
    """One racer at a time, in the order of the lineup."""

    name: ClassVar[str] = "fallback"

    @classmethod
    def most_parallel(cls, _: int) -> int:
        return 1
