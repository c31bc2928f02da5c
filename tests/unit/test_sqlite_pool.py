"""`SqlitePool`: single statements, functions in a transaction, statistics."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY
from tests.databases import assert_clean, make_pool, rows_in, until

from penstock import SqlitePool, metrics
from penstock.pools import SqliteResult, _families

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def use(
    directory: Path, body: Callable[[SqlitePool], Awaitable[object]], **options: object
) -> None:
    """Run *body* with a pool, which is clean and then closed."""
    pool = make_pool(directory, **options)

    async def main() -> None:
        await body(pool)

    asyncio.run(main())
    assert_clean(pool)
    asyncio.run(pool.aclose())
    assert pool._store.links == {}


INSERT = "INSERT INTO t (v) VALUES (?)"


def test_rows_that_were_written_are_read(tmp_path: Path) -> None:
    async def body(pool: SqlitePool) -> None:
        assert await pool.execute(INSERT, ("a",)) == SqliteResult(1, 1)
        assert await pool.executemany(INSERT, [("b",), ("c",)]) == SqliteResult(2, None)
        assert await pool.fetchone("SELECT id, v FROM t WHERE v = ?", ("b",)) == (2, "b")
        assert await pool.fetchone("SELECT v FROM t WHERE id = :id", {"id": 3}) == ("c",)
        assert await pool.fetchone("SELECT v FROM t WHERE id = 4") is None
        assert await pool.fetchall("SELECT v FROM t ORDER BY id") == [("a",), ("b",), ("c",)]
        assert await pool.fetchall("SELECT v FROM t WHERE id > 9") == []
        assert await pool.fetchval("SELECT count(*) FROM t") == 3
        assert await pool.fetchval("SELECT v FROM t WHERE id = 4") is None
        assert (await pool.execute("UPDATE t SET v = 'x'")).rowcount == 3
        assert (await pool.execute("SELECT 1")).rowcount == -1

    use(tmp_path, body)
    assert rows_in(tmp_path) == ["x", "x", "x"]


def test_the_file_is_made_when_it_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with SqlitePool(tmp_path / "new.db") as pool:
            assert not (tmp_path / "new.db").exists()  # not before it is needed
            assert await pool.fetchval("SELECT count(*) FROM sqlite_master") == 0
            assert await pool.fetchval("PRAGMA journal_mode") == "wal"

    asyncio.run(main())
    assert [file.name for file in tmp_path.iterdir()] == ["new.db"]  # the log was tidied up


def test_a_relative_path_is_that_of_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pool = SqlitePool("näme with %20 and ?#.db")
    monkeypatch.chdir("/")
    asyncio.run(pool.execute("CREATE TABLE t (v)"))
    asyncio.run(pool.aclose())
    assert (tmp_path / "näme with %20 and ?#.db").stat().st_size > 0


def test_a_function_is_called_in_a_transaction(tmp_path: Path) -> None:
    def move(raw: sqlite3.Connection, value: str) -> int:
        assert raw.in_transaction
        raw.execute(INSERT, (value,))
        return len(raw.execute("SELECT * FROM t").fetchall())

    async def body(pool: SqlitePool) -> None:
        assert await pool.run(move, "a", write=True) == 1
        assert await pool.run(lambda raw: raw.execute("SELECT v FROM t").fetchall()) == [("a",)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await pool.run(move, "b")

    use(tmp_path, body)
    assert rows_in(tmp_path) == ["a"]


def test_a_function_that_raises_has_changed_nothing(tmp_path: Path) -> None:
    def fail(raw: sqlite3.Connection) -> None:
        raw.execute(INSERT, ("lost",))
        raise KeyError("mine")

    async def body(pool: SqlitePool) -> None:
        with pytest.raises(KeyError, match="mine"):
            await pool.run(fail, write=True)
        assert pool.stats().rollbacks == 1

    use(tmp_path, body)
    assert rows_in(tmp_path) == []


def test_a_function_must_leave_the_transaction_alone(tmp_path: Path) -> None:
    def commit(raw: sqlite3.Connection) -> None:
        raw.commit()

    async def body(pool: SqlitePool) -> None:
        for write in (False, True):
            with pytest.raises(RuntimeError, match="ended the transaction"):
                await pool.run(commit, write=write)
            with pytest.raises(TypeError, match="returned a cursor"):
                await pool.run(lambda raw: raw.execute("SELECT 1"), write=write)

    use(tmp_path, body)


def test_settings_are_those_of_each_connection(tmp_path: Path) -> None:
    def connect(raw: sqlite3.Connection) -> None:
        raw.row_factory = sqlite3.Row
        raw.create_function("twice", 1, lambda value: 2 * value)

    def pragmas(raw: sqlite3.Connection) -> list[int]:
        names = ("cache_size", "foreign_keys", "synchronous", "query_only")
        return [raw.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    async def body(pool: SqlitePool) -> None:
        assert await pool.run(pragmas) == [-500, 1, 2, 1]
        assert await pool.run(pragmas, write=True) == [-500, 1, 2, 0]
        for _ in range(2):  # in a thread, then on the loop
            row = await pool.fetchone("SELECT twice(21) AS answer")
            assert row["answer"] == 42
            assert await pool.fetchval("SELECT twice(4)") == 8
        await pool.execute("INSERT INTO t (v) VALUES (twice(3))")

    use(
        tmp_path,
        body,
        synchronous="full",
        pragmas={"cache_size": -500, "foreign_keys": True},
        on_connect=connect,
    )
    assert rows_in(tmp_path) == [6]


def test_many_more_readers_than_connections_get_their_turn(tmp_path: Path) -> None:
    async def body(pool: SqlitePool) -> None:
        await pool.executemany(INSERT, [(n,) for n in range(50)])
        reads = [pool.fetchval("SELECT v FROM t WHERE id = ?", (n + 1,)) for n in range(50)]
        assert await asyncio.gather(*reads) == list(range(50))
        assert 1 <= pool.stats().readers <= 2
        assert pool.stats().reads == 50

    use(tmp_path, body, readers=2, inline_limit=None)


def test_statistics_say_what_was_done(tmp_path: Path) -> None:
    async def body(pool: SqlitePool) -> None:
        await pool.fetchval("SELECT 1")  # opens: one for a thread, one for the loop
        await pool.fetchval("SELECT 1")
        async with pool.read() as conn:
            await conn.fetchval("SELECT 1")
            assert pool.stats().readers_busy == 1
        async with pool.write():
            assert pool.stats().writer_busy == 1
        await pool.execute(INSERT, ("a",))
        await until(lambda: not pool.stats().writer_busy)  # the thread goes after the commit
        stats = pool.stats()
        assert (stats.reads, stats.inline, stats.moved) == (3, 1, 0)
        assert (stats.writes, stats.groups, stats.commits) == (1, 1, 2)
        assert (stats.readers, stats.opened, stats.closed) == (2, 3, 0)
        assert (stats.readers_busy, stats.writer_busy, stats.waiting) == (0, 0, 0)
        assert stats.read_seconds > 0 < stats.write_seconds

    use(tmp_path, body)


def test_a_named_pool_is_among_the_metrics(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, name="orders")
    asyncio.run(pool.fetchone("SELECT 1"))
    metrics.generate_latest()
    stats = pool.stats()
    assert set(type(stats).__slots__) == {name for name, _, _ in _families.SQLITE_POOL_FIELDS}
    for name, kind, _ in _families.SQLITE_POOL_FIELDS:
        shown = f"penstock_sqlite_pool_{name}{'_total' if kind == 'counter' else ''}"
        value = REGISTRY.get_sample_value(shown, {"name": "orders"})
        assert value == float(getattr(stats, name))
    assert pool.name == "orders"
    asyncio.run(pool.aclose())


def test_it_tells_what_it_is(tmp_path: Path) -> None:
    path = str(tmp_path / "test.db")
    pool = make_pool(tmp_path, name="orders")
    assert repr(pool) == f"SqlitePool({path!r}, readers=4, name='orders')"
    assert (pool.path, pool.closed) == (path, False)
    asyncio.run(pool.aclose())
    assert repr(pool) == f"SqlitePool({path!r}, closed, name='orders')"
    assert pool.closed


def test_statements_outside_of_a_transaction_are_possible(tmp_path: Path) -> None:
    async def body(pool: SqlitePool) -> None:
        writes = [
            pool.execute(INSERT, ("a",)),
            pool.execute("PRAGMA user_version = 7"),
            pool.execute(INSERT, ("b",)),
            pool.execute("  -- tidy\n /* up */ vacuum"),
            pool.execute(INSERT, ("c",)),
        ]
        await asyncio.gather(*writes)
        assert await pool.fetchval("PRAGMA user_version") == 7

    use(tmp_path, body)
    assert rows_in(tmp_path) == ["a", "b", "c"]
