"""The connections of a `SqlitePool` over time: idle, old, closed, forked, left alone."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
from typing import TYPE_CHECKING
from weakref import ref

import pytest
from tests.clock import Clock
from tests.databases import ENDLESS, assert_clean, make_pool, rows_in, until
from tests.forks import in_child
from tests.threads import LIMIT, spawn

from penstock import ClosedError
from penstock.bench._virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from pathlib import Path

    from penstock import SqlitePool

INSERT = "INSERT INTO t (v) VALUES (?)"


# age


def test_idle_readers_are_closed(tmp_path: Path) -> None:
    clock = Clock(100.0)
    pool = make_pool(tmp_path, max_idle=60, timer=clock, inline_limit=None)
    store = pool._store

    async def main() -> None:
        async with pool.read() as first, pool.read():
            await first.fetchone("SELECT 1")
        assert pool.stats().readers == 2
        clock.advance(59)
        async with pool.read() as first:  # the one that was used last
            await first.fetchone("SELECT 1")
        clock.advance(2)
        await store.run(store.tidy)
        assert pool.stats().readers == 1
        clock.advance(60)
        await store.run(store.tidy)
        assert pool.stats().readers == 0
        async with pool.read() as first:
            await first.fetchone("SELECT 1")

    asyncio.run(main())
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_that_of_the_loop_is_idle_when_it_was_not_used(tmp_path: Path) -> None:
    clock = Clock(100.0)
    pool = make_pool(tmp_path, max_idle=60, timer=clock)
    store = pool._store

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        for _ in range(3):
            clock.advance(40)
            await pool.fetchone("SELECT 1")
            await store.run(store.tidy)
            assert len(store.inline.idle) == 1
        clock.advance(61)
        await store.run(store.tidy)
        assert pool.stats().readers == 0
        assert await pool.fetchval("SELECT 1") == 1

    asyncio.run(main())
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_a_timer_of_the_loop_sees_to_it(tmp_path: Path) -> None:
    async def main() -> None:
        pool = make_pool(tmp_path, max_idle=100, timer=asyncio.get_running_loop().time)
        async with pool.read():
            pass
        assert pool.stats().readers == 1
        await asyncio.sleep(90)
        assert pool.stats().readers == 1
        await asyncio.sleep(40)
        for _ in range(2000):  # no time passes for the loop while the thread does it
            if not pool.stats().readers:
                break
            threading.Event().wait(0.001)  # it is meant to block
        assert pool.stats().readers == 0
        await asyncio.sleep(30)  # nothing is left to do, so that nothing is done
        assert pool._store._tidied_by is None
        await pool.aclose()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_old_connections_are_replaced(tmp_path: Path) -> None:
    clock = Clock()
    pool = make_pool(tmp_path, max_lifetime=100, max_idle=None, timer=clock, inline_limit=None)

    async def use() -> None:
        await pool.execute(INSERT, (1,))
        async with pool.write() as conn:
            await conn.fetchone("SELECT 1")
        await pool.fetchone("SELECT 1")

    async def main() -> None:
        await use()
        opened = pool.stats().opened
        clock.advance(89.9)  # up to a tenth less
        await use()
        assert pool.stats().opened == opened == 2
        clock.advance(10.2)
        await use()
        stats = pool.stats()
        assert (stats.opened, stats.closed, stats.readers) == (4, 2, 1)

    asyncio.run(main())
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_connections_do_not_all_end_at_once(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, readers=8, timer=Clock())

    async def main() -> None:
        blocks = [pool.read() for _ in range(8)]
        for block in blocks:
            await block.__aenter__()
        ends = {link.expires for link in pool._store.links}
        assert len(ends) == 8
        assert all(1620 <= end <= 1800 for end in ends)
        for block in blocks:
            await block.__aexit__(None, None, None)

    asyncio.run(main())
    asyncio.run(pool.aclose())


# the end


def test_after_the_end_everything_is_refused(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def main() -> None:
        async with pool:
            await pool.execute(INSERT, ("a",))
            before = pool.read()
        for call in (
            pool.fetchone("SELECT 1"),
            pool.fetchall("SELECT 1"),
            pool.fetchval("SELECT 1"),
            pool.execute(INSERT, (1,)),
            pool.executemany(INSERT, [(1,)]),
            pool.run(lambda raw: raw.execute("SELECT 1").fetchall()),
            pool.read().__aenter__(),
            pool.write().__aenter__(),
            before.__aenter__(),
            pool.__aenter__(),
        ):
            with pytest.raises(ClosedError, match=r"the pool of '.*test.db' is closed"):
                await call
        await pool.aclose()  # once more

    asyncio.run(main())
    with pytest.raises(ClosedError), pool.write():
        pytest.fail("it was entered")
    assert pool._store.links == {}
    assert [file.name for file in tmp_path.iterdir()] == ["test.db"]


def test_a_pool_that_was_never_used_is_closed_too(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    asyncio.run(pool.aclose())
    assert pool.closed


def test_what_was_accepted_before_the_end_is_done(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, readers=1, inline_limit=None)

    async def block() -> None:
        async with pool.write() as conn:
            await conn.execute(INSERT, ("block",))
            await asyncio.sleep(0.01)
            await conn.execute(INSERT, ("block",))

    async def main() -> None:
        tasks = [
            asyncio.ensure_future(call)
            for call in (
                block(),
                block(),
                pool.execute(INSERT, ("a",)),
                pool.execute(INSERT, ("b",)),
                pool.fetchval("SELECT 1"),
                pool.fetchval("SELECT 2"),
            )
        ]
        await asyncio.sleep(0)
        await asyncio.gather(pool.aclose(), pool.aclose())
        assert [task.done() for task in tasks] == [True] * 6
        for task in tasks:
            task.result()
        await pool.aclose()

    asyncio.run(main())
    assert sorted(rows_in(tmp_path)) == ["a", "b", "block", "block", "block", "block"]
    assert pool._store.links == {}


def test_who_takes_too_long_loses_the_connection(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, readers=2)

    async def reads() -> None:
        async with pool.read() as conn:
            await conn.fetchone(ENDLESS)

    async def idles() -> None:
        async with pool.write() as conn:
            await conn.execute(INSERT, ("lost",))
            await over.wait()
            await conn.execute(INSERT, ("lost",))

    async def ends() -> None:
        async with pool.read():
            await over.wait()

    async def main() -> None:
        calls = (reads(), idles(), ends(), idles(), reads(), pool.execute(INSERT, ("late",)))
        tasks = [asyncio.ensure_future(call) for call in calls]
        await until(lambda: pool.stats().readers_busy == 2 and pool.stats().writer_busy == 1)
        await asyncio.sleep(0.01)
        await pool.aclose(timeout=0.01)
        over.set()
        done, _ = await asyncio.wait(tasks, timeout=LIMIT)
        assert len(done) == len(tasks)
        for task in tasks:
            if task is not tasks[2]:  # it asked for nothing more
                assert isinstance(task.exception(), ClosedError)
        await until(lambda: not pool._store.links)

    over = asyncio.Event()
    asyncio.run(main())
    assert rows_in(tmp_path) == []


def test_a_thread_that_takes_too_long_is_not_disturbed(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    entered, over = threading.Event(), threading.Event()

    def block() -> None:
        with pool.write() as raw:
            entered.set()
            assert over.wait(LIMIT)
            raw.execute(INSERT, ("kept",))

    thread = spawn(block)
    assert entered.wait(LIMIT)
    asyncio.run(pool.aclose(timeout=0))
    over.set()
    thread.result()
    assert pool._store.links == {}
    assert rows_in(tmp_path) == ["kept"]


def test_to_close_can_be_cancelled_and_done_again(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def main() -> None:
        async with pool.write() as conn:
            closing = asyncio.ensure_future(pool.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
            assert closing.cancelled()
            await conn.execute(INSERT, ("kept",))
        with pytest.raises(ClosedError):
            await pool.fetchone("SELECT 1")
        await pool.aclose()

    asyncio.run(main())
    assert pool._store.links == {}
    assert rows_in(tmp_path) == ["kept"]


def test_the_threads_end_with_the_pool(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, name="threads of a test")

    def threads() -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t.name.startswith("threads of a test")]

    async def main() -> None:
        await asyncio.gather(*(pool.run(lambda raw: raw.in_transaction) for _ in range(20)))
        assert 1 <= len(threads()) <= 6
        await pool.aclose()
        await until(lambda: not threads())

    assert threads() == []
    asyncio.run(main())


def test_a_pool_that_nobody_has_any_more_is_let_go(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    asyncio.run(pool.execute(INSERT, ("a",)))
    asyncio.run(pool.fetchone("SELECT 1"))
    raws = [link.raw for link in pool._store.links]
    store = ref(pool._store)
    del pool
    for _ in range(2000):  # until the threads have let go of it
        gc.collect()
        if store() is None:
            break
        threading.Event().wait(0.001)
    for raw in raws:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            raw.execute("SELECT 1")


# forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_has_to_make_a_pool_of_its_own(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    asyncio.run(pool.execute(INSERT, ("parent",)))
    asyncio.run(pool.fetchone("SELECT 1"))
    message = "was made before the fork"

    def check() -> None:
        for call in (
            pool.fetchone("SELECT 1"),
            pool.execute(INSERT, ("child",)),
            pool.run(lambda raw: raw.execute("SELECT 1").fetchall()),
            pool.read().__aenter__(),
        ):
            with pytest.raises(RuntimeError, match=message):
                asyncio.run(_awaited(call))
        with pytest.raises(RuntimeError, match=message), pool.write():
            pytest.fail("it was entered")
        asyncio.run(pool.aclose())
        mine = make_pool(tmp_path)
        asyncio.run(mine.execute(INSERT, ("child",)))
        asyncio.run(mine.aclose())

    with pool.read() as raw:
        assert raw.execute("SELECT count(*) FROM t").fetchone() == (1,)
        assert in_child(check)
        assert raw.execute("SELECT count(*) FROM t").fetchone() == (1,)
    asyncio.run(pool.execute(INSERT, ("parent",)))
    assert_clean(pool)
    asyncio.run(pool.aclose())
    assert rows_in(tmp_path) == ["parent", "child", "parent"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_block_around_a_fork_is_that_of_the_parent(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    def leave() -> None:
        block.__exit__(None, None, None)
        assert raw.in_transaction

    block = pool.write()
    raw = block.__enter__()
    raw.execute(INSERT, ("parent",))
    assert in_child(leave)
    block.__exit__(None, None, None)
    assert_clean(pool)
    assert rows_in(tmp_path) == ["parent"]
    asyncio.run(pool.aclose())


async def _awaited(call: object) -> object:
    return await call  # type: ignore[misc]


def test_each_call_may_come_from_another_loop(tmp_path: Path) -> None:
    pool: SqlitePool = make_pool(tmp_path)
    for n in range(5):
        asyncio.run(pool.execute(INSERT, (n,)))
        assert asyncio.run(pool.fetchval("SELECT count(*) FROM t")) == n + 1
        count = asyncio.run(pool.run(lambda raw: raw.execute("SELECT id FROM t").fetchall()))
        assert len(count) == n + 1
    assert_clean(pool)
    asyncio.run(pool.aclose())
