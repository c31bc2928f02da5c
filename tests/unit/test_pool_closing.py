"""`Pool`: its end."""

from __future__ import annotations

import asyncio

import pytest
from tests.pooled import Conn, Maker, make_pool
from tests.steps import now, run

from penstock import ClosedError


def test_what_is_in_use_may_come_back() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, max_size=2)
        idle = await pool.acquire()

        async def use() -> object:
            async with pool.acquire() as conn:
                await asyncio.sleep(3)
                return await conn.ask("yes")

        user = asyncio.ensure_future(use())
        await asyncio.sleep(0.1)
        pool.release(idle)
        began = now()
        report = await pool.aclose()
        assert report == (2, 0, 0)
        assert user.result() == "yes"
        assert 2.9 < now() - began < 3.1
        assert not maker.open
        assert await pool.aclose() == (0, 0, 0)

    run(main())


def test_what_does_not_come_back_is_cut_off() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, max_size=2)
        kept, other = await pool.acquire(), await pool.acquire()
        pool.release(other)
        began = now()
        assert await pool.aclose(timeout=2) == (1, 1, 1)
        assert now() - began == 2
        assert not kept.is_alive
        pool.release(kept)
        assert (pool.stats().size, pool.stats().closed_other) == (0, 2)

    run(main())


def test_those_who_wait_are_told() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, max_size=1)
        conn = await pool.acquire()
        waiters = [asyncio.ensure_future(pool.acquire()._take()) for _ in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(pool.aclose())
        pool.release(conn)  # granted, but the pool is closed before the first one runs
        await asyncio.wait(waiters)
        assert all(isinstance(waiter.exception(), ClosedError) for waiter in waiters)
        await closing
        assert not maker.open

    run(main())


def test_one_that_is_being_made_is_cut_off_when_it_is_there() -> None:
    async def main() -> None:
        maker = Maker()

        async def stubborn() -> Conn:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                await asyncio.sleep(1)
            return await maker()

        pool = make_pool(stubborn)  # type: ignore[arg-type]
        waiter = asyncio.ensure_future(pool.acquire()._take())
        await asyncio.sleep(0.5)
        began = now()
        await pool.aclose()
        assert now() == began
        with pytest.raises(ClosedError):
            await waiter
        await asyncio.sleep(5)
        assert maker.made == 1
        assert not maker.open

    run(main())


def test_a_check_is_not_waited_for_by_those_who_are_told() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, check=Conn.check, check_after=0)
        pool.release(await pool.acquire())
        await asyncio.sleep(1)
        waiter = asyncio.ensure_future(pool.acquire()._take())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await pool.aclose()
        with pytest.raises(ClosedError):
            await waiter
        assert not maker.open

    run(main())


def test_a_close_that_fails_or_hangs_ends_in_a_cut() -> None:
    async def main() -> None:
        maker = Maker()

        async def close(conn: Conn) -> None:
            if conn.number == 1:
                raise OSError("no")
            await asyncio.sleep(3600)

        pool = make_pool(maker, close=close, reset_timeout=2)
        for conn in [await pool.acquire() for _ in range(3)]:
            pool.release(conn)
        began = now()
        assert await pool.aclose() == (0, 3, 0)
        assert now() - began == 2
        assert not maker.open

    run(main())


def test_a_pool_that_nobody_used_is_closed_as_well() -> None:
    async def main() -> None:
        pool = make_pool()
        assert await pool.aclose() == (0, 0, 0)
        with pytest.raises(ClosedError):
            await pool.acquire()
        with pytest.raises(ClosedError):
            async with pool:
                pass

    run(main())


def test_a_close_that_is_cancelled_cuts_off_what_is_left() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker)
        conn, other = await pool.acquire(), await pool.acquire()
        pool.release(other)
        closing = asyncio.ensure_future(pool.aclose())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not maker.open
        assert not conn.is_alive
        pool.release(conn)
        assert pool.stats().size == 0

    run(main())


def test_two_may_close_it() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker)
        conn = await pool.acquire()
        closing = [asyncio.ensure_future(pool.aclose()) for _ in range(2)]
        await asyncio.sleep(1)
        pool.release(conn)
        for each in closing:
            assert (await each).closed == 1
        assert not maker.open

    run(main())


def test_a_check_that_is_cut_off_leaves_nobody_waiting() -> None:
    async def main() -> None:
        maker = Maker()
        maker.check_seconds = 50
        pool = make_pool(
            maker, check=Conn.check, check_after=0, check_timeout=100, acquire_timeout=None
        )
        pool.release(await pool.acquire())
        waiter = asyncio.ensure_future(pool.acquire()._take())
        await asyncio.sleep(1)
        assert await pool.aclose(timeout=2) == (0, 1, 0), "nobody has had it"
        with pytest.raises(ClosedError):
            async with asyncio.timeout(1):
                await waiter
        assert not maker.open

    run(main())


def test_a_reset_and_a_close_that_are_cut_off_are_counted_once() -> None:
    async def main() -> None:
        maker = Maker()
        maker.reset_seconds = maker.close_seconds = 50
        pool = make_pool(maker, reset=Conn.reset, reset_timeout=100)
        idle, other = await pool.acquire(), await pool.acquire()
        pool.release(idle)
        await asyncio.sleep(60)
        pool.release(other)
        assert await pool.aclose(timeout=2) == (0, 2, 0)
        assert not maker.open
        stats = pool.stats()
        assert (stats.size, stats.resetting, stats.closed_other, stats.closed_reset) == (0, 0, 2, 0)
        await asyncio.sleep(0)  # what was cancelled ends

    run(main())


def test_each_is_told_of_the_end_by_an_error_of_his_own() -> None:
    async def main() -> None:
        pool = make_pool(max_size=1)
        conn = await pool.acquire()
        waiters = [asyncio.ensure_future(pool.acquire()._take()) for _ in range(3)]
        await asyncio.sleep(0)
        await pool.aclose(timeout=0)
        pool.release(conn)
        late = [pool.acquire()._take() for _ in range(3)]
        errors = await asyncio.gather(*waiters, *late, return_exceptions=True)
        assert all(isinstance(error, ClosedError) for error in errors)
        assert len(set(map(id, errors))) == 6

    run(main())
