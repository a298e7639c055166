"""API keys that are managed at run time, in an SQLite file that all workers read."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import orjson
from attrs import frozen

from server.config.settings import KeySettings
from server.config.structuring import Structure

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    settings TEXT NOT NULL
)
"""
_STRUCTURE = Structure(forbid_extra_keys=True)
# Seconds for which another process' transaction is waited for.
PATIENCE = 1.0


class NameTaken(Exception):
    """There is a key of that name already."""


@frozen
class ManagedKey:
    """A key in the file: its public *id*, when it was made (s since the epoch)."""

    id: str
    created: int
    settings: KeySettings


@frozen
class KeyStore:
    """
    The file at *path*. Its methods read and write it: not for the event loop.

    All of them raise OSError or sqlite3.Error where the file can't be used.
    """

    path: Path

    def add(self, id: str, settings: KeySettings) -> ManagedKey:  # noqa: A002
        """Keep a key that was just made. Raises NameTaken."""
        key = ManagedKey(id, int(time.time()), settings)
        row = (id, settings.name, settings.sha256, key.created, _encoded(settings))
        try:
            with self._open() as connection:
                connection.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?)", row)
        except sqlite3.IntegrityError as exc:
            raise NameTaken from exc
        return key

    def remove(self, id_or_name: str) -> ManagedKey | None:
        """Remove a key, which lets nobody in any more; None: there is no such."""
        with self._open() as connection:
            rows = connection.execute(
                "DELETE FROM keys WHERE id = :key OR name = :key RETURNING *",
                {"key": id_or_name},
            ).fetchall()
        return _decoded(rows[0]) if rows else None

    def all(self) -> list[ManagedKey]:
        """Return all keys, the oldest first."""
        with self._open() as connection:
            rows = connection.execute("SELECT * FROM keys ORDER BY created, id")
            return [_decoded(row) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield the file within one transaction; it is created, for its user only."""
        place = self.path.expanduser()
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.touch(mode=0o600)
        with closing(sqlite3.connect(place, timeout=PATIENCE)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            with connection:
                connection.execute(SCHEMA)
                yield connection


def _encoded(settings: KeySettings) -> str:
    values = attrs.asdict(settings, filter=lambda field, value: value != field.default)
    return orjson.dumps(values).decode()


def _decoded(row: tuple[str, str, str, int, str]) -> ManagedKey:
    id_, name, _, created, text = row
    try:
        settings = _STRUCTURE.make(orjson.loads(text), KeySettings)
    except Exception as exc:
        raise sqlite3.DatabaseError(f"what it says of {name!r} can't be read") from exc
    return ManagedKey(id_, created, settings)
