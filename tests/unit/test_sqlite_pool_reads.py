"""Reads of a `SqlitePool` that threads do: who waits at the same time shares a hop."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.databases import assert_clean, make_pool, until
from tests.gates import Gate, at_rest, finish, hold, make, note
from tests.threads import LIMIT, spawn

from penstock import AcquireTimeout, DeadlineExceeded, deadline
from penstock.pools._sqlite_store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is open after the test, whatever that did."""
    gate = Gate()
    yield gate
    gate.open()


def test_those_that_wait_share_a_hop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = make(tmp_path)
    hops: list[object] = []
    submit = Store.submit

    def counted(store: Store, *args: Any) -> None:
        hops.append(args)
        submit(store, *args)

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        monkeypatch.setattr(Store, "submit", counted)
        reads = [pool.fetchone("SELECT ?", (n,)) for n in range(200)]
        assert await asyncio.gather(*reads) == [(n,) for n in range(200)]
        assert len(hops) <= 4  # one, on a machine that is not busy
        assert pool.stats().reads == 201
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


def test_they_are_done_in_the_order_of_their_coming(tmp_path: Path, gate: Gate) -> None:
    pool = make(tmp_path, gate, readers=1)

    async def main() -> None:
        ends: list[int] = []
        tasks = [hold(pool, -1), *note(pool, *range(100))]
        for task in tasks:
            task.add_done_callback(lambda task: ends.append(task.result()))
        await until(lambda: gate.begun)
        assert pool.stats().waiting == 100
        gate.open()
        await asyncio.gather(*tasks)
        assert gate.begun == ends == list(range(-1, 100))
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


def test_one_that_takes_long_does_not_hold_up_the_others(tmp_path: Path, gate: Gate) -> None:
    pool = make(tmp_path, gate, readers=3)

    async def main() -> None:
        for first in (0, 100):  # the second time with two that take long
            before, after = range(first, first + 5), range(first + 6, first + 20)
            tasks = note(pool, *before)
            slow = hold(pool, first + 5)
            tasks += note(pool, *after)
            values = await asyncio.wait_for(asyncio.gather(*tasks), LIMIT)
            assert values == [*before, *after]
            assert not slow.done()
            held.append(slow)
        # Whoever comes now is not behind them either.
        assert await asyncio.wait_for(note(pool, 7)[0], LIMIT) == 7
        assert pool.stats().readers_busy >= 2
        gate.open()
        assert await asyncio.gather(*held) == [5, 105]
        await at_rest(pool)

    held: list[asyncio.Task[Any]] = []
    asyncio.run(main())
    finish(pool)


def test_what_takes_long_is_known_by_the_next_who_comes(tmp_path: Path, gate: Gate) -> None:
    pool = make(tmp_path, gate, readers=2)

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        slow = hold(pool, 1)
        await until(lambda: gate.begun)
        for number in range(20):  # alone behind it, each time
            assert await asyncio.wait_for(note(pool, number)[0], LIMIT) == number
        assert not slow.done()
        gate.open()
        assert await slow == 1
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


def test_one_that_fails_fails_alone(tmp_path: Path, gate: Gate) -> None:
    class Odd:
        def __init__(self, error: BaseException) -> None:
            self.error = error

        def __conform__(self, _: object) -> object:
            raise self.error

    pool = make(tmp_path, gate, readers=1)

    async def main() -> None:
        slow = hold(pool, 0)
        calls = [
            pool.fetchval("SELECT 1"),
            pool.fetchval("SELECT * FROM nowhere"),
            pool.fetchval("SELECT ?", (1, 2)),
            pool.fetchval("SELECT ?", (Odd(StopIteration(1)),)),
            pool.fetchval("SELECT ?", (Odd(asyncio.CancelledError()),)),
            pool.fetchval("SELECT ?", 5),  # type: ignore[arg-type]
            pool.fetchval("INSERT INTO t (v) VALUES (1)"),
            pool.fetchall("SELECT 2"),
        ]
        gathered = asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: gate.begun)
        gate.open()
        results = await gathered
        assert (results[0], results[-1], await slow) == (1, [(2,)], 0)
        assert all(isinstance(result, Exception) for result in results[1:-1])
        assert isinstance(results[1], sqlite3.OperationalError)
        assert "readonly" in str(results[6])
        assert pool.stats().reads == 3
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


def test_without_a_database_each_has_an_error_of_its_own(tmp_path: Path) -> None:
    pool = make(tmp_path)
    (tmp_path / "test.db").write_bytes(b"no database at all" * 100)

    async def main() -> None:
        reads = [pool.fetchone("SELECT 1") for _ in range(5)]
        errors = await asyncio.gather(*reads, return_exceptions=True)
        assert len({id(error) for error in errors}) == 5
        for error in errors:
            assert isinstance(error, sqlite3.DatabaseError)
            assert "test.db" in error.__notes__[0]
        await at_rest(pool)
        await pool.aclose()

    asyncio.run(main())
    assert pool._store.links == {}


def test_nothing_concerns_one_connection_only(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def main() -> None:
        for _ in range(2):  # in a thread, and on the loop
            with pytest.raises(ValueError, match="savepoints are for blocks"):
                await pool.fetchone("SAVEPOINT a")
            await pool.fetchone("SELECT 1")

    asyncio.run(main())
    finish(pool)


# time


def test_who_waits_too_long_is_told(tmp_path: Path, gate: Gate) -> None:
    pool = make(tmp_path, gate, readers=1, acquire_timeout=0.02)

    async def main() -> None:
        slow = hold(pool, 0)
        await until(lambda: gate.begun)
        results = await asyncio.gather(*note(pool, 1, 2), return_exceptions=True)
        assert [type(result) for result in results] == [AcquireTimeout] * 2
        assert "a SQLite reader did not become free within 0.02 s: 1 of 1" in str(results[0])
        gate.open()
        assert await slow == 0
        assert gate.begun == [0]
        assert pool.stats().timeouts == 2
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


@pytest.mark.parametrize("seconds", [0, 0.02])
def test_so_is_who_is_in_line_behind_blocks(tmp_path: Path, seconds: float) -> None:
    pool = make(tmp_path, readers=1, acquire_timeout=seconds)

    async def main() -> None:
        async with pool.read():
            for _ in range(2):
                with pytest.raises(AcquireTimeout, match="1 of 1 in use"):
                    await asyncio.wait_for(pool.fetchone("SELECT 1"), LIMIT)
        await until(lambda: not pool._reads.active)
        assert await pool.fetchval("SELECT 1") == 1
        assert pool.stats().timeouts == 2
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


def test_not_to_wait_is_no_reason_to_do_one_at_a_time(tmp_path: Path) -> None:
    pool = make(tmp_path, readers=1, acquire_timeout=0)

    async def main() -> None:
        await pool.fetchone("SELECT 1")
        assert await asyncio.gather(*(pool.fetchval("SELECT 2") for _ in range(10))) == [2] * 10
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


def test_an_ambient_deadline_ends_the_wait(tmp_path: Path, gate: Gate) -> None:
    pool = make(tmp_path, gate, readers=1)

    async def main() -> None:
        slow = hold(pool, 0)
        await until(lambda: gate.begun)
        with deadline(0.02), pytest.raises(DeadlineExceeded):
            await pool.fetchval("SELECT note(1)")
        gate.open()
        assert await slow == 0
        with deadline(LIMIT):
            assert await pool.fetchval("SELECT note(2)") == 2
        assert gate.begun == [0, 2]
        await at_rest(pool)

    asyncio.run(main())
    finish(pool)


# others


def test_blocks_get_their_turn_between_reads(tmp_path: Path) -> None:
    pool = make(tmp_path, readers=1)

    async def crowd() -> None:
        while not entered.is_set():
            assert await pool.fetchval("SELECT 1") == 1

    async def main() -> None:
        tasks = [asyncio.ensure_future(crowd()) for _ in range(20)]
        await until(lambda: pool.stats().reads > 100)
        async with pool.read() as conn:
            assert await conn.fetchval("SELECT 2") == 2
            entered.set()
        await asyncio.gather(*tasks)
        await at_rest(pool)

    entered = asyncio.Event()
    asyncio.run(main())
    finish(pool)


def test_loops_in_several_threads_share_them(tmp_path: Path) -> None:
    pool = make(tmp_path, readers=2)

    async def crowd(first: int) -> None:
        for begin in range(first, first + 200, 20):
            numbers = range(begin, begin + 20)
            reads = [pool.fetchval("SELECT ?", (n,)) for n in numbers]
            assert await asyncio.gather(*reads) == list(numbers)
        await at_rest(pool)

    for thread in [spawn(lambda n=n: asyncio.run(crowd(n * 200))) for n in range(4)]:
        thread.result()
    assert pool.stats().reads == 800
    finish(pool)


def test_a_loop_is_told_though_another_one_reads_what_takes_long(
    tmp_path: Path, gate: Gate
) -> None:
    pool = make(tmp_path, gate, readers=1, acquire_timeout=None)
    ready, go = threading.Event(), threading.Event()

    async def quick() -> None:
        async with pool.read():  # both are behind this
            ready.set()
            assert await asyncio.to_thread(go.wait, LIMIT)
            task = note(pool, 1)[0]
            await until(lambda: len(pool._reads.pending) == 2)
        assert await asyncio.wait_for(task, LIMIT) == 1
        gate.open()

    async def slow() -> None:
        await until(lambda: len(pool._reads.pending) == 1)
        assert await hold(pool, 2) == 2

    first = spawn(lambda: asyncio.run(quick()))
    assert ready.wait(LIMIT)
    second = spawn(lambda: asyncio.run(slow()))
    go.set()
    first.result()
    second.result()
    assert gate.begun == [1, 2]
    assert_clean(pool)
    asyncio.run(pool.aclose())
