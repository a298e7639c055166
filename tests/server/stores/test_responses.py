"""StoredResponse responses: found by their owner, bounded in number, bytes and age."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from server.config.store_settings import ResponseSettings
from server.stores import responses
from server.stores.response_file import open_store
from server.stores.responses import ResponseStore
from server.wire.responses import StoredResponse

SETTINGS = ResponseSettings()


def stored(name: str, previous: str | None = None, text: str = "") -> StoredResponse:
    said = {"id": f"msg_{name}", "content": text}
    asked = {"id": f"in_{name}", "content": "?"}
    return StoredResponse(
        id=name, previous=previous, body={"id": name}, input=[asked], output=[said]
    )


def ids(items: Any) -> list[str]:
    return [item["id"] for item in items]


@asynccontextmanager
async def filled(*names: str, **bounds: Any) -> AsyncIterator[ResponseStore]:
    """Open a store with these bounds, and put responses into it, one after another."""
    async with open_store(evolve(SETTINGS, **bounds)) as store:
        for name in names:
            await store.put("ann", stored(name))
        yield store


async def there(store: ResponseStore, *names: str) -> list[str]:
    """Return those of the responses that are there, without using them."""
    found = [(name, await store.input("ann", name)) for name in names]
    return [name for name, items in found if items is not None]


async def test_put_and_get() -> None:
    """What was put is found as it was, by its owner and by nobody else."""
    async with filled("a") as store:
        assert await store.get("ann", "a") == (
            {"id": "a"},
            [{"id": "msg_a", "content": ""}],
        )
        assert ids(await store.input("ann", "a")) == ["in_a"]
        assert ids((await store.items("ann", ["msg_a", "x"])).values()) == ["msg_a"]
        assert await store.get("bob", "a") is None
        assert await store.input("bob", "a") is None
        assert await store.items("bob", ["msg_a"]) == {}
        assert await store.history("bob", "a") is None
        assert not await store.delete("bob", "a")


async def test_history_is_in_order_and_whole() -> None:
    """A chain begins with its first question, and is no chain with a link missing."""
    async with filled("a") as store:
        await store.put("ann", stored("b", "a"))
        await store.put("ann", stored("c", "b"))
        await store.put("bob", stored("d", "c"))

        assert ids(await store.history("ann", "c")) == [
            *("in_a", "msg_a"),
            *("in_b", "msg_b"),
            *("in_c", "msg_c"),
        ]
        assert await store.history("bob", "d") is None
        assert await store.delete("ann", "b")
        assert await store.history("ann", "c") is None
        assert await store.items("ann", ["msg_b"]) == {}


async def test_the_unused_make_room() -> None:
    """Of too many, those go that nobody has used for longest; a chain is used whole."""
    async with filled("a", max_entries=3) as store:
        await store.put("ann", stored("b", "a"))
        await store.put("ann", stored("c"))
        await store.history("ann", "b")

        await store.put("ann", stored("d"))

        assert await there(store, "a", "b", "c", "d") == ["a", "b", "d"]


async def test_bytes_are_bounded() -> None:
    """The oldest go while there is too much; what alone is too large is not kept."""
    async with filled(max_bytes=1000) as store:
        for name in ("a", "b", "c"):
            await store.put("ann", stored(name, text="x" * 300))
        await there(store, "a")

        assert await there(store, "a", "b", "c") == ["b", "c"]

        assert not await store.put("ann", stored("d", text="x" * 2000))

        assert await there(store, "b", "c", "d") == ["b", "c"]


async def test_age_is_bounded() -> None:
    """What is too old is not found, even if nothing has been put since."""
    async with filled("a") as store:
        store.settings = evolve(SETTINGS, max_age=1e-9)

        assert await store.get("ann", "a") is None
        assert await store.history("ann", "a") is None


async def test_broken_put_leaves_nothing() -> None:
    """What can't be put whole is not put, and the store goes on."""
    async with filled("a") as store:
        twice = stored("b")
        await store.put("ann", twice)
        with pytest.raises(Exception, match="UNIQUE"):
            await store.put("ann", evolve(twice, output=[]))

        assert await there(store, "a", "b") == ["a", "b"]


async def test_cancelled_put_leaves_the_store_usable() -> None:
    """A client that goes away while its response is being put blocks nobody."""
    async with filled() as store:
        putting = [
            asyncio.create_task(store.put("ann", stored(str(i)))) for i in range(9)
        ]
        await asyncio.sleep(0)
        for task in putting[:8]:
            task.cancel()
        await asyncio.wait(putting)

        assert await there(store, "8") == ["8"]


async def test_nothing_is_left_of_what_is_gone(tmp_path: Path) -> None:
    """A deleted response takes its items along."""
    path = tmp_path / "responses.sqlite"
    async with filled("a", "b", path=str(path)) as store:
        assert await store.delete("ann", "a")
        with closing(sqlite3.connect(path)) as connection:
            left = connection.execute("SELECT DISTINCT response FROM items").fetchall()

    assert left == [("b",)]


async def test_file_is_shared(tmp_path: Path) -> None:
    """Two processes' stores in one file: each finds what the other has put."""
    settings = evolve(SETTINGS, path=str(tmp_path / "a" / "b.sqlite"))
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(open_store(settings)) for _ in range(2)
        ]
        await asyncio.gather(
            *(one.put("ann", stored(f"a{i}")) for i in range(20)),
            *(other.put("ann", stored(f"b{i}")) for i in range(20)),
        )

        assert await one.get("ann", "b19")
        assert await other.get("ann", "a19")


async def test_nobody_loses_his_share_to_another() -> None:
    """Who has the most makes room, for whomever; in number, and in bytes."""
    async with filled("a1", max_entries=4) as store:
        for name in ("b1", "b2", "b3", "b4", "b5"):
            await store.put("bob", stored(name))

        assert await there(store, "a1") == ["a1"]
        assert await store.get("bob", "b2") is None
        assert await store.get("bob", "b3")

    async with filled("a1", max_bytes=2000) as store:
        for name in ("b1", "b2", "b3"):
            await store.put("bob", stored(name, text="x" * 700))

        assert await there(store, "a1") == ["a1"]
        assert await store.get("bob", "b1") is None


async def test_file_of_a_server_before_shares(tmp_path: Path) -> None:
    """What is in it counts, and is found."""
    settings = evolve(SETTINGS, path=str(tmp_path / "r.sqlite"), max_entries=2)
    async with open_store(settings) as store:
        await store.put("ann", stored("a"))
    with closing(sqlite3.connect(settings.path)) as connection:
        connection.executescript(
            "DROP TABLE shares; DROP TRIGGER response_put; DROP TRIGGER response_gone"
        )

    async with open_store(settings) as store:
        await store.put("ann", stored("b"))
        await store.put("ann", stored("c"))

        assert await there(store, "a", "b", "c") == ["b", "c"]


async def test_chain_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """So deep a conversation is put together again, and no deeper."""
    monkeypatch.setattr(responses, "DEEPEST", 3)
    async with filled("a") as store:
        for name, previous in ("b", "a"), ("c", "b"), ("d", "c"):
            await store.put("ann", stored(name, previous))

        assert len(await store.history("ann", "c") or ()) == 6
        with pytest.raises(responses.ChainTooLong):
            await store.history("ann", "d")
