"""The races' file: whole lines, rotation, and what happens when it can't be written."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.record import file as racefile
from server.record.file import RaceFile

NO_LIMIT = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "races.jsonl"


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def written(
    path: Path, *lines: str, max_bytes: int = NO_LIMIT, backups: int = 5
) -> None:
    """Write *lines*, and close the file."""
    file = RaceFile(path, max_bytes, backups)
    for line in lines:
        file.write(line.encode())
    file.close()


def test_lines(path: Path) -> None:
    """Each is a line of its own, in order, whatever is in it, once it is closed."""
    lines = [f'{{"id":"{n}","ü":"100 % %s {{}}"}}' for n in range(500)]

    written(path, *lines)

    assert path.read_text("utf-8").splitlines() == lines


def test_nobody_else_reads_it(path: Path) -> None:
    """It and those before it are their user's only."""
    written(path, "one", "two", max_bytes=4)

    assert {oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {
        "0o600"
    }


def test_appends(path: Path) -> None:
    """What is there already stays there."""
    written(path, "1", "2")
    written(path, "3")

    assert path.read_text() == "1\n2\n3\n"


def test_rotation(path: Path) -> None:
    """A full file is renamed, an older one further; the oldest beyond them is gone."""
    lines = [f"{n:09}" for n in range(10)]

    written(path, *lines, max_bytes=25, backups=2)

    found = {p.name: p.read_text().split() for p in path.parent.iterdir()}
    assert found == {
        "races.jsonl": lines[8:],
        "races.jsonl.1": lines[6:8],
        "races.jsonl.2": lines[4:6],
    }


def test_rotation_of_what_was_there(path: Path) -> None:
    """A file that is full when it is opened is not made any larger."""
    path.write_text("x" * 100 + "\n")

    written(path, "new", max_bytes=50)

    assert path.read_text() == "new\n"
    assert path.with_name("races.jsonl.1").read_text().startswith("xxx")


def test_a_line_longer_than_the_file_may_be(path: Path) -> None:
    """It is written whole all the same: half a race is none."""
    written(path, "a" * 100, "b" * 100, max_bytes=10)

    assert path.read_text() == "b" * 100 + "\n"


def test_it_can_not_be_opened(path: Path, logged: list[Any]) -> None:
    """That is told, and the next line is written where it can be again."""
    path.mkdir()
    file = RaceFile(path, NO_LIMIT, 1)
    assert file.trouble == "Is a directory"
    path.rmdir()

    file.write(b"1")
    file.close()

    assert [line["event"] for line in logged] == ["races are not written"]
    assert file.trouble == ""
    assert path.read_text() == "1\n"


def test_a_full_disk(logged: list[Any]) -> None:
    """Every line that is lost is reported with the reason, and nothing is raised."""
    written(Path("/dev/full"), "1", "2")

    assert len(logged) >= 2
    assert logged[0]["log_level"] == "error"
    assert logged[0]["file"] == "/dev/full"
    assert "No space left" in logged[0]["why"]


def test_a_disk_that_hangs(
    path: Path, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds up nobody, and fills no memory: what is too much is lost, and told."""
    monkeypatch.setattr(racefile, "WAITING", 10)
    os.mkfifo(path)  # full after 64 KiB, until somebody reads
    reader = os.open(path, os.O_RDWR)
    file = RaceFile(path, NO_LIMIT, 1)
    line = b"x" * 999

    for _ in range(200):
        file.write(line)

    lost = len(logged)
    assert 100 < lost <= 190
    assert logged[0]["why"] == "10 wait already"
    closing = threading.Thread(target=file.close)
    closing.start()
    left = (200 - lost) * 1000
    while left:
        left -= len(os.read(reader, left))
    closing.join(10)
    assert not closing.is_alive()
    os.close(reader)
