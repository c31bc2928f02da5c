"""Statements of a `SqlitePool` that are written together."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.databases import assert_clean, make_pool, rows_in, until
from tests.threads import LIMIT, spawn

from penstock import AcquireTimeout, SqlitePool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from pathlib import Path

INSERT = "INSERT INTO t (v) VALUES (?)"


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[SqlitePool]:
    """A pool that is clean after the test."""
    pool = make_pool(tmp_path)
    yield pool
    assert_clean(pool)
    asyncio.run(pool.aclose())


async def together(pool: SqlitePool, *calls: Awaitable[object]) -> list[Any]:
    """Await calls that all wait for the writer when it becomes free."""
    async with pool.write():
        tasks = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_concurrent_callers_share_a_commit(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        results = await together(pool, *(pool.execute(INSERT, (n,)) for n in range(200)))
        assert [result.lastrowid for result in results] == list(range(1, 201))
        stats = pool.stats()
        assert (stats.writes, stats.groups) == (200, 1)

    asyncio.run(main())
    assert rows_in(tmp_path) == list(range(200))


def test_500_increments_lose_none(pool: SqlitePool) -> None:
    async def main() -> None:
        await pool.execute("INSERT INTO t (id, v) VALUES (1, 0)")
        add = "UPDATE t SET v = v + 1 WHERE id = 1"
        await asyncio.gather(*(pool.execute(add) for _ in range(500)))
        assert await pool.fetchval("SELECT v FROM t") == 500
        assert pool.stats().commits < 10

    asyncio.run(main())


def test_what_was_written_is_committed_when_its_caller_goes_on(
    pool: SqlitePool, tmp_path: Path
) -> None:
    async def write(value: int) -> None:
        result = await pool.execute(INSERT, (value,))
        (found,) = rows_in(tmp_path, f"SELECT v FROM t WHERE id = {result.lastrowid}")
        assert found == value
        assert await pool.fetchval("SELECT v FROM t WHERE id = ?", (result.lastrowid,)) == value

    async def main() -> None:
        await asyncio.gather(*(write(n) for n in range(50)))

    asyncio.run(main())


def test_an_error_is_that_of_its_own_caller(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        await pool.execute("INSERT INTO t (id, v) VALUES (1, 'old')")
        results = await together(
            pool,
            pool.execute(INSERT, ("a",)),
            pool.execute("INSERT INTO t (id, v) VALUES (1, 'twice')"),
            pool.execute("INSERT INTO nowhere VALUES (1)"),
            pool.execute(INSERT, ("b", "too many")),
            pool.execute(INSERT, (object(),)),
            pool.execute("no SQL at all"),
            pool.execute(INSERT, 5),  # type: ignore[arg-type]
            pool.executemany(INSERT, [("c",), ("d", "too many")]),
            pool.executemany("INSERT INTO t (id, v) VALUES (?, 'm')", [(50,), (1,), (51,)]),
            pool.executemany("SELECT ?", [(1,)]),
            pool.executemany(INSERT, [("e",), ("f",)]),
            pool.execute(INSERT, ("g",)),
        )
        kinds = [type(r).__name__ if isinstance(r, Exception) else r.rowcount for r in results]  # type: ignore[union-attr]
        assert kinds == [
            1, "IntegrityError", "OperationalError", "ProgrammingError", kinds[4],
            "OperationalError", kinds[6], "ProgrammingError", "IntegrityError", "ProgrammingError",
            2, 1,
        ]  # fmt: skip
        # Which ones these are depends on the version of Python.
        assert isinstance(results[4], sqlite3.Error)
        assert isinstance(results[6], sqlite3.Error | ValueError | TypeError)
        assert pool.stats().groups == 2

    asyncio.run(main())
    assert rows_in(tmp_path) == ["old", "a", "e", "f", "g"]


def test_a_group_of_errors_commits_nothing(pool: SqlitePool) -> None:
    async def main() -> None:
        results = await together(
            pool,
            *(pool.execute("INSERT INTO nowhere VALUES (1)") for _ in range(3)),
        )
        assert [type(result) for result in results] == [sqlite3.OperationalError] * 3
        assert len({id(result) for result in results}) == 3
        assert (pool.stats().groups, pool.stats().writes) == (0, 0)

    asyncio.run(main())


def test_who_makes_sqlite_roll_back_does_so_alone(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        await pool.execute("INSERT INTO t (id, v) VALUES (1, 'old')")
        results = await together(
            pool,
            pool.execute(INSERT, ("a",)),
            pool.executemany(INSERT, [("b",), ("c",)]),
            pool.execute("INSERT OR ROLLBACK INTO t (id, v) VALUES (1, 'bad')"),
            pool.executemany("INSERT OR ROLLBACK INTO t (id, v) VALUES (?, 'bad')", [(60,), (1,)]),
            pool.execute(INSERT, ("d",)),
        )
        assert [isinstance(r, sqlite3.IntegrityError) for r in results] == [
            False, False, True, True, False,
        ]  # fmt: skip

    asyncio.run(main())
    assert sorted(rows_in(tmp_path)) == ["a", "b", "c", "d", "old"]


def test_a_commit_that_fails_is_the_error_of_who_made_it_fail(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, pragmas={"foreign_keys": 1})

    async def main() -> None:
        await pool.execute(
            "CREATE TABLE child (of INTEGER REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)"
        )
        results = await together(
            pool,
            pool.execute(INSERT, ("a",)),
            pool.execute("INSERT INTO child VALUES (99)"),
            pool.execute("INSERT INTO nowhere VALUES (99)"),
            pool.execute(INSERT, ("b",)),
        )
        assert [type(result).__name__ for result in results] == [
            "SqliteResult", "IntegrityError", "OperationalError", "SqliteResult",
        ]  # fmt: skip

    asyncio.run(main())
    assert_clean(pool)
    assert rows_in(tmp_path) == ["a", "b"]
    assert rows_in(tmp_path, "SELECT * FROM child") == []
    asyncio.run(pool.aclose())


def test_a_full_disk_is_the_error_of_who_fills_it(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, pragmas={"max_page_count": 10})

    async def main() -> None:
        values = ["small", "x" * 100_000, "little", "y" * 100_000, "tiny"]
        results = await together(
            pool,
            *(pool.execute(INSERT, (value,)) for value in values),
        )
        full = [getattr(result, "sqlite_errorcode", None) for result in results]
        assert full == [None, sqlite3.SQLITE_FULL, None, sqlite3.SQLITE_FULL, None]
        with pytest.raises(sqlite3.OperationalError, match="full"):
            await pool.executemany(INSERT, [("z" * 3000,) for _ in range(100)])
        with pytest.raises(sqlite3.OperationalError, match="full"):  # noqa: PT012  # the end of the block is what raises
            async with pool.write() as conn:
                await conn.execute(INSERT, ("lost",))
                await conn.execute(INSERT, ("x" * 100_000,))
        await pool.execute(INSERT, ("last",))

    asyncio.run(main())
    assert_clean(pool)
    assert rows_in(tmp_path) == ["small", "little", "tiny", "last"]
    asyncio.run(pool.aclose())


def test_parameters_that_raise_fail_alone(pool: SqlitePool, tmp_path: Path) -> None:
    class Odd:
        def __init__(self, error: BaseException) -> None:
            self.error = error

        def __conform__(self, _: object) -> object:
            raise self.error

    async def main() -> None:
        results = await together(
            pool,
            pool.execute(INSERT, ("a",)),
            *(
                pool.execute(INSERT, (Odd(error),))  # type: ignore[arg-type]
                for error in (KeyError(1), StopIteration(2), asyncio.CancelledError())
            ),
            pool.execute(INSERT, ("b",)),
        )
        assert all(isinstance(result, Exception) for result in results[1:4])

    asyncio.run(main())
    assert rows_in(tmp_path) == ["a", "b"]


def test_rows_of_a_generator_are_taken_in_the_loop(pool: SqlitePool) -> None:
    def rows() -> Iterator[tuple[str]]:
        assert asyncio.get_running_loop() is loop
        yield ("a",)
        yield ("b",)

    async def main() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        assert (await pool.executemany(INSERT, rows())).rowcount == 2

    loop: asyncio.AbstractEventLoop
    asyncio.run(main())


def test_a_large_group_is_committed_in_parts(pool: SqlitePool) -> None:
    async def main() -> None:
        await together(pool, *(pool.execute(INSERT, (n,)) for n in range(2500)))
        assert pool.stats().groups == 3

    asyncio.run(main())


def test_who_waits_for_the_writer_too_long_is_told(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, acquire_timeout=0.02)

    async def main() -> None:
        async with pool.write() as conn:
            waits = [pool.execute(INSERT, (n,)) for n in range(3)]
            errors = await asyncio.gather(*waits, return_exceptions=True)
            assert [type(error) for error in errors] == [AcquireTimeout] * 3
            assert "the SQLite writer did not become free within 0.02 s" in str(errors[0])
            await conn.execute(INSERT, ("kept",))
        assert pool.stats().timeouts == 3

    asyncio.run(main())
    assert_clean(pool)
    assert rows_in(tmp_path) == ["kept"]
    asyncio.run(pool.aclose())


def test_who_came_while_the_group_was_written_is_told_as_well(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        assert go.wait(LIMIT)
        return 0

    pool = make_pool(
        tmp_path,
        acquire_timeout=0.05,
        on_connect=lambda raw: raw.create_function("slow", 0, slow),
    )

    async def block() -> None:
        async with pool.write():
            entered.set()
            await leave.wait()

    async def main() -> None:
        first = asyncio.ensure_future(pool.execute("INSERT INTO t (v) VALUES (slow())"))
        await until(begun.is_set)
        second = asyncio.ensure_future(block())  # in line, within its own time
        await asyncio.sleep(0)
        third = asyncio.ensure_future(pool.execute(INSERT, (1,)))  # is written with the first
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(first, third)
        await entered.wait()
        with pytest.raises(AcquireTimeout):
            await pool.execute(INSERT, (2,))
        leave.set()
        await second

    entered, leave = asyncio.Event(), asyncio.Event()
    asyncio.run(main())
    assert_clean(pool)
    assert rows_in(tmp_path) == [0, 1]
    asyncio.run(pool.aclose())


def test_loops_in_several_threads_share_groups(pool: SqlitePool, tmp_path: Path) -> None:
    async def crowd(first: int) -> None:
        for round_ in range(10):
            numbers = range(first + 20 * round_, first + 20 * round_ + 20)
            await asyncio.gather(*(pool.execute(INSERT, (n,)) for n in numbers))

    for thread in [spawn(lambda n=n: asyncio.run(crowd(n * 200))) for n in range(4)]:
        thread.result()
    assert sorted(rows_in(tmp_path)) == list(range(800))
