"""The SQLite file of stored responses: its tables, and how it is opened."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path

from server.config.store_settings import ResponseSettings

from .responses import PATIENCE, ResponseStore

# How much each owner has is counted as it changes, so that no statement has to look at
# all responses.
SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    previous TEXT,
    used REAL NOT NULL,
    size INTEGER NOT NULL,
    body BLOB NOT NULL
);
DROP INDEX IF EXISTS responses_by_use;
CREATE INDEX IF NOT EXISTS responses_by_age ON responses (used);
CREATE INDEX IF NOT EXISTS responses_by_owner ON responses (owner, used);
CREATE TABLE IF NOT EXISTS items (
    response TEXT NOT NULL REFERENCES responses ON DELETE CASCADE,
    answered INTEGER NOT NULL,
    place INTEGER NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (response, answered, place)
);
CREATE INDEX IF NOT EXISTS items_by_id ON items (id);
CREATE TABLE IF NOT EXISTS shares AS
    SELECT owner, count(*) AS entries, sum(size) AS bytes FROM responses GROUP BY owner;
CREATE UNIQUE INDEX IF NOT EXISTS shares_by_owner ON shares (owner);
CREATE TRIGGER IF NOT EXISTS response_put AFTER INSERT ON responses BEGIN
    INSERT INTO shares VALUES (new.owner, 1, new.size)
    ON CONFLICT (owner) DO UPDATE SET entries = entries + 1, bytes = bytes + new.size;
END;
CREATE TRIGGER IF NOT EXISTS response_gone AFTER DELETE ON responses BEGIN
    UPDATE shares SET entries = entries - 1, bytes = bytes - old.size
    WHERE owner = old.owner;
    DELETE FROM shares WHERE owner = old.owner AND entries = 0;
END;
COMMIT;
"""


@asynccontextmanager
async def open_store(
    settings: ResponseSettings, path: str | None = None
) -> AsyncIterator[ResponseStore]:
    """
    Open the store that *settings* describe, in *path* rather than theirs if that is
    given; several processes may share a file. Raises OSError or sqlite3.Error.
    """
    place = place_of(path or settings.path)
    with ThreadPoolExecutor(1, "responses") as thread:
        loop = asyncio.get_running_loop()
        connection = await loop.run_in_executor(thread, _connected, place)
        try:
            yield ResponseStore(settings, connection, thread)
        finally:
            await loop.run_in_executor(thread, connection.close)


def _connected(place: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(place, isolation_level=None, timeout=PATIENCE)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executescript(SCHEMA)
    return connection


def try_store(path: str) -> None:
    """Raise OSError or sqlite3.Error if the SQLite file at *path* can't be opened."""
    if path:
        with closing(sqlite3.connect(place_of(path))) as connection:
            connection.execute("PRAGMA schema_version")


def place_of(path: str) -> Path | str:
    """Return what SQLite is to open; a file is created, readable by its user only."""
    if not path:
        return ":memory:"
    place = Path(path).expanduser()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.touch(mode=0o600)
    return place
