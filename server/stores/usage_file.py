"""The SQLite file of what was used: one row for each key, provider, model and day."""

import sqlite3
from contextlib import suppress

from attrs import define, field

from server.record.usage import COUNTS, DIMENSIONS, Question, Sums

from .response_file import place_of

# Seconds that a transaction waits for those of other processes.
PATIENCE = 1.0
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS usage (
    {", ".join(f"{name} TEXT NOT NULL" for name in DIMENSIONS)},
    {", ".join(f"{name} INTEGER NOT NULL" for name in COUNTS)},
    PRIMARY KEY (day, key, provider, model)
) WITHOUT ROWID
"""
NAMES = DIMENSIONS + COUNTS
ADD = f"""
INSERT INTO usage ({", ".join(NAMES)}) VALUES ({", ".join("?" for _ in NAMES)})
ON CONFLICT (day, key, provider, model) DO UPDATE SET
{", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTS)}
"""  # noqa: S608 - all of it stands here
SELECT = f"""
SELECT {", ".join(DIMENSIONS)}, {", ".join(COUNTS)} FROM usage
WHERE day >= ? AND (? = '' OR day <= ?) AND (? IS NULL OR key = ?)
"""  # noqa: S608 - likewise


@define(eq=False)
class UsageFile:
    """
    What was used, in the file at *path* ("": in memory), which is opened when it is
    first needed, and again after an error. All methods raise sqlite3.Error or OSError,
    and are for one thread.
    """

    path: str
    _connection: sqlite3.Connection | None = field(default=None, init=False)

    def add(self, sums: Sums) -> None:
        """Add all of *sums*, or nothing of it."""
        connection = self._opened()
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(ADD, [(*p, *c) for p, c in sums.items()])
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.rollback()
            if self.path:  # it may be another file by now
                self.close()
            raise

    def select(self, question: Question) -> Sums:
        """Return what *question* is about, by all dimensions."""
        since, until, key = question.since, question.until, question.key
        rows = self._opened().execute(SELECT, (since, until, until, key, key))
        size = len(DIMENSIONS)
        return {tuple(row[:size]): tuple(row[size:]) for row in rows}

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                place_of(self.path), isolation_level=None, timeout=PATIENCE
            )
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection
