"""`SqliteStore` and whatever may be wrong with its file: an error that says so, or a miss."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.databases import locked, until
from tests.store_model import record

from penstock.errors import StoreError, StoreTimeout, StoreUnavailable
from penstock.pools import SqlitePool
from penstock.stores import SqliteStore
from penstock.stores import _sqlite_recovery as recovery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def run(store: SqliteStore, program: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def main() -> None:
        async with store:
            await program(store)

    asyncio.run(main())


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, and has never been one" * 100)


def half_of_one(path: Path) -> None:
    """Make a database whose tables are there, and nothing of what is in them."""

    async def fill(store: SqliteStore) -> None:
        await store.set_many([(f"k{n}", record("x" * 1000)) for n in range(200)])

    run(SqliteStore(path), fill)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xaa" * (len(whole) - 4096))


@pytest.mark.parametrize("spoil", [garbage, half_of_one])
def test_a_corrupt_file_is_said_to_be(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "cache.db"
    spoil(path)

    async def program(store: SqliteStore) -> None:
        for operation in (
            lambda: store.get_many(["k1"]),
            lambda: store.set_many([("k1", record(1))]),
            lambda: store.invalidate(tags=["t"]),
            lambda: store.get("k1"),
            lambda: store.set("k1", 1),
            store.ping,
        ):
            with pytest.raises(StoreError, match=r"corrupt: .*recover=True") as caught:
                await operation()
            assert str(path) in str(caught.value)
        assert store.stats().errors == 6

    run(SqliteStore(path), program)
    assert not (tmp_path / "cache.db.corrupt").exists()


@pytest.mark.parametrize("spoil", [garbage, half_of_one])
def test_a_corrupt_file_is_moved_aside(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "cache.db"
    spoil(path)
    spoiled = path.read_bytes()

    async def program(store: SqliteStore) -> None:
        assert (await store.get_many(["k1"])).records == [None]
        await store.set("k1", 1)
        assert await store.get("k1") == 1
        assert store.stats().recovered == 1
        assert store.stats().errors == 0

    run(SqliteStore(path, recover=True), program)
    assert (tmp_path / "cache.db.corrupt").read_bytes() == spoiled
    run(SqliteStore(path), lambda store: _holds(store, "k1", 1))


async def _holds(store: SqliteStore, key: str, value: object) -> None:
    assert await store.get(key) == value


def test_two_that_find_a_corrupt_file_move_it_once(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    garbage(path)

    async def program(store: SqliteStore) -> None:
        async with SqliteStore(path, recover=True) as other:
            tasks = [each.set(f"k{n}", n) for n, each in enumerate([store, other] * 3)]
            done = await asyncio.gather(*tasks, return_exceptions=True)
            # Who comes while it is moved is told so.
            assert all(each is None or isinstance(each, StoreError) for each in done)
            for each in (store, other):
                await each.set("k", 1)
                assert await each.get("k") == 1
            assert store.stats().recovered + other.stats().recovered == 1

    run(SqliteStore(path, recover=True), program)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cache.db", "cache.db.corrupt"]


def test_of_two_that_look_at_once_one_moves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cache.db"
    garbage(path)
    look, looking = recovery._is_corrupt, []

    def look_for_long(name: str) -> bool:
        looking.append(name)
        found = look(name)
        if found and len(looking) == 1:
            other.start()
            other.join(0.05)  # it has to wait, however long this takes
        return found

    monkeypatch.setattr(recovery, "_is_corrupt", look_for_long)
    moved: list[bool] = []
    other = threading.Thread(target=lambda: moved.append(recovery.move_aside(str(path))))
    moved.append(recovery.move_aside(str(path)))
    other.join()
    assert sorted(moved) == [False, True]


def test_whoever_is_cancelled_while_it_is_moved_leaves_a_store_that_works(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"

    async def program(store: SqliteStore) -> None:
        task = asyncio.ensure_future(store.set("k", 0))
        await until(lambda: store._file._moving)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        moving = store._file._moving
        if moving is not None:
            await moving
        await store.set("k", 1)
        assert await store.get("k") == 1

    garbage(path)
    run(SqliteStore(path, recover=True), program)


def test_a_file_that_others_write_is_waited_for(tmp_path: Path) -> None:
    async def program(store: SqliteStore) -> None:
        await store.set("k", 1)
        with locked(tmp_path):
            with pytest.raises(StoreTimeout, match=r"in use .* more than 0\.05 s") as caught:
                await store.set("k", 2)
            assert caught.value.seconds == 0.05
            with pytest.raises(StoreTimeout):
                await store.delete_many(["k"])
            assert await store.get("k") == 1
        await store.set("k", 3)
        assert await store.get("k") == 3
        assert (store.stats().errors, store.stats().timeouts) == (2, 2)

    run(SqliteStore(tmp_path / "test.db", timeout=0.05), program)


def test_a_file_that_is_locked_altogether(tmp_path: Path) -> None:
    run(SqliteStore(tmp_path / "test.db"), lambda store: store.set("k", 1))

    async def program(store: SqliteStore) -> None:
        with locked(tmp_path, "EXCLUSIVE"):
            with pytest.raises(StoreTimeout):
                await store.get("k")
            with pytest.raises(StoreTimeout):
                await store.ping()
        assert await store.get("k") == 1

    run(SqliteStore(tmp_path / "test.db", timeout=0.05), program)


def test_a_full_disk_refuses_writes_and_not_reads(tmp_path: Path) -> None:
    async def main() -> None:
        pool = SqlitePool(tmp_path / "cache.db", pragmas={"max_page_count": 30})
        async with pool, SqliteStore(pool=pool) as store:
            await store.set("k", "small")
            with pytest.raises(StoreError, match="no room on the disk") as caught:
                await store.set("large", "x" * 200_000)
            assert not isinstance(caught.value, StoreTimeout | StoreUnavailable)
            assert await store.get("k") == "small"
            assert await store.get("large") is None
            await store.delete("k")
            assert await store.get("k") is None

    asyncio.run(main())


def test_a_file_that_can_only_be_read(tmp_path: Path) -> None:
    run(SqliteStore(tmp_path / "cache.db"), lambda store: store.set("k", 1))

    def protect(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA query_only=1")

    async def main() -> None:
        pool = SqlitePool(tmp_path / "cache.db", on_connect=protect)
        async with pool, SqliteStore(pool=pool) as store:
            assert await store.get("k") == 1
            with pytest.raises(StoreError, match="can only be read"):
                await store.set("k", 2)
            assert await store.get("k") == 1

    asyncio.run(main())


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    async def program(store: SqliteStore) -> None:
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await store.get("k")
        (tmp_path / "later").mkdir()
        await store.set("k", 1)
        assert await store.get("k") == 1

    run(SqliteStore(tmp_path / "later" / "cache.db"), program)


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE penstock_format SET version = 99"],
        ["INSERT INTO penstock_format VALUES (99)"],
        ["DELETE FROM penstock_format"],
    ],
)
def test_tables_of_another_version_are_left_alone(tmp_path: Path, statements: list[str]) -> None:
    path = tmp_path / "cache.db"
    run(SqliteStore(path), lambda store: store.set("k", 1))
    change(path, *statements)

    async def program(store: SqliteStore) -> None:
        with pytest.raises(StoreError, match=r"are of version .* this version .* has 1"):
            await store.get("k")
        with pytest.raises(StoreError, match="version"):
            await store.set("k", 2)

    run(SqliteStore(path, recover=True), program)
    change(path, "DELETE FROM penstock_format", "INSERT INTO penstock_format VALUES (1)")
    run(SqliteStore(path), lambda store: _holds(store, "k", 1))


def test_a_table_of_somebody_else_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    change(path, "CREATE TABLE penstock_entries (something)")

    async def program(store: SqliteStore) -> None:
        with pytest.raises(StoreError):
            await store.get("k")
        with pytest.raises(StoreError):
            await store.set("k", 1)

    run(SqliteStore(path), program)


_TABLES = ["format", "spaces", "entries", "tags", "rules"]


@pytest.mark.parametrize("read_first", [True, False])
def test_tables_that_are_removed_are_made_anew(tmp_path: Path, read_first: bool) -> None:
    path = tmp_path / "cache.db"

    async def program(store: SqliteStore) -> None:
        await store.set("k", 1)
        await store.invalidate(patterns=["k*"])
        assert await store.get("k") is None
        for statements in (
            [f"DROP TABLE penstock_{name}" for name in _TABLES], ["DELETE FROM penstock_spaces"]
        ):  # fmt: skip
            change(path, *statements)
            if read_first:
                assert await store.get("k") is None
            await store.set("k", 2)
            assert await store.get("k") == 2

    run(SqliteStore(path), program)


def test_a_value_that_is_no_blob_is_a_miss(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"

    async def program(store: SqliteStore) -> None:
        await store.set("k", 1)
        change(path, "UPDATE penstock_entries SET value = 'text'")
        assert await store.get("k") is None
        assert store.stats().undecodable == 1

    run(SqliteStore(path), program)


def test_an_error_of_one_write_of_a_tick_is_not_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def program(store: SqliteStore) -> None:
        await store.set("gone", 1)

        async def fail(*_: Any) -> None:
            raise StoreError("no sets today")

        monkeypatch.setattr(SqliteStore, "_put", fail)
        done = await asyncio.gather(store.set("k", 1), store.delete("gone"), return_exceptions=True)
        assert isinstance(done[0], StoreError)
        assert done[1] is None
        assert await store.get("gone") is None

    run(SqliteStore(tmp_path / "cache.db"), program)
