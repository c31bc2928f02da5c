"""Reads of a `SqlitePool` on the event loop, and what goes to a thread instead."""

from __future__ import annotations

import asyncio
import sqlite3
from time import perf_counter
from typing import TYPE_CHECKING

import pytest
from tests.clock import Clock
from tests.databases import ENDLESS, assert_clean, locked, make_pool
from tests.threads import LIMIT, spawn

from penstock.pools import _sqlite_connection

if TYPE_CHECKING:
    from pathlib import Path

    from penstock import SqlitePool

#: Takes some ten milliseconds.
SLOW = f"SELECT count(*) FROM ({ENDLESS.replace('FROM n)', 'FROM n LIMIT ?)', 1)})"


def counts(pool: SqlitePool) -> tuple[int, int, int]:
    """How many reads there were, how many of them inline, and how many moved."""
    stats = pool.stats()
    return stats.reads, stats.inline, stats.moved


def finish(pool: SqlitePool) -> None:
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_the_first_read_opens_what_the_next_ones_use(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        assert counts(pool) == (1, 0, 0)
        await pool.fetchone("SELECT 1")
        await pool.fetchall("SELECT 1")
        await pool.fetchval("SELECT 1")
        assert counts(pool) == (4, 3, 0)

    asyncio.run(main())
    finish(pool)


def test_an_inline_read_never_touches_the_loop(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    asyncio.run(pool.fetchone("SELECT 1"))
    for read in (pool.fetchone("SELECT 2"), pool.fetchall("SELECT 2"), pool.fetchval("SELECT 2")):
        with pytest.raises(StopIteration):
            read.send(None)
    finish(pool)


def test_a_slow_read_is_interrupted_and_moved(tmp_path: Path) -> None:
    clock = Clock()
    pool = make_pool(tmp_path, timer=clock, max_idle=None, max_lifetime=None)

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        assert await pool.fetchval(SLOW, (100_000,)) == 1
        assert counts(pool) == (2, 0, 1)
        # It is remembered, whatever its parameters.
        assert await pool.fetchval(SLOW, (1,)) == 1
        assert counts(pool) == (3, 0, 1)
        # Others are not concerned.
        await pool.fetchone("SELECT 1")
        assert counts(pool) == (4, 1, 1)
        # And some time later it is tried again.
        clock.advance(0.049)
        await pool.fetchval(SLOW, (1,))
        assert counts(pool) == (5, 1, 1)
        clock.advance(0.002)
        assert await pool.fetchval(SLOW, (1,)) == 1
        assert counts(pool) == (6, 2, 1)

    asyncio.run(main())
    finish(pool)


def test_a_read_that_is_always_slow_is_hardly_ever_tried(tmp_path: Path) -> None:
    clock = Clock()
    pool = make_pool(tmp_path, timer=clock, max_idle=None, max_lifetime=None)

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        for tries, seconds in enumerate((0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5), 1):
            await pool.fetchval(SLOW, (100_000,))
            assert pool.stats().moved == tries
            clock.advance(seconds * 0.99)
            await pool.fetchval(SLOW, (1,))
            assert (pool.stats().moved, pool.stats().inline) == (tries, 0)
            clock.advance(seconds * 0.02)
        # Once it is fast, all is forgotten.
        await pool.fetchval(SLOW, (1,))
        assert pool.stats().inline == 1
        await pool.fetchval(SLOW, (100_000,))
        clock.advance(0.06)
        await pool.fetchval(SLOW, (1,))
        assert pool.stats().inline == 2

    asyncio.run(main())
    finish(pool)


@pytest.mark.parametrize(("seconds", "moved"), [(0.005, 0), (0.02, 1)])
def test_who_only_has_to_wait_for_the_cpu_is_not_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, moved: int
) -> None:
    offset = 0.0

    def pause() -> int:
        nonlocal offset
        offset = seconds
        return 1

    monkeypatch.setattr(_sqlite_connection, "perf_counter", lambda: perf_counter() + offset)
    pool = make_pool(
        tmp_path, on_connect=lambda raw: raw.create_function("pause", 0, pause), inline_limit=0.001
    )
    steps = "SELECT count(*) FROM t WHERE pause() + id > 0"

    async def main() -> None:
        await pool.executemany("INSERT INTO t (v) VALUES (?)", [(n,) for n in range(500)])
        await pool.fetchone("SELECT 1")
        assert await pool.fetchval(steps) == 500
        assert pool.stats().moved == moved

    asyncio.run(main())
    finish(pool)


def test_the_loop_goes_on_while_a_slow_read_runs(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        task = asyncio.ensure_future(pool.fetchone(ENDLESS))
        await asyncio.sleep(0.02)
        # It was on the loop first, and no longer than it may.
        assert counts(pool) == (1, 0, 1)
        assert await pool.fetchval("SELECT 1") == 1
        task.cancel()
        await asyncio.wait([task], timeout=LIMIT)
        assert task.cancelled()

    asyncio.run(main())
    finish(pool)


def test_what_is_slow_without_steps_is_moved_the_next_time(tmp_path: Path) -> None:
    def connect(raw: sqlite3.Connection) -> None:
        raw.create_function("nap", 0, lambda: sum(range(100_000)))

    pool = make_pool(tmp_path, on_connect=connect, timer=Clock())

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        for reads, inline in ((2, 1), (3, 2), (4, 3), (5, 3), (6, 3)):  # it may be the machine
            await pool.fetchone("SELECT nap()")
            assert counts(pool) == (reads, inline, 0)

    asyncio.run(main())
    finish(pool)


def test_without_a_limit_all_go_to_threads(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, inline_limit=None)

    async def main() -> None:
        for _ in range(3):
            await pool.fetchone("SELECT 1")
        assert counts(pool) == (3, 0, 0)
        assert pool.stats().readers == 1

    asyncio.run(main())
    finish(pool)


def test_a_locked_database_is_waited_for_in_a_thread(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        link = pool._store.inline.idle[0]

        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY

        class Busy:
            in_transaction = False

            def execute(self, *_: object) -> None:
                raise error

        raw, link.raw = link.raw, Busy()  # type: ignore[assignment]
        assert await pool.fetchval("SELECT 42") == 42
        assert counts(pool) == (2, 0, 1)
        link.raw = raw
        assert await pool.fetchval("SELECT 42") == 42
        assert counts(pool) == (3, 1, 1)  # it is not the statement that was slow

    asyncio.run(main())
    finish(pool)


def test_errors_reach_the_caller_and_leave_the_connection(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="no such table"):
                await pool.fetchone("SELECT * FROM nowhere")
            with pytest.raises(sqlite3.ProgrammingError):
                await pool.fetchone("SELECT ?", (1, 2))
        assert await pool.fetchval("SELECT 1") == 1
        assert counts(pool) == (2, 1, 0)

    asyncio.run(main())
    finish(pool)


def test_it_sees_what_others_commit(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def main() -> None:
        for n in range(20):
            await pool.execute("INSERT INTO t (v) VALUES (?)", (n,))
            assert await pool.fetchval("SELECT count(*) FROM t") == 2 * n + 1
            async with pool.write() as conn:
                await conn.execute("INSERT INTO t (v) VALUES (?)", (n,))
            assert await pool.fetchone("SELECT count(v) FROM t WHERE v >= 0") == (2 * n + 2,)

    asyncio.run(main())
    finish(pool)


def test_loops_in_threads_do_not_share_the_connection_at_once(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def read() -> None:
        for n in range(300):
            assert await pool.fetchone("SELECT ?", (n,)) == (n,)

    for thread in [spawn(lambda: asyncio.run(read())) for _ in range(3)]:
        thread.result()
    assert pool.stats().reads == 900
    finish(pool)


def test_readers_go_on_while_another_process_writes(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def main() -> None:
        for _ in range(2):
            assert await pool.fetchval("SELECT count(*) FROM t") == 0
            async with pool.read() as conn:
                assert await conn.fetchval("SELECT count(*) FROM t") == 0

    with locked(tmp_path):
        asyncio.run(main())
    finish(pool)
