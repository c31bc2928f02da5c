"""`Pool`: what becomes of connections that nobody uses, or that somebody keeps."""

from __future__ import annotations

import asyncio

import pytest
from tests.clock import Clock
from tests.pooled import Conn, Maker, assert_adds_up, make_pool
from tests.steps import now, run

from penstock import Pool


async def take(pool: Pool[Conn], count: int) -> None:
    """Use so many at once."""
    for conn in [await pool.acquire() for _ in range(count)]:
        pool.release(conn)


def test_what_nobody_uses_is_closed() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, max_idle=10, min_size=1)
        await take(pool, 4)
        await asyncio.sleep(9)
        assert pool.stats().idle == 4
        async with pool.acquire():
            pass
        await asyncio.sleep(2)
        assert len(maker.open) == 1
        await asyncio.sleep(60)
        stats = pool.stats()
        assert (stats.size, stats.closed_idle) == (1, 3), "one is kept"
        assert_adds_up(pool)
        await pool.aclose()

    run(main())


def test_what_is_idle_for_too_long_is_not_handed_out_even_if_nobody_looked_after_it() -> None:
    async def main() -> None:
        clock = Clock()
        pool = make_pool(timer=clock, max_idle=10)
        await take(pool, 1)
        clock.advance(11)
        async with pool.acquire() as conn:
            assert conn.number == 2
        assert pool.stats().closed_idle == 1
        await pool.aclose()

    run(main())


def test_a_connection_does_not_live_for_ever() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, max_lifetime=100, lifetime_jitter=0, max_idle=None, min_size=1)
        async with pool.acquire():
            await asyncio.sleep(150)
        await asyncio.sleep(1)
        stats = pool.stats()
        assert (stats.closed_lifetime, stats.idle) == (1, 1), "it was replaced when it came back"
        await asyncio.sleep(101)
        assert pool.stats().closed_lifetime == 2, "and the next one where it was"
        assert maker.made == 3
        await pool.aclose()

    run(main())


def test_lives_end_at_different_times() -> None:
    async def main() -> None:
        pool = make_pool(max_lifetime=100, lifetime_jitter=0.5, max_idle=None)
        await take(pool, 10)
        assert pool._stock is not None
        ends = {link.ends - now() for link in pool._stock.links.values()}
        assert len(ends) == 10
        assert all(49 <= end <= 100 for end in ends)
        await pool.aclose()

    run(main())


def test_what_was_idle_is_checked_before_it_is_handed_out() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, check=Conn.check, check_after=0.5)
        async with pool.acquire() as conn:
            pass
        async with pool.acquire():
            assert conn.checks == 0, "it was used just now"
        await asyncio.sleep(1)
        async with pool.acquire():
            assert conn.checks == 1
        await asyncio.sleep(1)
        maker.failing_checks = 1
        async with pool.acquire() as conn:
            assert conn.number == 2
        assert (pool.stats().checks, pool.stats().closed_check) == (2, 1)
        await pool.aclose()

    run(main())


def test_a_check_that_hangs_is_one_that_fails() -> None:
    async def main() -> None:
        maker = Maker()
        maker.check_seconds = 3600
        pool = make_pool(maker, check=Conn.check, check_timeout=1)
        await take(pool, 1)
        await asyncio.sleep(1)
        began = now()
        async with pool.acquire() as conn:
            assert conn.number == 2
        assert now() - began == pytest.approx(1.01)
        await pool.aclose()

    run(main())


def test_what_nobody_uses_is_kept_alive() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, check=Conn.check, keepalive=10, max_idle=95, check_after=60)
        await take(pool, 2)
        await asyncio.sleep(35)
        checks = [conn.checks for conn in maker.open]
        assert checks == [3, 3]
        maker.failing_checks = 1
        await asyncio.sleep(10)
        assert len(maker.open) == 1
        assert_adds_up(pool)
        await asyncio.sleep(60)
        assert maker.open == set(), "a check is no use of it"
        assert (pool.stats().closed_idle, pool.stats().closed_check) == (1, 1)
        await pool.aclose()

    run(main())


def test_a_smaller_pool_takes_nothing_from_anybody() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, max_size=4)
        held = [await pool.acquire() for _ in range(4)]
        pool.release(held.pop())
        pool.resize(max_size=2)
        await asyncio.sleep(1)
        assert pool.stats().size == 3
        for conn in held:
            assert await conn.ask("still mine") == "still mine"
            pool.release(conn)
        await asyncio.sleep(1)
        stats = pool.stats()
        assert (stats.size, stats.idle, stats.max_size, stats.closed_other) == (2, 2, 2, 2)
        assert_adds_up(pool)
        await pool.aclose()

    run(main())


def test_a_larger_pool_serves_those_who_wait() -> None:
    async def main() -> None:
        pool = make_pool(max_size=1, acquire_timeout=60)
        async with pool.acquire():
            waiters = [asyncio.ensure_future(pool.acquire()._take()) for _ in range(2)]
            await asyncio.sleep(1)
            pool.resize(max_size=3)
            await asyncio.sleep(0.1)
            for waiter in waiters:
                pool.release(waiter.result())
        pool.resize(min_size=3)
        with pytest.raises(ValueError, match="min_size must be <= max_size"):
            pool.resize(max_size=2)
        assert (pool.stats().min_size, pool.stats().max_size) == (3, 3)
        await pool.aclose()

    run(main())


def test_so_many_are_there_before_anybody_asks() -> None:
    async def main() -> None:
        maker = Maker()
        async with make_pool(maker, min_size=3) as pool:
            await asyncio.sleep(1)
            assert pool.stats().idle == 3
            pool.release(await pool.acquire(), discard=True)
            await asyncio.sleep(1)
            assert pool.stats().idle == 3
        assert not maker.open

    run(main())


def test_what_somebody_is_about_to_have_is_left_to_him() -> None:
    async def main() -> None:
        pool = make_pool(max_size=2)
        first, second = await pool.acquire(), await pool.acquire()
        waiter = asyncio.ensure_future(pool.acquire()._take())
        await asyncio.sleep(0)
        pool.release(first)
        pool.resize(max_size=1)  # the waiter has not run yet
        assert_adds_up(pool)
        assert await waiter is first
        assert first.is_alive
        pool.release(first)
        pool.release(second)
        assert_adds_up(pool)
        await pool.aclose()

    run(main())


def test_one_that_is_made_for_a_pool_that_shrank_is_closed() -> None:
    async def main() -> None:
        maker = Maker()
        maker.seconds = 1
        pool = make_pool(maker, min_size=2, max_size=2)
        async with pool:
            pool.resize(min_size=0, max_size=1)
            await asyncio.sleep(2)
            assert pool.stats().size == 1
            assert_adds_up(pool)

    run(main())


def test_it_is_shown_who_does_not_give_back(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        pool = make_pool(max_size=2, leak_after=30)

        async def leaky() -> Conn:
            return await pool.acquire()

        kept = await leaky()
        async with pool.acquire():
            await asyncio.sleep(29)
        assert "leaky" not in caplog.text
        await asyncio.sleep(2)
        assert "in leaky" in caplog.text
        assert "_pool_lease" not in caplog.text
        await asyncio.sleep(100)
        assert caplog.text.count("acquired at") == pool.stats().leaks == 1
        pool.release(kept)
        kept = await pool.acquire()
        await asyncio.sleep(31)
        assert pool.stats().leaks == 2
        pool.release(kept)
        await pool.aclose()

    run(main())


def test_nothing_keeps_a_pool_that_nobody_has_any_more() -> None:
    import gc
    import weakref

    async def main() -> None:
        pool = make_pool()
        await take(pool, 1)
        gone = weakref.ref(pool)
        assert pool._stock is not None
        stock = weakref.ref(pool._stock)
        del pool
        gc.collect()
        assert gone() is None
        assert stock() is None
        await asyncio.sleep(1000)

    run(main())


def test_what_is_kept_is_not_given_up_because_nobody_used_it() -> None:
    async def main() -> None:
        maker = Maker()
        async with make_pool(maker, min_size=2, check=Conn.check, max_idle=300) as pool:
            await asyncio.sleep(1000)
            assert pool.stats().idle == 2
            async with pool.acquire() as conn:
                assert conn.checks == 1
            assert (maker.made, pool.stats().closed_idle) == (2, 0)
        async with make_pool(maker, min_size=1, max_idle=300) as pool:
            await asyncio.sleep(1000)
            pool.release(await pool.acquire(timeout=0))

    run(main())


def test_what_was_kept_alive_for_somebody_who_waits_is_good_enough_for_him() -> None:
    async def main() -> None:
        maker = Maker()
        maker.check_seconds = 1
        pool = make_pool(
            maker, max_size=1, check=Conn.check, check_timeout=5, keepalive=10, max_idle=11
        )
        await take(pool, 1)
        await asyncio.sleep(10.2)  # the check has begun, and ends when it was idle for too long
        async with pool.acquire() as conn:
            assert (conn.number, conn.checks) == (1, 1)
        assert_adds_up(pool)
        await pool.aclose()

    run(main())
