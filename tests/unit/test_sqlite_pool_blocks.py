"""`SqlitePool.read()` and `write()`: transactions of a block, in tasks and in threads."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest
from tests.databases import assert_clean, make_pool, rows_in
from tests.threads import spawn

from penstock import AcquireTimeout, ClosedError, DeadlineExceeded, SqlitePool, deadline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSERT = "INSERT INTO t (v) VALUES (?)"
COUNT = "SELECT count(*) FROM t"


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[SqlitePool]:
    """A pool that is clean after the test."""
    pool = make_pool(tmp_path)
    yield pool
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_a_block_is_committed_at_its_end(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        async with pool.write() as conn:
            assert (await conn.execute(INSERT, ("a",))).lastrowid == 1
            assert (await conn.executemany(INSERT, ((v,) for v in "bc"))).rowcount == 2
            assert await conn.fetchone("SELECT v FROM t WHERE id = 2") == ("b",)
            assert await conn.fetchall("SELECT v FROM t WHERE id > 1") == [("b",), ("c",)]
            assert await conn.fetchval(COUNT) == 3
            returned = await conn.fetchval("INSERT INTO t (v) VALUES ('d') RETURNING id")
            assert returned == 4
            assert rows_in(tmp_path) == []
        assert rows_in(tmp_path) == ["a", "b", "c", "d"]

    asyncio.run(main())


def test_an_error_takes_everything_back(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(KeyError, match="mine"):  # noqa: PT012
            async with pool.write() as conn:
                await conn.execute(INSERT, ("a",))
                raise KeyError("mine")
        assert pool.stats().rollbacks == 1

    asyncio.run(main())
    assert rows_in(tmp_path) == []


def test_a_reader_sees_what_there_was_when_it_began(pool: SqlitePool) -> None:
    async def main() -> None:
        await pool.execute(INSERT, ("old",))
        async with pool.read() as first:
            await pool.execute(INSERT, ("new",))
            assert await first.fetchval(COUNT) == 1
            async with pool.read() as second:
                assert await second.fetchval(COUNT) == 2
            assert await first.fetchval(COUNT) == 1
            assert await pool.fetchval(COUNT) == 2  # single reads see what is committed
        async with pool.read() as third:
            assert await third.fetchval(COUNT) == 2

    asyncio.run(main())


def test_a_reader_writes_nothing(pool: SqlitePool) -> None:
    async def main() -> None:
        async with pool.read() as conn:
            for sql in ("INSERT INTO t (v) VALUES (1)", "DROP TABLE t", "CREATE TABLE u (v)"):
                with pytest.raises(sqlite3.OperationalError, match="readonly"):
                    await conn.execute(sql)
            await conn.execute("PRAGMA query_only = 0")
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await conn.execute("INSERT INTO t (v) VALUES (1)")
        for _ in range(2):  # in a thread, then on the loop
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await pool.fetchone("INSERT INTO t (v) VALUES (1) RETURNING id")
            await pool.fetchone("SELECT 1")

    asyncio.run(main())


def test_500_read_modify_writes_lose_none(pool: SqlitePool) -> None:
    async def increment() -> None:
        async with pool.write() as conn:
            value = await conn.fetchval("SELECT v FROM t WHERE id = 1")
            await conn.execute("UPDATE t SET v = ? WHERE id = 1", (value + 1,))

    async def main() -> None:
        await pool.execute("INSERT INTO t (id, v) VALUES (1, 0)")
        await asyncio.gather(*(increment() for _ in range(500)))
        assert await pool.fetchval("SELECT v FROM t WHERE id = 1") == 500

    asyncio.run(main())


def test_rows_come_by_and_by(pool: SqlitePool) -> None:
    async def main() -> None:
        await pool.executemany(INSERT, [(n,) for n in range(25)])
        async with pool.read() as conn:
            rows = [row async for row in conn.iterate("SELECT v FROM t ORDER BY id", size=10)]
            assert rows == [(n,) for n in range(25)]
            # Others may come in between, and it may be left early.
            async for (value,) in conn.iterate("SELECT v FROM t WHERE v >= ?", (5,), size=2):
                assert await conn.fetchval(COUNT) == 25
                if value == 9:
                    break
        async with pool.write() as conn:
            async for (number,) in conn.iterate("SELECT id FROM t", size=3):
                await conn.execute("UPDATE t SET v = -v WHERE id = ?", (number,))
        assert await pool.fetchval("SELECT sum(v) FROM t") == -300

    asyncio.run(main())


def test_a_block_is_of_no_use_afterwards(pool: SqlitePool) -> None:
    async def main() -> None:
        for make in (pool.read, pool.write):
            block = make()
            async with block as conn:
                rows = conn.iterate("SELECT 1 UNION SELECT 2", size=1)
                await anext(rows)
            for call in (
                conn.execute("SELECT 1"),
                conn.executemany(INSERT, []),
                conn.fetchone("SELECT 1"),
                conn.fetchall("SELECT 1"),
                conn.fetchval("SELECT 1"),
                anext(rows),
            ):
                with pytest.raises(ClosedError):
                    await call
            with pytest.raises(RuntimeError, match="entered already"):
                await block.__aenter__()

    asyncio.run(main())


def test_one_statement_at_a_time(pool: SqlitePool) -> None:
    async def main() -> None:
        async with pool.read() as conn:
            both = await asyncio.gather(
                conn.fetchval("SELECT 1"), conn.fetchval("SELECT 2"), return_exceptions=True
            )
            assert both[0] == 1
            assert isinstance(both[1], RuntimeError)
            assert await conn.fetchval("SELECT 3") == 3

    asyncio.run(main())


def test_the_transaction_is_the_pool_s_business(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        ends = ("BEGIN", "commit", " END", ";ROLLBACK", "--\nCOMMIT", "/* */ROLLBACK", "\ufeffEND")
        async with pool.write() as conn:
            await conn.execute(INSERT, ("a",))
            for sql in (*ends, "ATTACH 'x' AS y", "DETACH y"):
                for call in (
                    conn.execute, conn.fetchone, conn.fetchall, conn.fetchval, pool.fetchone,
                    pool.execute,
                ):  # fmt: skip
                    with pytest.raises(ValueError, match=r"pool|connection"):
                        await call(sql)
            await conn.execute("SAVEPOINT here")
            await conn.execute(INSERT, ("b",))
            await conn.execute("ROLLBACK TRANSACTION TO here")
            await conn.execute("RELEASE here")
        for sql in ("SAVEPOINT here", "RELEASE here", "ROLLBACK TO here"):
            with pytest.raises(ValueError, match="savepoints"):
                await pool.execute(sql)

    asyncio.run(main())
    assert rows_in(tmp_path) == ["a"]


def test_what_sqlite_has_rolled_back_does_not_go_on(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        await pool.execute("INSERT INTO t (id, v) VALUES (1, 'a')")
        with pytest.raises(sqlite3.OperationalError, match="was rolled back by SQLite"):  # noqa: PT012  # the end of the block is what raises
            async with pool.write() as conn:
                await conn.execute(INSERT, ("lost",))
                with pytest.raises(sqlite3.IntegrityError):
                    await conn.execute("INSERT OR ROLLBACK INTO t (id, v) VALUES (1, 'b')")
                with pytest.raises(sqlite3.OperationalError, match="was rolled back by SQLite"):
                    await conn.execute(INSERT, ("outside",))

    asyncio.run(main())
    assert rows_in(tmp_path) == ["a"]


def test_a_commit_that_fails_has_changed_nothing(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, pragmas={"foreign_keys": 1})

    async def main() -> None:
        await pool.execute(
            "CREATE TABLE child (of INTEGER REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)"
        )
        with pytest.raises(sqlite3.IntegrityError):
            async with pool.write() as conn:
                await conn.execute("INSERT INTO child VALUES (99)")

    asyncio.run(main())
    assert_clean(pool)
    assert rows_in(tmp_path, "SELECT * FROM child") == []
    asyncio.run(pool.aclose())


# waiting


@pytest.mark.parametrize("kind", ["read", "write"])
def test_who_waits_too_long_is_told_how_many_there_are(tmp_path: Path, kind: str) -> None:
    pool = make_pool(tmp_path, readers=1, acquire_timeout=0.01)
    who = {"read": "a SQLite reader", "write": "the SQLite writer"}[kind]

    async def main() -> None:
        async with getattr(pool, kind)():
            with pytest.raises(AcquireTimeout) as caught:
                async with getattr(pool, kind)():
                    pytest.fail("two at once")
            message = f"{who} did not become free within 0.01 s: 1 of 1 in use, 0 waiting"
            assert str(caught.value) == message
            assert caught.value.seconds == 0.01
        assert pool.stats().timeouts == 1

    asyncio.run(main())
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_a_wait_ends_with_the_deadline_around_it(pool: SqlitePool) -> None:
    async def main() -> None:
        async with pool.write():
            with deadline(0.01), pytest.raises(DeadlineExceeded):
                await pool.write().__aenter__()
            with deadline(0.01), pytest.raises(DeadlineExceeded):
                await pool.execute(INSERT, (1,))
        with deadline(30):  # is none of the thread's business
            assert await pool.fetchval(COUNT) == 0
            async with pool.write() as conn:
                assert await conn.fetchval(COUNT) == 0

    asyncio.run(main())


def test_writers_are_served_in_turn(pool: SqlitePool, tmp_path: Path) -> None:
    async def write(value: int) -> None:
        if value % 2:
            await pool.execute(INSERT, (value,))
        else:
            async with pool.write() as conn:
                await conn.execute(INSERT, (value,))

    async def main() -> None:
        async with pool.write():
            tasks = []
            for value in range(9):
                tasks.append(asyncio.ensure_future(write(value)))
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    # The first group has its turn after block 0, and takes all there is with it.
    assert rows_in(tmp_path) == [0, 1, 3, 5, 7, 2, 4, 6, 8]


# threads


def test_threads_have_blocks_too(pool: SqlitePool, tmp_path: Path) -> None:
    def increment() -> None:
        for _ in range(20):
            with pool.write() as raw:
                (value,) = raw.execute("SELECT v FROM t WHERE id = 1").fetchone()
                raw.execute("UPDATE t SET v = ? WHERE id = 1", (value + 1,))

    with pool.write() as raw:
        raw.execute("INSERT INTO t (id, v) VALUES (1, 0)")
    for thread in [spawn(increment) for _ in range(4)]:
        thread.result()
    with pool.read() as raw:
        assert raw.execute("SELECT v FROM t").fetchall() == [(80,)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            raw.execute(INSERT, (1,))
    with pytest.raises(KeyError), pool.write() as raw:  # noqa: PT012  # the end of the block is what raises
        raw.execute("DELETE FROM t")
        raise KeyError
    assert rows_in(tmp_path) == [80]


def test_a_block_of_a_thread_would_block_the_loop(pool: SqlitePool) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="use async with"), pool.read():
            pytest.fail("it was entered")

    asyncio.run(main())


def test_threads_and_loops_take_turns(pool: SqlitePool) -> None:
    async def increment() -> None:
        for _ in range(10):
            async with pool.write() as conn:
                value = await conn.fetchval("SELECT v FROM t WHERE id = 1")
                await conn.execute("UPDATE t SET v = ? WHERE id = 1", (value + 1,))
            await pool.execute("UPDATE t SET v = v + 1 WHERE id = 1")
            await pool.fetchval(COUNT)

    async def crowd() -> None:
        await asyncio.gather(*(increment() for _ in range(5)))

    asyncio.run(pool.execute("INSERT INTO t (id, v) VALUES (1, 0)"))
    for thread in [spawn(lambda: asyncio.run(crowd())) for _ in range(3)]:
        thread.result()
    assert asyncio.run(pool.fetchval("SELECT v FROM t")) == 300
