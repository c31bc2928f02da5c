"""`Pool`: how connections come about while they are waited for, and while that fails."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from tests.pooled import Conn, Maker, assert_adds_up, hold, make_pool
from tests.steps import run

from penstock import Pool, PoolTimeout


def test_a_failed_attempt_is_made_again_after_a_while() -> None:
    async def main() -> None:
        maker = Maker()
        maker.errors = [OSError("refused"), OSError("refused again")]
        pool = make_pool(maker)
        async with pool.acquire() as conn:
            assert conn.number == 1
        stats = pool.stats()
        assert (stats.connect_errors, stats.connects) == (2, 1)
        await pool.aclose()

    run(main())


def test_what_a_wait_was_in_vain_for_is_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        maker = Maker()
        maker.errors = [OSError(f"refused {number}") for number in range(1000)]
        pool = make_pool(maker, max_connecting=4, connect_backoff=(0.5, 2))
        users = [asyncio.ensure_future(hold(pool, 0)) for _ in range(20)]
        await asyncio.wait(users)
        errors = [user.exception() for user in users]
        assert all(isinstance(error, PoolTimeout) for error in errors)
        assert all(isinstance(error.__cause__, OSError) for error in errors if error)
        assert "refused" in str(errors[0])
        # The first ones at a time; then one after another, however many wait.
        assert maker.attempts[3] == maker.attempts[0]
        later = maker.attempts[4:]
        assert all(b - a >= 0.01 for a, b in pairwise(later))
        count = len(maker.attempts)
        await asyncio.sleep(60)
        assert len(maker.attempts) <= count + 1, "nobody wants one any more"
        maker.errors.clear()
        async with pool.acquire() as conn:
            assert conn.number == 1
        assert pool._stock is not None
        assert pool._stock.last_error is None
        await pool.aclose()

    run(main())
    assert caplog.text.count("cannot connect") == 1


def test_whoever_comes_during_a_delay_does_not_shorten_it() -> None:
    async def main() -> None:
        maker = Maker()
        maker.errors = [OSError("refused")] * 1000
        pool = make_pool(maker, connect_backoff=(50, 50), acquire_timeout=0.1)
        for _ in range(50):
            with pytest.raises(PoolTimeout):
                await pool.acquire()
        # Fifty of them in five seconds, and delays of 25 seconds on average.
        assert len(maker.attempts) <= 10
        await pool.aclose()

    run(main())


@pytest.mark.parametrize("way", ["is_clean", "check"])
def test_connections_that_are_never_good_are_not_made_without_end(way: str) -> None:
    async def main() -> None:
        maker = Maker()
        maker.failing_checks = 1_000_000
        if way == "check":
            pool = make_pool(maker, check=Conn.check, check_after=0, connect_backoff=(1, 10))
        else:
            pool = make_pool(maker, is_clean=lambda _: False, connect_backoff=(1, 10))
        with pytest.raises(PoolTimeout, match="a new connection") as caught:
            await pool.acquire(60)
        assert isinstance(caught.value.__cause__, ConnectionError)
        assert len(maker.attempts) < 40
        assert_adds_up(pool)
        await pool.aclose()
        assert not maker.open

    run(main())


def test_why_there_is_none_is_known_until_a_new_one_was_good() -> None:
    async def main() -> None:
        maker = Maker()
        maker.errors = [OSError("refused")]
        maker.check_seconds = 3
        backoff = (0.1, 0.1)
        pool = make_pool(
            maker, check=Conn.check, check_after=0, check_timeout=9, connect_backoff=backoff
        )
        with pytest.raises(PoolTimeout, match="refused") as caught:
            await pool.acquire(2)  # while the second one is being checked
        assert isinstance(caught.value.__cause__, OSError)
        await asyncio.sleep(3)
        async with pool.acquire():
            assert pool._stock is not None
            assert pool._stock.last_error is None
        await pool.aclose()

    run(main())


def test_why_there_was_none_is_no_news_to_whoever_waits_for_a_new_one() -> None:
    async def main() -> None:
        maker = Maker()
        maker.errors = [OSError("refused")]
        async with make_pool(maker, min_size=1, max_size=1) as pool:
            await asyncio.sleep(60)
            assert (pool.stats().connect_errors, pool.stats().idle) == (1, 1)
            async with pool.acquire():
                with pytest.raises(PoolTimeout) as caught:
                    await pool.acquire(1)
                assert caught.value.__cause__ is None

    run(main())


def test_a_pool_closed_during_a_connect_leaves_no_task() -> None:
    async def main() -> None:
        maker = Maker()
        maker.seconds = 50
        pool = make_pool(maker)
        with pytest.raises(PoolTimeout):
            await pool.acquire(1)
        await pool.aclose()
        assert not maker.open

    run(main())  # which looks for tasks


def test_a_connect_that_hangs_is_given_up() -> None:
    async def main() -> None:
        maker = Maker()
        stuck: list[int] = []

        async def factory() -> Conn:
            if not stuck:
                stuck.append(1)
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:  # it does not want to end
                    await asyncio.sleep(1)
            return await maker()

        pool: Pool[Conn] = Pool(factory, connect_timeout=2, max_size=1)
        async with pool.acquire() as conn:
            assert conn.number == 1
            assert pool.stats().connect_errors == 1
            await asyncio.sleep(5)
            assert [each.number for each in maker.open] == [1], "the late one was cut off"
            assert maker.made == 2
        await pool.aclose()

    run(main())
