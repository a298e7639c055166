"""Responses, kept for a while, so that the next request can go on from one of them."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
import orjson
from attrs import define, field

from server.config.settings import ResponseSettings
from server.wire.responses import StoredResponse

SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    previous TEXT,
    used REAL NOT NULL,
    size INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS responses_by_use ON responses (used, size);
CREATE TABLE IF NOT EXISTS items (
    response TEXT NOT NULL REFERENCES responses ON DELETE CASCADE,
    answered INTEGER NOT NULL,
    place INTEGER NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (response, answered, place)
);
CREATE INDEX IF NOT EXISTS items_by_id ON items (id);
"""
# A response, and those before it, as far as they are here: the last one first.
CHAIN = """
WITH RECURSIVE chain (id, previous, depth) AS (
    SELECT id, previous, 0 FROM responses WHERE id = :id AND owner = :owner
    UNION ALL
    SELECT earlier.id, earlier.previous, depth + 1 FROM responses AS earlier
    JOIN chain ON earlier.id = chain.previous WHERE earlier.owner = :owner
)
SELECT id, previous FROM chain ORDER BY depth
"""
OUT_OF_BOUNDS = """
DELETE FROM responses WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER latest AS place, sum(size) OVER latest AS total
        FROM responses WINDOW latest AS (ORDER BY used DESC, rowid DESC)
    ) WHERE place > ? OR total > ?
)
"""
Item = dict[str, Any]
Items = list[Item]
Row = tuple[Any, ...]


class Execute(Protocol):
    """Runs one statement within a transaction; returns the rows that it yields."""

    async def __call__(
        self, sql: str, values: Sequence[object] | Mapping[str, object] = ()
    ) -> list[Row]: ...


@asynccontextmanager
async def open_store(
    settings: ResponseSettings, path: str | None = None
) -> AsyncIterator["ResponseStore"]:
    """
    Open the store that *settings* describe, in *path* if it is given; several processes
    may share a file. Raises OSError or sqlite3.Error.
    """
    place = _place(path or settings.path)
    async with aiosqlite.connect(place, isolation_level=None) as connection:
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = NORMAL")
        await connection.execute("PRAGMA foreign_keys = ON")
        await connection.executescript(SCHEMA)
        yield ResponseStore(settings, connection)


def try_store(settings: ResponseSettings) -> None:
    """Raise OSError or sqlite3.Error if the store's file can't be had."""
    if settings.path:
        with closing(sqlite3.connect(_place(settings.path))) as connection:
            connection.execute("PRAGMA schema_version")


def _place(path: str) -> Path | str:
    """Return the place as SQLite names it; a file is created, for its user only."""
    if not path:
        return ":memory:"
    place = Path(path).expanduser()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.touch(mode=0o600)
    return place


@define(eq=False)
class ResponseStore:
    """
    Responses by id, bounded in number, bytes and age; each belongs to an *owner*, who
    alone finds it.

    What has not been used for the longest time makes room first.
    """

    settings: ResponseSettings
    _connection: aiosqlite.Connection
    # One transaction at a time: they share the connection.
    _lock: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def put(self, owner: str, stored: StoredResponse) -> None:
        body = orjson.dumps(stored.body)
        rows = [
            (stored.id, answered, place, item.get("id", ""), orjson.dumps(item))
            for answered, items in enumerate((stored.input, stored.output))
            for place, item in enumerate(items)
        ]
        size = len(body) + sum(len(row[-1]) for row in rows)
        bounds = (self.settings.max_entries, self.settings.max_bytes)
        async with self._transaction() as execute:
            await execute(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?)",
                (stored.id, owner, stored.previous, time.time(), size, body),
            )
            for row in rows:
                await execute("INSERT INTO items VALUES (?, ?, ?, ?, ?)", row)
            await execute(OUT_OF_BOUNDS, bounds)

    async def get(self, owner: str, name: str) -> tuple[Item, Items] | None:
        """Return a response's body and its output, if it is there."""
        async with self._transaction() as execute:
            responses = await execute(
                "UPDATE responses SET used = ? WHERE id = ? AND owner = ?"
                " RETURNING body",
                (time.time(), name, owner),
            )
            if not responses:
                return None
            rows = await execute(
                "SELECT body FROM items WHERE response = ? AND answered ORDER BY place",
                (name,),
            )
        return orjson.loads(responses[0][0]), [orjson.loads(row[0]) for row in rows]

    async def input(self, owner: str, name: str) -> Items | None:
        """Return the items that a response answers, if it is there."""
        async with self._transaction() as execute:
            if not await execute(
                "SELECT 1 FROM responses WHERE id = ? AND owner = ?", (name, owner)
            ):
                return None
            rows = await execute(
                "SELECT body FROM items WHERE response = ? AND NOT answered"
                " ORDER BY place",
                (name,),
            )
        return [orjson.loads(row[0]) for row in rows]

    async def delete(self, owner: str, name: str) -> bool:
        """Remove a response; return whether it was there."""
        async with self._transaction() as execute:
            deleted = await execute(
                "DELETE FROM responses WHERE id = ? AND owner = ? RETURNING id",
                (name, owner),
            )
        return bool(deleted)

    async def history(self, owner: str, name: str) -> Items | None:
        """
        Return all that was said up to and with a response, in order; None if that, or
        one before it, is not there.
        """
        async with self._transaction() as execute:
            chain = await execute(CHAIN, {"id": name, "owner": owner})
            if not chain or chain[-1][1] is not None:
                return None
            rows: list[Row] = []
            for response, _ in reversed(chain):
                await execute(
                    "UPDATE responses SET used = ? WHERE id = ?",
                    (time.time(), response),
                )
                rows += await execute(
                    "SELECT body FROM items WHERE response = ?"
                    " ORDER BY answered, place",
                    (response,),
                )
        return [orjson.loads(row[0]) for row in rows]

    async def items(self, owner: str, names: Iterable[str]) -> dict[str, Item]:
        """Return those of the items with these ids that are there."""
        items: dict[str, Item] = {}
        async with self._transaction() as execute:
            for name in names:
                rows = await execute(
                    "SELECT items.body FROM items JOIN responses AS of"
                    " ON of.id = items.response WHERE items.id = ? AND of.owner = ?"
                    " ORDER BY of.used DESC LIMIT 1",
                    (name, owner),
                )
                if rows:
                    items[name] = orjson.loads(rows[0][0])
        return items

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Execute]:
        """Do all of the block or nothing of it; what is too old is gone by then."""

        async def execute(
            sql: str, values: Sequence[object] | Mapping[str, object] = ()
        ) -> list[Row]:
            rows = await self._connection.execute_fetchall(sql, values)
            return [tuple(row) for row in rows]

        async with self._lock:
            try:
                await execute("BEGIN IMMEDIATE")
                oldest = time.time() - self.settings.max_age
                await execute("DELETE FROM responses WHERE used < ?", (oldest,))
                yield execute
                await execute("COMMIT")
            except BaseException:
                # A cancelled statement may still run before this, but none after.
                await self._connection.rollback()
                raise
