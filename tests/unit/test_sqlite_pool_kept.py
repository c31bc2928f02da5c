"""Cursors that somebody keeps: no read of a `SqlitePool` sees the past because of them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sqlite3
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest
from tests.databases import ENDLESS, assert_clean, make_pool
from tests.threads import spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from penstock import SqlitePool

ROWS = "SELECT v FROM t WHERE id > 0"
#: Gives a row, then one that is no text.
BROKEN = "SELECT CASE id WHEN 2 THEN CAST(x'ff' AS TEXT) ELSE v END FROM t WHERE id > 0"


@pytest.fixture(params=[0.001, None])
def pool(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SqlitePool]:
    """A pool with one reader, and one in which no read is done on the loop."""
    pool = make_pool(tmp_path, readers=1, inline_limit=request.param, busy_timeout=0)
    asyncio.run(pool.executemany("INSERT INTO t (v) VALUES (?)", [("old",)] * 5))
    yield pool
    assert_clean(pool)
    asyncio.run(pool.aclose())


def update(tmp_path: Path, value: str) -> None:
    """Write as another process would."""
    raw = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    raw.execute("UPDATE t SET v = ?", (value,))
    raw.close()


async def check(pool: SqlitePool, tmp_path: Path) -> None:
    """All see what was written last, and can write on."""
    update(tmp_path, "new")
    assert await pool.fetchval(ROWS) == "new"
    assert await pool.run(lambda raw: raw.execute(ROWS).fetchone()) == ("new",)
    async with pool.read() as conn:
        assert await conn.fetchval(ROWS) == "new"
    await pool.execute("UPDATE t SET v = 'newer'")
    async with pool.write() as conn:
        await conn.execute("UPDATE t SET v = 'newest'")
    assert await pool.fetchval(ROWS) == "newest"


def direct(raw: sqlite3.Connection) -> sqlite3.Cursor:
    """Make a cursor that the connection does not see."""
    return sqlite3.Cursor(raw).execute(ROWS)


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    "way", [lambda raw: raw.execute(ROWS), lambda raw: raw.cursor().execute(ROWS), direct]
)
def test_a_function_that_raises_over_its_rows(
    pool: SqlitePool, tmp_path: Path, write: bool, way: Callable[[sqlite3.Connection], Any]
) -> None:
    def over(raw: sqlite3.Connection) -> None:
        rows = way(raw)  # a local: the traceback keeps it
        for row in rows:
            raise KeyError(row)

    async def main() -> None:
        with pytest.raises(KeyError) as kept:
            await pool.run(over, write=write)
        await check(pool, tmp_path)
        assert kept.tb is not None

    asyncio.run(main())


@pytest.mark.parametrize("write", [False, True])
def test_a_cursor_that_outlives_the_block_of_a_thread(
    pool: SqlitePool, tmp_path: Path, write: bool
) -> None:
    def block() -> sqlite3.Cursor:
        with pool.write() if write else pool.read() as raw:
            cursor = raw.execute(ROWS)
            assert cursor.fetchone() == ("old",)
        return cursor

    cursor = spawn(block).result()
    asyncio.run(check(pool, tmp_path))
    with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
        cursor.fetchone()


def test_a_value_that_was_opened(pool: SqlitePool, tmp_path: Path) -> None:
    blobs = []

    def read(raw: sqlite3.Connection) -> bytes:
        blobs.append(raw.blobopen("t", "v", 1, readonly=True))
        return bytes(blobs[0].read())

    async def main() -> None:
        assert await pool.run(read) == b"old"
        await check(pool, tmp_path)

    asyncio.run(main())


def test_an_error_of_a_row(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        await pool.fetchval(ROWS)
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="UTF-8") as kept:
                await pool.fetchall(BROKEN)
            async with pool.read() as conn:
                with pytest.raises(sqlite3.OperationalError, match="UTF-8") as other:
                    await conn.fetchall(BROKEN)
            await check(pool, tmp_path)
            assert kept.tb is not None
            assert other.tb is not None

    asyncio.run(main())


def test_rows_that_keep_their_cursor(tmp_path: Path) -> None:
    kept: list[sqlite3.Cursor] = []

    def keep(cursor: sqlite3.Cursor, row: Any) -> Any:
        kept.append(cursor)
        return row

    def connect(raw: sqlite3.Connection) -> None:
        raw.row_factory = keep

    for limit in (0.001, None):
        pool = make_pool(tmp_path, readers=1, inline_limit=limit, on_connect=connect)

        async def main(pool: SqlitePool) -> None:
            await pool.executemany("INSERT INTO t (v) VALUES (?)", [("old",)] * 5)
            for value in ("a", "b", "c"):
                update(tmp_path, value)
                assert await pool.fetchone(ROWS) == (value,)

        asyncio.run(main(pool))
        asyncio.run(pool.aclose())
    assert kept


def test_many_cursors_are_not_noted_for_ever(pool: SqlitePool) -> None:
    def work(raw: Any) -> int:
        kept = [raw.execute("SELECT 1") for _ in range(100)]
        for _ in range(1000):
            raw.execute("SELECT 1").fetchone()
        assert len(raw._opened) <= 2 * len(kept) + 1
        return len(kept)

    assert asyncio.run(pool.run(work)) == 100


def test_a_statement_that_is_cancelled_beside_open_rows(pool: SqlitePool) -> None:
    async def main() -> None:
        async with pool.read() as conn:
            rows = conn.iterate(ROWS, size=1)
            assert await anext(rows) == ("old",)
            task = asyncio.ensure_future(conn.fetchval(ENDLESS))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert await conn.fetchval(ROWS) == "old"
            with pytest.raises(sqlite3.OperationalError, match="interrupted together"):
                await anext(rows)
            assert await conn.fetchval(ROWS) == "old"

    asyncio.run(main())


def test_the_context_of_a_caller_is_not_kept(pool: SqlitePool) -> None:
    class Request:
        pass

    current: contextvars.ContextVar[Request] = contextvars.ContextVar("request")

    async def handle() -> ref[Request]:
        request = Request()
        current.set(request)
        await pool.run(lambda raw: raw.total_changes)
        return ref(request)

    async def main() -> None:
        request = await asyncio.create_task(handle())
        await pool.run(lambda raw: raw.total_changes)  # the thread has let go of the first call
        gc.collect()
        assert request() is None

    asyncio.run(main())
