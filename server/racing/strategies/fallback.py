"""The strategy "fallback": one after another, each when the one before has failed."""

from typing import ClassVar

from attrs import define

from .parallel import Parallel


@define
class Fallback(Parallel):
    """One at a time, in the order that is given."""

    name: ClassVar[str] = "fallback"

    @classmethod
    def most_parallel(cls, _: int) -> int:
        return 1
