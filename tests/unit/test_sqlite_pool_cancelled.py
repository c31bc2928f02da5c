"""A `SqlitePool` whose users are cancelled, at each step: nobody after them notices."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.databases import ENDLESS, assert_clean, make_pool, rows_in, until
from tests.loading import settle
from tests.steps import steps_of
from tests.threads import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from penstock import SqlitePool

    Program = Callable[[SqlitePool], Coroutine[Any, Any, object]]

INSERT = "INSERT INTO t (v) VALUES (?)"


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[SqlitePool]:
    """A pool that is clean after the test; without timers: on a virtual loop they are due."""
    pool = make_pool(tmp_path, acquire_timeout=None, max_idle=None, max_lifetime=None)
    yield pool
    assert_clean(pool)
    asyncio.run(pool.aclose())


async def read(pool: SqlitePool) -> None:
    """Use a reader."""
    async with pool.read() as conn:
        await conn.fetchone("SELECT count(*) FROM t")
        async for _ in conn.iterate("SELECT 1 UNION SELECT 2 UNION SELECT 3", size=1):
            pass
        await conn.fetchall("SELECT * FROM t")


async def write(pool: SqlitePool) -> None:
    """Write two rows, or none."""
    async with pool.write() as conn:
        await conn.execute(INSERT, ("block",))
        await conn.execute(INSERT, ("block",))


async def execute(pool: SqlitePool) -> None:
    """Write two rows, or none, in a group."""
    await settle(3)
    await pool.executemany(INSERT, [("many",), ("many",)])


async def run_one(pool: SqlitePool) -> None:
    """Write two rows, or none, in a function."""
    await settle(3)

    def insert(raw: sqlite3.Connection) -> None:
        raw.execute(INSERT, ("run",))
        raw.execute(INSERT, ("run",))

    await pool.run(insert, write=True)


async def fetch(pool: SqlitePool) -> None:
    """Read on the loop, and in a thread."""
    await settle(3)
    assert await pool.fetchval("SELECT 1") == 1
    read_in_thread = pool._fetch("SELECT 2", (), lambda cursor: cursor.fetchone())
    assert await read_in_thread == (2,)


@pytest.mark.parametrize("twice", [0, 1])
@pytest.mark.parametrize("program", [read, write, execute, run_one, fetch])
def test_at_each_step(pool: SqlitePool, tmp_path: Path, program: Program, twice: int) -> None:
    ends = set()
    for step, task in steps_of(lambda: program(pool), twice=twice):
        assert_clean(pool)
        assert len(rows_in(tmp_path)) % 2 == 0, step
        ends.add(task.cancelled())
        if not task.cancelled():
            task.result()
    assert ends == {True, False}


@pytest.mark.parametrize("first", [read, write, run_one, fetch])
@pytest.mark.parametrize("second", [write, execute, run_one, read])
def test_whoever_is_next_in_line_gets_a_turn(
    pool: SqlitePool, tmp_path: Path, first: Program, second: Program
) -> None:
    async def program() -> None:
        other = asyncio.ensure_future(second(pool))
        try:
            await first(pool)
        finally:
            while not other.done():
                try:
                    await asyncio.shield(other)
                except asyncio.CancelledError:
                    continue
            other.result()

    for step, _ in steps_of(program):
        assert_clean(pool)
        assert len(rows_in(tmp_path)) % 2 == 0, step


# what does not end by itself


async def endless_block(pool: SqlitePool) -> None:
    """Read for ever."""
    async with pool.read() as conn:
        await conn.fetchone(ENDLESS)


async def endless_write(pool: SqlitePool) -> None:
    """Write one row, and then nothing more for ever."""
    async with pool.write() as conn:
        await conn.execute(INSERT, ("lost",))
        await conn.execute(f"INSERT INTO t (v) {ENDLESS}")


async def endless_fetch(pool: SqlitePool) -> None:
    """Read for ever, after it was too slow for the loop."""
    await pool.fetchval("SELECT 1")
    await pool.fetchone(ENDLESS)


async def endless_run(pool: SqlitePool) -> None:
    """Write one row, and then nothing more for ever, with errors that are swallowed."""

    def spin(raw: sqlite3.Connection) -> None:
        raw.execute(INSERT, ("lost",))
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError, match="interrupted"):
                raw.execute(ENDLESS).fetchall()

    await pool.run(spin, write=True)


ENDLESS_PROGRAMS: list[Program] = [endless_block, endless_write, endless_fetch, endless_run]


@pytest.mark.parametrize("program", ENDLESS_PROGRAMS)
@pytest.mark.parametrize("delay", [0.0, 0.01])
def test_an_endless_statement_is_interrupted(
    pool: SqlitePool, tmp_path: Path, program: Program, delay: float
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(program(pool))
        await until(lambda: pool.stats().readers_busy or pool.stats().writer_busy)
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.wait([task], timeout=LIMIT)
        assert task.cancelled()
        assert pool.stats().interrupted <= 1  # 0: it was between two hops

    asyncio.run(main())
    assert_clean(pool)
    assert rows_in(tmp_path) == []


def test_who_catches_the_cancellation_may_go_on(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        async with pool.write() as conn:
            await conn.execute(INSERT, ("kept",))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await conn.fetchone(ENDLESS)
            await conn.execute(INSERT, ("kept too",))

    asyncio.run(main())
    assert rows_in(tmp_path) == ["kept", "kept too"]


def test_a_commit_is_not_interrupted(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        async with pool.write() as conn:
            await conn.executemany(INSERT, [(n,) for n in range(2000)])
            asyncio.get_running_loop().call_soon(task.cancel)
        pytest.fail("it was not cancelled")

    async def outside() -> None:
        nonlocal task
        task = asyncio.ensure_future(main())
        await asyncio.wait([task])
        assert task.cancelled()

    task: asyncio.Task[None]
    asyncio.run(outside())
    assert len(rows_in(tmp_path)) == 2000


# statements of a group


def test_a_statement_that_did_not_run_yet_is_taken_back(pool: SqlitePool, tmp_path: Path) -> None:
    async def main() -> None:
        async with pool.write():
            kept = asyncio.ensure_future(pool.execute(INSERT, ("kept",)))
            lost = asyncio.ensure_future(pool.execute(INSERT, ("lost",)))
            await asyncio.sleep(0)
            lost.cancel()
            await asyncio.wait([lost])
            assert lost.cancelled()
        await kept

    asyncio.run(main())
    assert rows_in(tmp_path) == ["kept"]


def test_one_that_has_begun_is_committed_without_its_caller(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(value: str) -> str:
        begun.set()
        assert go.wait(LIMIT)
        return value

    pool = make_pool(tmp_path, on_connect=lambda raw: raw.create_function("slow", 1, slow))

    async def main() -> None:
        task = asyncio.ensure_future(pool.execute("INSERT INTO t (v) VALUES (slow('kept'))"))
        await until(begun.is_set)
        late = asyncio.ensure_future(pool.execute(INSERT, ("late",)))
        await asyncio.sleep(0)
        task.cancel()
        late.cancel()
        await asyncio.wait([task, late])
        assert task.cancelled()
        go.set()

    asyncio.run(main())
    assert_clean(pool)
    assert rows_in(tmp_path) == ["kept"]
    asyncio.run(pool.aclose())


# loops that are gone


async def slow_read(pool: SqlitePool) -> None:
    """Read what takes its time."""
    async with pool.read() as conn:
        await conn.fetchone("SELECT slow(1)")


async def slow_write(pool: SqlitePool) -> None:
    """Write what takes its time."""
    async with pool.write() as conn:
        await conn.execute(INSERT, ("lost",))
        await conn.execute("INSERT INTO t (v) VALUES (slow('lost'))")


async def slow_run(pool: SqlitePool) -> None:
    """Read what takes its time, in a function."""
    await pool.run(lambda raw: raw.execute("SELECT slow(1)").fetchall())


@pytest.mark.parametrize("program", [slow_read, slow_write, slow_run])
def test_who_is_dropped_with_the_loop_leaves_a_clean_connection(
    tmp_path: Path, program: Program
) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(value: object) -> object:
        begun.set()
        assert go.wait(LIMIT)
        return value

    async def start() -> None:
        task = asyncio.ensure_future(program(pool))
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        del task
        await until(begun.is_set)

    pool = make_pool(tmp_path, on_connect=lambda raw: raw.create_function("slow", 1, slow))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(start())
    loop.close()
    go.set()
    store = pool._store
    for _ in range(2000):  # until the thread has let go of it
        gc.collect()
        if not store.uses:
            break
        threading.Event().wait(0.001)
    assert_clean(pool)
    assert rows_in(tmp_path) == []
    asyncio.run(pool.aclose())
