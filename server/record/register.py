"""Which counters there are: the same for all processes of a server."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
from attrs import frozen

# Sets of labels that one name has; what would be one more is counted as OTHER.
MOST = 200
OTHER = "other"
Key = tuple[str, tuple[str, ...]]


@frozen
class Series:
    """What is counted under one set of labels: *size* numbers from slot *start* on."""

    name: str
    labels: tuple[str, ...]
    start: int
    size: int


class Register:
    """The counters of one process."""

    def __init__(self) -> None:
        self._series: dict[Key, Series] = {}
        self._sets: dict[str, int] = {}
        self._end = 0

    def add(self, name: str, labels: tuple[str, ...], size: int) -> Series:
        """
        Return what has this name and these labels, which may be new; what is counted
        under OTHER where the name has too many sets of labels.
        """
        known = self._series.get((name, labels))
        if known is None and self._sets.get(name, 0) >= MOST - 1:
            labels = (OTHER,) * len(labels)
            known = self._series.get((name, labels))
        return known or self._enter(name, labels, size)

    def all(self) -> Sequence[Series]:
        """Return all that is counted, in the order in which it was added."""
        return tuple(self._series.values())

    def _enter(self, name: str, labels: tuple[str, ...], size: int) -> Series:
        series = Series(name, labels, self._end, size)
        self._series[name, labels] = series
        self._sets[name] = self._sets.get(name, 0) + 1
        self._end += size
        return series


class SharedRegister(Register):
    """
    The counters of all workers, in a file with a line for each. They stand at the same
    place in every worker's slots, and the bound on the sets of labels is one for all.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("a+b", buffering=0)
        self._read = 0

    def add(self, name: str, labels: tuple[str, ...], size: int) -> Series:
        known = self._series.get((name, labels))
        if known is not None:
            return known
        with self._up_to_date():
            return super().add(name, labels, size)

    def all(self) -> Sequence[Series]:
        with self._up_to_date():
            return super().all()

    def _enter(self, name: str, labels: tuple[str, ...], size: int) -> Series:
        line = orjson.dumps([name, labels, size]) + b"\n"
        self._read += self._file.write(line)
        return super()._enter(name, labels, size)

    @contextmanager
    def _up_to_date(self) -> Iterator[None]:
        """Know what others have added, and let them add nothing meanwhile."""
        fcntl.flock(self._file, fcntl.LOCK_EX)  # nobody has it for longer than this
        try:
            self._file.seek(self._read)
            *lines, begun = self._file.read().split(b"\n")
            for line in lines:
                name, labels, size = orjson.loads(line)
                super()._enter(name, tuple(labels), size)
                self._read += len(line) + 1
            if begun:  # whoever wrote it was killed
                self._file.truncate(self._read)
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
