"""Responses, kept for a while, so that the next request can go on from one of them."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

import orjson
from attrs import define, field

from server.config.store_settings import ResponseSettings
from server.json_types import JSONObject
from server.wire.responses import StoredResponse

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
ITEMS = """
SELECT items.body FROM chain JOIN items ON items.response = chain.id
ORDER BY depth DESC, answered, place
"""
TOTALS = "SELECT coalesce(sum(entries), 0), coalesce(sum(bytes), 0) FROM shares"
# The least recently used response of the owner with the most: no owner's responses make
# room for another's while it has no more than its share. Of several that were used in
# the same moment, the first goes.
LARGEST_SHARE = "SELECT owner FROM shares ORDER BY {} DESC LIMIT 1"
DELETE_OLDEST = """
DELETE FROM responses WHERE rowid = (
    SELECT rowid FROM responses WHERE owner = ? ORDER BY used, rowid LIMIT 1
)
"""
PUT_ITEM = "INSERT INTO items VALUES (?, ?, ?, ?, ?)"

# Seconds that a transaction waits for those of other processes; a note that a response
# was used is not worth as much.
PATIENCE = 1.0
PATIENCE_TO_TOUCH = 0.05
# Responses in a chain, of which each goes on from the one before.
DEEPEST = 1000
Items = list[JSONObject]
T = TypeVar("T")


class ChainTooLong(Exception):
    """More than DEEPEST responses go on from one another."""


@define(eq=False)
class ResponseStore:
    """
    Responses by id, bounded in number, bytes and age. Each belongs to an *owner*, the
    name of an API key, and is found by that owner only.

    Where there is no room, the owner with the most loses the response that was not used
    for the longest time. All methods raise sqlite3.Error where the file can't be used.
    """

    settings: ResponseSettings
    _connection: sqlite3.Connection
    # One thread, so that transactions, which share the connection, don't overlap.
    _thread: ThreadPoolExecutor
    # Why the last response was not kept; "" if it was.
    trouble: str = field(default="", init=False)

    async def put(self, owner: str, stored: StoredResponse) -> bool:
        """Keep a response; return False if there is no room for it."""
        kept = await self._run(lambda: self._put(owner, stored))
        self.trouble = ""
        return kept

    async def get(self, owner: str, name: str) -> tuple[JSONObject, Items] | None:
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
        Return the items of a response and of all before it in its chain, in order; None
        if one of them is not there. Raises ChainTooLong.
        """
        return await self._run(lambda: self._history(owner, name))

    async def items(self, owner: str, names: Iterable[str]) -> dict[str, JSONObject]:
        """Return those of the items with these ids that are there."""
        return await self._run(lambda: self._items(owner, names))

    async def _run(self, work: Callable[[], T]) -> T:
        """Do *work* in the store's thread, to its end if the caller is cancelled."""
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
        # Where one write has waited in vain for another process, the next don't wait.
        with self._transaction(0.0 if self.trouble else PATIENCE) as execute:
            execute("DELETE FROM responses WHERE used < ?", (self._oldest(),))
            execute(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?)",
                (stored.id, owner, stored.previous, time.time(), size, body),
            )
            self._connection.executemany(PUT_ITEM, rows)
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

    def _get(self, owner: str, name: str) -> tuple[JSONObject, Items] | None:
        with self._reading() as execute:
            row = execute(
                "SELECT body FROM responses WHERE id = ? AND owner = ? AND used >= ?",
                (name, owner, self._oldest()),
            ).fetchone()
            rows = execute(
                "SELECT body FROM items WHERE response = ? AND answered ORDER BY place",
                (name,),
            ).fetchall()
        if row is None:
            return None
        self._touch([name])
        return orjson.loads(row[0]), _loaded(rows)

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
        chained = {"id": name, "owner": owner} | {
            "oldest": self._oldest(),
            "deepest": DEEPEST,
        }
        with self._reading() as execute:
            chain = execute(CHAIN + LINKS, chained).fetchall()
            if len(chain) > DEEPEST:
                raise ChainTooLong
            if not chain or chain[-1][1] is not None:
                return None
            rows = execute(CHAIN + ITEMS, chained).fetchall()
        self._touch([link[0] for link in reversed(chain)])
        return _loaded(rows)

    def _items(self, owner: str, names: Iterable[str]) -> dict[str, JSONObject]:
        items: dict[str, JSONObject] = {}
        with self._reading() as execute:
            for name in names:
                row = execute(
                    "SELECT items.body FROM items JOIN responses AS of"
                    " ON of.id = items.response WHERE items.id = ? AND of.owner = ?"
                    " AND of.used >= ? ORDER BY of.used DESC LIMIT 1",
                    (name, owner, self._oldest()),
                ).fetchone()
                if row:
                    items[name] = orjson.loads(row[0])
        return items

    def _oldest(self) -> float:
        return time.time() - self.settings.max_age

    def _touch(self, names: list[str]) -> None:
        """Note that responses are used; leave it if another process is writing."""
        now = time.time()
        with suppress(sqlite3.Error), self._transaction(PATIENCE_TO_TOUCH):
            self._connection.executemany(
                "UPDATE responses SET used = ? WHERE id = ?",
                [(now, name) for name in names],
            )

    @contextmanager
    def _reading(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """See one state of the store in all of the block; other processes may write."""
        self._connection.execute("BEGIN")
        try:
            yield self._connection.execute
        finally:
            self._connection.rollback()

    @contextmanager
    def _transaction(self, patience: float) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Do all of the block or nothing, within *patience* seconds of waiting."""
        execute = self._connection.execute
        execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
        try:
            execute("BEGIN IMMEDIATE")
            yield execute
            execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise


def _loaded(rows: Iterable[tuple[bytes]]) -> Items:
    return [orjson.loads(row[0]) for row in rows]
