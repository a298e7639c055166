"""Responses, kept for a while, so that the next request can go on from one of them."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson
from attrs import define, field

from server.config.settings import ResponseSettings
from server.wire.responses import StoredResponse

# How much each owner keeps, is counted as it changes, so that no statement looks at all
# that is stored.
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
# A response, and those before it, as far as they are here: the last one first.
CHAIN = """
WITH RECURSIVE chain (id, previous, depth) AS (
    SELECT id, previous, 0 FROM responses
    WHERE id = :id AND owner = :owner AND used >= :oldest
    UNION ALL
    SELECT earlier.id, earlier.previous, depth + 1 FROM responses AS earlier
    JOIN chain ON earlier.id = chain.previous
    WHERE earlier.owner = :owner AND depth < :deepest
)
"""
LINKS = "SELECT id, previous FROM chain ORDER BY depth"
SAID = """
SELECT items.body FROM chain JOIN items ON items.response = chain.id
ORDER BY depth DESC, answered, place
"""
TOTALS = "SELECT coalesce(sum(entries), 0), coalesce(sum(bytes), 0) FROM shares"
# The least recently used of whoever has the most: nobody's go for another's sake while
# he has no more than his share. Of several in the same moment, the first goes.
LARGEST_SHARE = "SELECT owner FROM shares ORDER BY {} DESC LIMIT 1"
DELETE_OLDEST = """
DELETE FROM responses WHERE rowid = (
    SELECT rowid FROM responses WHERE owner = ? ORDER BY used, rowid LIMIT 1
)
"""
PUT_ITEM = "INSERT INTO items VALUES (?, ?, ?, ?, ?)"

# Seconds for which other processes' transactions are waited for; to note that a
# response was used is not worth as much.
PATIENCE = 1.0
PATIENCE_TO_TOUCH = 0.05
# Responses that may go on from one another.
DEEPEST = 1000
Item = dict[str, Any]
Items = list[Item]
Row = tuple[Any, ...]
T = TypeVar("T")


class ChainTooLong(Exception):
    """More responses go on from one another than are put together again."""


@asynccontextmanager
async def open_store(
    settings: ResponseSettings, path: str | None = None
) -> AsyncIterator["ResponseStore"]:
    """
    Open the store that *settings* describe, in *path* if it is given; several processes
    may share a file. Raises OSError or sqlite3.Error.
    """
    place = _place(path or settings.path)
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

    What has not been used for the longest time makes room first, of the owner who has
    the most. All methods raise sqlite3.Error where the file can't be had.
    """

    settings: ResponseSettings
    _connection: sqlite3.Connection
    # One transaction at a time, and each of them whole: they share the connection.
    _thread: ThreadPoolExecutor
    # Why the last response was not kept; "" if it was.
    trouble: str = field(default="", init=False)

    async def put(self, owner: str, stored: StoredResponse) -> bool:
        """Keep a response; return False if there is no room for it."""
        kept = await self._run(lambda: self._put(owner, stored))
        self.trouble = ""
        return kept

    async def get(self, owner: str, name: str) -> tuple[Item, Items] | None:
        """Return a response's body and its output, if it is there."""
        return await self._run(lambda: self._get(owner, name))

    async def input(self, owner: str, name: str) -> Items | None:
        """Return the items that a response answers, if it is there."""
        return await self._run(lambda: self._input(owner, name))

    async def delete(self, owner: str, name: str) -> bool:
        """Remove a response; return whether it was there."""
        return await self._run(lambda: self._delete(owner, name))

    async def history(self, owner: str, name: str) -> Items | None:
        """
        Return all that was said up to and with a response, in order; None if that, or
        one before it, is not there. Raises ChainTooLong.
        """
        return await self._run(lambda: self._history(owner, name))

    async def items(self, owner: str, names: Iterable[str]) -> dict[str, Item]:
        """Return those of the items with these ids that are there."""
        return await self._run(lambda: self._items(owner, names))

    async def _run(self, work: Callable[[], T]) -> T:
        """Do *work* in the store's thread: it is done whole, whoever waits for it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work)

    def _put(self, owner: str, stored: StoredResponse) -> bool:
        body = orjson.dumps(stored.body)
        rows = [
            (stored.id, answered, place, item.get("id", ""), orjson.dumps(item))
            for answered, items in enumerate((stored.input, stored.output))
            for place, item in enumerate(items)
        ]
        size = len(body) + sum(len(row[-1]) for row in rows)
        if size > self.settings.max_bytes:
            return False
        # Whoever waited for another process once, doesn't have all others wait, too.
        with self._transaction(0.0 if self.trouble else PATIENCE) as execute:
            execute("DELETE FROM responses WHERE used < ?", (self._oldest(),))
            execute(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?)",
                (stored.id, owner, stored.previous, time.time(), size, body),
            )
            self._connection.executemany(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?)", rows
            )
            self._make_room()
        return True

    def _make_room(self) -> None:
        execute = self._connection.execute
        while True:
            entries, size = execute(TOTALS).fetchone()
            if entries > self.settings.max_entries:
                measure = "entries"
            elif size > self.settings.max_bytes:
                measure = "bytes"
            else:
                return
            owner = execute(LARGEST_SHARE.format(measure)).fetchone()
            execute(DELETE_OLDEST, owner)

    def _get(self, owner: str, name: str) -> tuple[Item, Items] | None:
        with self._reading() as execute:
            found = execute(
                "SELECT body FROM responses WHERE id = ? AND owner = ? AND used >= ?",
                (name, owner, self._oldest()),
            ).fetchone()
            rows = execute(
                "SELECT body FROM items WHERE response = ? AND answered ORDER BY place",
                (name,),
            ).fetchall()
        if found is None:
            return None
        self._touch([name])
        return orjson.loads(found[0]), _loaded(rows)

    def _input(self, owner: str, name: str) -> Items | None:
        with self._reading() as execute:
            if not execute(
                "SELECT 1 FROM responses WHERE id = ? AND owner = ? AND used >= ?",
                (name, owner, self._oldest()),
            ).fetchone():
                return None
            rows = execute(
                "SELECT body FROM items WHERE response = ? AND NOT answered"
                " ORDER BY place",
                (name,),
            ).fetchall()
        return _loaded(rows)

    def _delete(self, owner: str, name: str) -> bool:
        with self._transaction(PATIENCE) as execute:
            deleted = execute(
                "DELETE FROM responses WHERE id = ? AND owner = ? RETURNING id",
                (name, owner),
            ).fetchall()
        return bool(deleted)

    def _history(self, owner: str, name: str) -> Items | None:
        place = {
            "id": name,
            "owner": owner,
            "oldest": self._oldest(),
            "deepest": DEEPEST,
        }
        with self._reading() as execute:
            chain = execute(CHAIN + LINKS, place).fetchall()
            if len(chain) > DEEPEST:
                raise ChainTooLong
            if not chain or chain[-1][1] is not None:
                return None
            rows = execute(CHAIN + SAID, place).fetchall()
        self._touch([link[0] for link in reversed(chain)])
        return _loaded(rows)

    def _items(self, owner: str, names: Iterable[str]) -> dict[str, Item]:
        items: dict[str, Item] = {}
        with self._reading() as execute:
            for name in names:
                found = execute(
                    "SELECT items.body FROM items JOIN responses AS of"
                    " ON of.id = items.response WHERE items.id = ? AND of.owner = ?"
                    " AND of.used >= ? ORDER BY of.used DESC LIMIT 1",
                    (name, owner, self._oldest()),
                ).fetchone()
                if found:
                    items[name] = orjson.loads(found[0])
        return items

    def _oldest(self) -> float:
        return time.time() - self.settings.max_age

    def _touch(self, names: list[str]) -> None:
        """Note that responses are used; that can wait if another process writes."""
        now = time.time()
        with (
            suppress(sqlite3.Error),
            self._transaction(PATIENCE_TO_TOUCH),
        ):
            self._connection.executemany(
                "UPDATE responses SET used = ? WHERE id = ?",
                [(now, name) for name in names],
            )

    @contextmanager
    def _reading(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """See one state of the store in all of the block; nobody keeps us from that."""
        self._connection.execute("BEGIN")
        try:
            yield self._connection.execute
        finally:
            self._connection.rollback()

    @contextmanager
    def _transaction(self, patience: float) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Do all of the block or nothing, once other processes have let us."""
        execute = self._connection.execute
        execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
        try:
            execute("BEGIN IMMEDIATE")
            yield execute
            execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise


def _loaded(rows: Iterable[Row]) -> Items:
    return [orjson.loads(row[0]) for row in rows]
