"""The races as JSON lines in a file, which is rotated when it is full."""

import logging
import os
import sys
from io import TextIOWrapper
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from queue import SimpleQueue

import structlog

log = structlog.get_logger(__name__)

# So many lines wait for a slow disk; while there are more, what comes is lost.
WAITING = 10_000


class RaceFile:
    """
    Appends lines to *path*, in a thread of its own: a slow disk holds up no answer.

    Past *max_bytes* the file becomes `path.1`, that one `path.2`, up to *backups*.
    One that can't be opened is reported, and tried again with each line.
    """

    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        file = _File(
            path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", delay=True
        )
        file.open()
        self._queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
        self._file = file
        self._handler = QueueHandler(self._queue)
        self._listener = QueueListener(self._queue, file)
        self._listener.start()

    @property
    def trouble(self) -> str:
        """Why the last line was not written; "" if it was."""
        return self._file.trouble

    def write(self, line: bytes) -> None:
        """Append a line; one that can't be written is reported, and lost."""
        if self._queue.qsize() >= WAITING:
            self._file.report(f"{WAITING} wait already")
            return
        record = logging.LogRecord(
            "races", logging.INFO, "", 0, line.decode(), None, None
        )
        self._handler.emit(record)

    def close(self) -> None:
        """Write what is still waiting; what can't be is reported likewise."""
        self._listener.stop()
        try:
            self._file.close()
        except OSError as exc:
            self._file.report(str(exc))


class _File(RotatingFileHandler):
    trouble = ""

    def open(self) -> None:
        try:
            self.stream = self._open()
        except OSError as exc:
            self.trouble = why = exc.strerror or str(exc)
            log.warning("races are not written", file=self.baseFilename, why=why)

    def emit(self, record: logging.LogRecord) -> None:
        self.trouble = ""
        super().emit(record)

    def _open(self) -> TextIOWrapper:
        """Open it for its user only, like all else that is kept."""
        return open(
            self.baseFilename, "a", encoding=self.encoding, opener=_for_its_user
        )

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Never rotate a pipe or a device: Python 3.13 asks even those how full."""
        return Path(self.baseFilename).is_file() and bool(
            super().shouldRollover(record)
        )

    def handleError(self, record: logging.LogRecord) -> None:
        self.report(str(sys.exc_info()[1]))

    def report(self, why: str) -> None:
        self.trouble = why
        log.error(
            "a race can't be written to its file", file=self.baseFilename, why=why
        )


def _for_its_user(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
