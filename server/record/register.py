"""Which counters there are: the same for all processes of a server."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
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
        self._path = path
        self._read = 0

    def add(self, name: str, labels: tuple[str, ...], size: int) -> Series:
        known = self._series.get((name, labels))
        if known is not None:
            return known
        with self._up_to_date() as file:
            before = len(self._series)
            added = super().add(name, labels, size)
            if len(self._series) > before:
                self._write(file, added)
            return added

    def all(self) -> Sequence[Series]:
        with self._up_to_date():
            return super().all()

    def _write(self, file: FileIO, series: Series) -> None:
        line = orjson.dumps([series.name, series.labels, series.size]) + b"\n"
        self._read += file.write(line)

    @contextmanager
    def _up_to_date(self) -> Iterator[FileIO]:
        """Know what others have added, and let them add nothing meanwhile."""
        with FileIO(self._path, "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # nobody has it for longer than this
            file.seek(self._read)
            *lines, begun = file.readall().split(b"\n")
            for line in lines:
                name, labels, size = orjson.loads(line)
                self._enter(name, tuple(labels), size)
                self._read += len(line) + 1
            if begun:  # whoever wrote it was killed
                file.truncate(self._read)
            yield file
