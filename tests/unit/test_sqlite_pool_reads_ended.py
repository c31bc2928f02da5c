"""Reads of a `SqlitePool` in threads that are cancelled, or closed, or left by their loop."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
import weakref
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.databases import ENDLESS, assert_clean, make_pool, until
from tests.forks import in_child
from tests.gates import Gate, at_rest, finish, hold, make, note
from tests.steps import steps_of
from tests.threads import LIMIT

from penstock import ClosedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is open after the test, whatever that did."""
    gate = Gate()
    yield gate
    gate.open()


# cancelled


@pytest.mark.parametrize("twice", [0, 1])
def test_a_crowd_at_each_step(tmp_path: Path, twice: int) -> None:
    pool = make(tmp_path, acquire_timeout=None, max_idle=None, max_lifetime=None, readers=2)

    async def program() -> None:
        mine = [asyncio.ensure_future(pool.fetchval("SELECT ?", (n,))) for n in range(3)]
        other = asyncio.ensure_future(pool.fetchval("SELECT 'other'"))
        try:
            assert await pool.fetchval("SELECT 'own'") == "own"
            assert await asyncio.gather(*mine) == [0, 1, 2]
        finally:
            for task in mine:
                task.cancel()
            while not all(task.done() for task in (*mine, other)):
                try:
                    await asyncio.wait([*mine, other])
                except asyncio.CancelledError:
                    continue
            assert other.result() == "other"
            while pool._reads.watches:
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    continue

    ends = set()
    for step, task in steps_of(program, twice=twice):
        if step % 10 == 0:
            assert_clean(pool)
        ends.add(task.cancelled())
        if not task.cancelled():
            task.result()
    assert ends == {True, False}
    finish(pool)


def test_one_that_has_not_begun_does_not_run(tmp_path: Path, gate: Gate) -> None:
    pool = make(tmp_path, gate, readers=1)

    async def main() -> None:
        slow = hold(pool, 0)
        await until(lambda: gate.begun)
        kept, lost = note(pool, 1, 2, 3), note(pool, 4, 5, 6)
        await asyncio.sleep(0)
        for task in lost:
            task.cancel()
        await asyncio.wait(lost)  # at once: the gate is closed still
        assert all(task.cancelled() for task in lost)
        gate.open()
        assert await asyncio.gather(slow, *kept) == [0, 1, 2, 3]
        assert gate.begun == [0, 1, 2, 3]
        assert pool.stats().interrupted == 0
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


def test_one_that_runs_is_interrupted_and_its_neighbours_are_not(
    tmp_path: Path, gate: Gate
) -> None:
    pool = make(tmp_path, gate, readers=1)

    async def main() -> None:
        before = note(pool, 1, 2)
        endless = asyncio.ensure_future(pool.fetchone(ENDLESS))
        after = note(pool, 3, 4)
        assert await asyncio.wait_for(asyncio.gather(*before), LIMIT) == [1, 2]
        assert not any(task.done() for task in (endless, *after))
        endless.cancel()
        assert await asyncio.wait_for(asyncio.gather(*after), LIMIT) == [3, 4]
        await asyncio.wait([endless], timeout=LIMIT)
        assert endless.cancelled()
        assert (pool.stats().interrupted, pool.stats().reads) == (1, 4)
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


def test_whoever_is_cancelled_no_neighbour_is_hit(tmp_path: Path) -> None:
    pool = make(tmp_path, readers=2)
    random = Random(5)
    steps = ENDLESS.replace("FROM n)", "FROM n LIMIT ?)", 1)

    async def main() -> None:
        for _ in range(30):
            limits = [random.randrange(1, 3000) for _ in range(30)]
            tasks = [asyncio.ensure_future(pool.fetchval(steps, (n,))) for n in limits]
            for task in random.sample(tasks, 10):
                await asyncio.sleep(random.random() / 2000)
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for limit, result in zip(limits, results, strict=True):
                assert result == limit or isinstance(result, asyncio.CancelledError)
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


def test_who_is_cancelled_goes_on_when_the_statement_has_ended(tmp_path: Path, gate: Gate) -> None:
    pool = make(tmp_path, gate, readers=1)

    async def main() -> None:
        slow = hold(pool, 0)
        await until(lambda: gate.begun)
        for _ in range(3):
            slow.cancel()
            await asyncio.sleep(0.01)  # longer than it takes to interrupt it once more
            assert not slow.done()
        gate.open()
        await asyncio.wait([slow], timeout=LIMIT)
        assert slow.cancelled()
        assert pool.stats().interrupted == 1
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


# loops that are gone


def test_a_loop_that_is_gone_holds_up_nobody(tmp_path: Path, gate: Gate) -> None:
    pool = make(tmp_path, gate, readers=1)

    async def leave() -> None:
        tasks = [hold(pool, 0), *note(pool, 1, 2)]
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        await until(lambda: gate.begun)

    async def main() -> None:
        tasks = note(pool, 3, 4)
        await asyncio.sleep(0)
        gate.open()
        assert await asyncio.wait_for(asyncio.gather(*tasks), LIMIT) == [3, 4]
        assert gate.begun[0] == 0
        assert gate.begun[-2:] == [3, 4]
        await at_rest(pool)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    gc.collect()
    asyncio.run(main())
    pool._reads.watches.pop(loop, None)
    finish(pool)


def test_a_coroutine_that_is_closed_interrupts_what_it_asked_for(tmp_path: Path) -> None:
    pool = make(tmp_path, readers=1)

    async def main() -> None:
        lost, endless = pool.fetchone("SELECT 1"), pool.fetchone(ENDLESS)
        for call in (endless, lost):
            call.send(None)
        await until(lambda: any(drain._current for drain in list(pool._reads.active)))
        await asyncio.sleep(0.01)  # until it is in SQLite's hands
        lost.close()
        endless.close()
        await until(lambda: not pool.stats().readers_busy)
        assert pool.stats().reads == 0
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


# forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_reads_wait(tmp_path: Path, gate: Gate) -> None:
    pool = make(tmp_path, gate, readers=1)

    def check() -> None:
        assert pool.stats().readers == 0
        with pytest.raises(RuntimeError, match="was made before the fork"):
            pool.fetchone("SELECT 1").send(None)
        pool._reads.look()
        gc.collect()

    async def main() -> None:
        tasks = [hold(pool, 0), *note(pool, 1, 2)]
        await until(lambda: gate.begun)
        assert in_child(check)
        gate.open()
        assert await asyncio.gather(*tasks) == [0, 1, 2]
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_never_closes_what_is_its_parents(tmp_path: Path) -> None:
    # A connection that is closed lets go of its functions.
    functions: list[weakref.ref[object]] = []

    def connect(raw: sqlite3.Connection) -> None:
        def one() -> int:
            return 1

        raw.create_function("one", 0, one)
        functions.append(weakref.ref(one))

    async def use() -> None:
        await pools[0].execute("INSERT INTO t (v) VALUES (1)")
        await pools[0].fetchone("SELECT one()")
        await pools[0].fetchone("SELECT one()")

    def alive() -> list[bool]:
        pools.clear()
        gc.collect()
        return [function() is not None for function in functions]

    def check() -> None:
        assert alive() == [True] * 3

    pools = [make_pool(tmp_path, on_connect=connect)]
    asyncio.run(use())
    assert in_child(check)
    for _ in range(2000):  # until the threads have let go of the pool
        if not any(alive()):
            break
        threading.Event().wait(0.001)
    assert alive() == [False] * 3


# the end


def test_what_waits_at_the_end_is_done(tmp_path: Path, gate: Gate) -> None:
    pool = make(tmp_path, gate, readers=2)

    async def main() -> None:
        tasks = [hold(pool, 1), hold(pool, 2), *note(pool, 3, 4, 5)]
        await until(lambda: len(gate.begun) == 2)
        closing = asyncio.ensure_future(pool.aclose())
        await asyncio.sleep(0)
        with pytest.raises(ClosedError):
            await pool.fetchone("SELECT 1")
        assert not closing.done()
        gate.open()
        await closing
        assert await asyncio.gather(*tasks) == [1, 2, 3, 4, 5]

    asyncio.run(main())
    assert pool._store.links == {}


def test_so_is_what_waits_behind_a_block(tmp_path: Path) -> None:
    pool = make(tmp_path, readers=1)

    async def main() -> None:
        async with pool.read():
            tasks = [asyncio.ensure_future(pool.fetchval("SELECT 1")) for _ in range(5)]
            await until(lambda: len(pool._reads.pending) == 5)
            closing = asyncio.ensure_future(pool.aclose())
            await asyncio.sleep(0)
        await closing
        assert await asyncio.gather(*tasks) == [1] * 5

    asyncio.run(main())
    assert pool._store.links == {}


def test_after_some_time_it_is_not(tmp_path: Path) -> None:
    pool = make(tmp_path, readers=2)

    async def main() -> None:
        reads = [pool.fetchone(ENDLESS) for _ in range(5)]
        tasks = [asyncio.ensure_future(read) for read in reads]
        await until(lambda: pool.stats().readers_busy == 2)
        await asyncio.sleep(0.01)
        await pool.aclose(timeout=0.01)
        done, _ = await asyncio.wait(tasks, timeout=LIMIT)
        assert len(done) == 5
        assert all(isinstance(task.exception(), ClosedError) for task in tasks)
        await until(lambda: not pool._store.links)

    asyncio.run(main())
