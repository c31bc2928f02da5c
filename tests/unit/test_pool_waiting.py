"""`Pool`: who waits for a connection, for how long, and what comes first."""

from __future__ import annotations

import asyncio

import pytest
from tests.pooled import Conn, Maker, assert_adds_up, hold, make_pool
from tests.steps import now, run

from penstock import DeadlineExceeded, LimitExceeded, Pool, PoolTimeout, deadline


def test_who_comes_first_is_served_first() -> None:
    async def main() -> None:
        pool = make_pool(max_size=1, acquire_timeout=100)
        served: list[int] = []

        async def use(number: int) -> None:
            async with pool.acquire():
                served.append(number)
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(use(number))
                await asyncio.sleep(0)
        assert served == list(range(6))
        assert pool.stats().waited == 6
        await pool.aclose()

    run(main())


def test_nobody_gets_in_between() -> None:
    async def main() -> None:
        pool = make_pool(max_size=1)
        conn = await pool.acquire()
        waiter = asyncio.ensure_future(hold(pool, 1))
        await asyncio.sleep(0)
        pool.release(conn)  # it is the waiter's from here on, though he has not run yet
        with pytest.raises(PoolTimeout):
            await pool.acquire(0)
        assert await waiter is conn
        await pool.aclose()

    run(main())


def test_a_connection_that_comes_back_is_not_waited_for_behind_one_that_is_made() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, max_size=2)
        first = await pool.acquire()
        maker.seconds = 4
        began = now()
        waiter = asyncio.ensure_future(hold(pool, 0))
        await asyncio.sleep(1)
        assert pool.stats().connecting == 1
        pool.release(first)
        assert await waiter is first
        assert now() - began == 1
        await asyncio.sleep(4)
        assert pool.stats().idle == 2, "the other one is there for whoever comes"
        await pool.aclose()

    run(main())


def test_only_so_many_are_made_at_a_time() -> None:
    async def main() -> None:
        maker = Maker()
        maker.seconds = 1
        pool = make_pool(maker, max_size=10, max_connecting=3)
        users = [asyncio.ensure_future(hold(pool, 100)) for _ in range(10)]
        await asyncio.sleep(0.5)
        stats = pool.stats()
        assert (stats.connecting, stats.size, stats.waiting) == (3, 3, 10)
        await asyncio.sleep(3.6)
        assert pool.stats().leased == 10
        begun = [at - maker.attempts[0] for at in maker.attempts]
        assert begun == [0] * 3 + [1] * 3 + [2] * 3 + [3]
        for user in users:
            user.cancel()
        await asyncio.wait(users)
        await pool.aclose()

    run(main())


def test_the_time_to_wait_is_bounded() -> None:
    async def main() -> None:
        pool = make_pool(max_size=1)
        async with pool.acquire():
            began = now()
            with pytest.raises(PoolTimeout) as caught:
                await pool.acquire()
            assert now() - began == 5
            error = caught.value
            assert (error.seconds, error.size, error.idle, error.leased, error.waiters) == (
                5, 1, 0, 1, 0
            )  # fmt: skip
            assert isinstance(error, TimeoutError)
            with pytest.raises(PoolTimeout):
                await pool.acquire(0)
            assert now() - began == 5
            waiter = asyncio.ensure_future(hold(pool, 0))
            forever = asyncio.ensure_future(pool.acquire(None)._take())
            await asyncio.sleep(4)
            with pytest.raises(PoolTimeout, match="size=1 idle=0 leased=1 waiting=2"):
                await pool.acquire(0.5)
            assert pool.stats().timeouts == 3
        await waiter
        pool.release(await forever)
        await pool.aclose()

    run(main())


def test_an_ambient_deadline_ends_the_wait() -> None:
    async def main() -> None:
        pool = make_pool(max_size=1)
        async with pool.acquire():
            with deadline(2), pytest.raises(DeadlineExceeded) as caught:
                await pool.acquire()
            assert caught.value.seconds == 2
        assert_adds_up(pool)
        await pool.aclose()

    run(main())


def test_a_deadline_of_a_user_does_not_bind_what_the_pool_does() -> None:
    async def main() -> None:
        seen: list[float | None] = []
        maker = Maker()

        async def factory() -> Conn:
            from penstock import remaining

            seen.append(remaining())
            return await maker()

        pool: Pool[Conn] = Pool(factory)
        with deadline(2):
            pool.release(await pool.acquire())
        assert seen == [None]
        await pool.aclose()

    run(main())


def test_so_many_may_wait_and_the_others_are_turned_away() -> None:
    async def main() -> None:
        pool = make_pool(max_size=2, max_waiters=2)
        async with pool.acquire(), pool.acquire():
            pool.resize(max_size=1)
            waiters = [asyncio.ensure_future(hold(pool, 0)) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(LimitExceeded) as caught:
                await pool.acquire()
            assert (caught.value.waiting, caught.value.max_waiting) == (2, 2)
        await asyncio.wait(waiters)
        assert pool.stats().rejected == 1
        assert_adds_up(pool)
        await pool.aclose()

    run(main())


def test_a_dead_connection_does_not_cost_its_finder_his_place() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, max_size=1, check=Conn.check, check_after=1)
        async with pool.acquire():
            pass
        await asyncio.sleep(2)
        maker.failing_checks = 1
        served: list[int] = []

        async def use(number: int) -> None:
            async with pool.acquire() as conn:
                served.append(number)
                assert conn.number == 2

        users = [asyncio.ensure_future(use(number)) for number in range(3)]
        await asyncio.wait(users)
        assert served == [0, 1, 2]
        assert pool.stats().closed_check == 1
        await pool.aclose()

    run(main())


def test_a_check_takes_no_longer_than_there_is_time() -> None:
    async def main() -> None:
        maker = Maker()
        maker.check_seconds = 0.9
        pool = make_pool(maker, max_size=1, check=Conn.check, check_after=1)
        async with pool.acquire():
            pass
        await asyncio.sleep(2)
        began = now()
        with pytest.raises(PoolTimeout, match=r"within 0\.5 s"):
            await pool.acquire(0.5)
        assert now() - began == 0.5
        with deadline(0.1), pytest.raises(DeadlineExceeded):
            await pool.acquire()
        async with pool.acquire() as conn:
            assert conn.number == 1, "nothing was wrong with it"
        assert conn.checks == 1
        await pool.aclose()

    run(main())


def test_everybody_gives_up_when_his_own_time_is_over() -> None:
    async def main() -> None:
        pool = make_pool(max_size=1)
        ended: list[tuple[float, str]] = []
        began = now()

        async def wait(seconds: float | None) -> None:
            try:
                async with pool.acquire(seconds):
                    ended.append((seconds or 0, "served"))
            except PoolTimeout:
                assert now() - began == pytest.approx(seconds)
                ended.append((seconds or 0, "late"))

        async with pool.acquire():
            began = now()
            waiters = [
                asyncio.ensure_future(wait(seconds)) for seconds in (3, 5, None, 1, 5, 4, 9, 2)
            ]
            await asyncio.sleep(2.5)
            waiters[5].cancel()
            await asyncio.sleep(4)
        await asyncio.wait(waiters)
        assert ended == [
            (1, "late"), (2, "late"), (3, "late"), (5, "late"), (5, "late"), (0, "served"),
            (9, "served"),
        ]  # fmt: skip
        assert_adds_up(pool)
        await pool.aclose()

    run(main())


def test_who_does_not_wait_has_a_connection_made_all_the_same() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, acquire_timeout=0)
        for _ in range(3):
            with pytest.raises(PoolTimeout):
                await pool.acquire()
        await asyncio.sleep(1)
        async with pool.acquire() as conn:
            assert (conn.number, maker.made) == (1, 1)
        await pool.aclose()

    run(main())


@pytest.mark.parametrize("most", [0, 2])
def test_who_waits_for_a_connection_that_can_be_made_is_not_one_too_many(most: int) -> None:
    async def main() -> None:
        pool = make_pool(max_size=4, max_waiters=most)
        users = [asyncio.ensure_future(hold(pool, 1)) for _ in range(4 + most)]
        await asyncio.sleep(0)
        with pytest.raises(LimitExceeded) as caught:
            await pool.acquire()
        assert (caught.value.waiting, caught.value.max_waiting) == (most, most)
        assert len({await user for user in users}) == 4
        assert_adds_up(pool)
        await pool.aclose()

    run(main())
