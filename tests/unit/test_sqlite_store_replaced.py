"""`SqliteStore` when its file is removed, or another one put in its place, while it is open."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.store_model import record

from penstock.errors import StoreError, StoreUnavailable
from penstock.pools import SqlitePool
from penstock.stores import SqliteStore
from penstock.stores import _sqlite_file as file

if TYPE_CHECKING:
    from pathlib import Path


def remove(path: Path) -> None:
    for part in ("", "-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)


def test_a_write_goes_to_the_file_that_others_see(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"

    async def main() -> None:
        async with SqliteStore(path) as store, SqliteStore(path) as other:
            await store.set("k", "before")
            remove(path)
            await other.set("k", "theirs")
            await store.delete("k")
            assert await other.get("k") is None
            await store.set("l", "ours")
            assert await other.get("l") == "ours"
            assert store.stats().errors == 0
        async with SqliteStore(path) as again:
            assert await again.get("k") is None
            assert await again.get("l") == "ours"

    asyncio.run(main())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cache.db"]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_who_only_reads_sees_it_before_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cache.db"

    async def main() -> None:
        async with SqliteStore(path) as store, SqliteStore(path) as other:
            await store.set("k", "before")
            remove(path)
            await other.set("k", "after")
            assert await store.get("k") == "before", "it is not looked for with each read"
            store._file._look_at = 0.0
            assert await store.get("k") == "after"

    monkeypatch.setattr(file, "_LOOK", 1000.0)
    asyncio.run(main())


def test_many_at_once_find_it(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"

    async def main() -> None:
        async with SqliteStore(path) as store:
            await store.set("k", "before")
            for turn in range(5):
                remove(path)
                items = [(f"{turn}:{n}", record(n)) for n in range(20)]
                await asyncio.gather(*(store.set_many([item]) for item in items))
                found = (await store.get_many([key for key, _ in items])).records
                assert [each and each.value for each in found] == list(range(20))
        async with SqliteStore(path) as again:
            assert await again.get("4:19") == 19

    asyncio.run(main())


def test_what_was_missed_in_the_file_before_is_not_stored_in_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"

    async def main() -> None:
        async with SqliteStore(path) as store, SqliteStore(path) as other:
            base = (await store.get_many(["k"])).base
            await other.delete("k")
            remove(path)
            assert await store.set_many([("k", record("old"))], base=base) == [False]
            assert await other.get("k") is None
            base = (await store.get_many(["k"])).base
            assert await store.set_many([("k", record("new"))], base=base) == [True]

    asyncio.run(main())


def test_what_was_missed_before_the_tables_were_removed_is_not_stored(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"

    async def main() -> None:
        async with SqliteStore(path) as store:
            base = (await store.get_many(["k"])).base
            await store.delete("k")
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("DELETE FROM penstock_spaces")
            assert await store.set_many([("k", record("old"))], base=base) == [False]

    asyncio.run(main())


def test_a_file_that_is_replaced_in_the_middle_of_a_write(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"

    async def main() -> None:
        async with SqliteStore(path) as store:
            await store.set("k", "before")
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("BEGIN IMMEDIATE")
                task = asyncio.create_task(store.set_many([("k", record("after"))]))
                await asyncio.sleep(0.02)  # it waits for the other
                os.replace(path, tmp_path / "moved.db")
                db.execute("ROLLBACK")
            assert await task == [True]
            assert await store.get("k") == "after"
        async with SqliteStore(path) as again:
            assert await again.get("k") == "after"

    asyncio.run(main())


def test_its_directory_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "cache.db"

    async def main() -> None:
        async with SqliteStore(path) as store:
            await store.set("k", "before")
            remove(path)
            folder.rmdir()
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await store.set("k", "after")
            folder.mkdir()
            await store.set("k", "after")
            assert await store.get("k") == "after"

    asyncio.run(main())


def test_a_pool_that_was_given_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"

    async def main() -> None:
        async with SqlitePool(path) as pool, SqliteStore(pool=pool) as store:
            await store.set("k", "before")
            remove(path)
            for _ in range(2):
                with pytest.raises(StoreError, match="removed, or replaced, while it was open"):
                    await store.set("k", "after")
                store._file._look_at = 0.0
                with pytest.raises(StoreError, match="open the pool anew"):
                    await store.get("k")

    asyncio.run(main())
    assert not list(tmp_path.iterdir())
