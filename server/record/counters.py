"""
Numbers that outlive the process that counts: they are in files that all workers map,
since who is killed can tell nobody. The only process of a server has them in memory.
"""

import mmap
from collections.abc import Callable, Collection, Iterator, MutableSequence, Sequence
from pathlib import Path
from typing import cast

from attrs import define, field

from .register import Register, Series, SharedRegister

# Numbers of each worker: eight times what all metrics together may have. The file has
# holes where nothing is counted.
CAPACITY = 1 << 17
SLOTS, NAMES = "counters-", "names"
Slots = MutableSequence[float]


@define(eq=False)
class Counters:
    """
    The numbers of this process, in *slots*, and those of all processes.

    To count is `slots[i] += 1`, by whoever has asked for that slot once.
    """

    slots: Slots = field(factory=list)
    _register: Register = field(factory=Register)
    _all: Callable[[], Sequence[Slots]] | None = None

    @property
    def shared(self) -> bool:
        """Whether there are other processes that count."""
        return self._all is not None

    def slot(self, name: str, labels: tuple[str, ...] = (), size: int = 1) -> int:
        """Return the first of *size* slots for what has this name and these labels."""
        series = self._register.add(name, labels, size)
        missing = series.start + size - len(self.slots)
        if missing > 0:
            self.slots.extend([0.0] * missing)
        return series.start

    def reset(self, names: Collection[str]) -> None:
        """Set this process's numbers with these names to 0, its predecessors' too."""
        for series in self.series():
            if series.name in names and series.start + series.size <= len(self.slots):
                for place in range(series.start, series.start + series.size):
                    self.slots[place] = 0.0

    def series(self) -> Sequence[Series]:
        """Return what is counted by any process."""
        return self._register.all()

    def numbers(self) -> Iterator[tuple[Series, list[Sequence[float]]]]:
        """
        Yield all that is counted: each series with its numbers in each process, those
        that are no more included.
        """
        known = self.series()
        end = known[-1].start + known[-1].size if known else 0
        shares = [self.slots] if self._all is None else self._all()
        copies = [list(share[:end]) for share in shares]
        for series in known:
            place = slice(series.start, series.start + series.size)
            yield series, [copy[place] for copy in copies]


def counters_of_worker(folder: Path, number: int) -> Counters:
    """
    Return the counters of the worker with this number, those of its predecessors
    included, and all workers' counters in *folder*.
    """
    mapped: dict[str, Slots] = {}

    def shares() -> list[Slots]:
        for path in folder.glob(f"{SLOTS}*"):
            if path.name not in mapped:
                mapped[path.name] = _mapped(path)
        return list(mapped.values())

    own = folder / f"{SLOTS}{number}"
    mapped[own.name] = slots = _mapped(own)
    return Counters(slots, SharedRegister(folder / NAMES), shares)


def _mapped(path: Path) -> Slots:
    with path.open("a+b") as file:
        file.truncate(CAPACITY * 8)
        view = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
    return cast("Slots", view)  # but for its length, which never has to grow
