"""`Pool`: a lease ends once, and nobody ends that of somebody else."""

from __future__ import annotations

import asyncio

import pytest
from tests.pooled import Conn, Maker, assert_adds_up, assert_usable, make_pool
from tests.steps import run


def test_the_end_of_a_block_does_not_end_the_lease_of_somebody_else() -> None:
    async def main() -> None:
        pool = make_pool(max_size=1)

        async def use(*, give_on: bool) -> Conn:
            async with pool.acquire() as conn:
                pool.release(conn)
                if give_on:
                    taken.append(await pool.acquire())
            return conn

        taken: list[Conn] = []
        with pytest.raises(RuntimeError, match="given back already"):
            await use(give_on=True)
        assert pool.stats().leased == 1, "it is in use still"
        pool.release(taken[0])
        with pytest.raises(RuntimeError, match="given back already"):
            await use(give_on=False)
        await assert_usable(pool)
        await pool.aclose()

    run(main())


def test_what_is_being_checked_is_not_given_back_by_who_had_it_before() -> None:
    async def main() -> None:
        maker = Maker()
        maker.check_seconds = 1
        pool = make_pool(maker, check=Conn.check, check_after=0, check_timeout=5, keepalive=10)
        conn = await pool.acquire()
        pool.release(conn)
        next_one = asyncio.ensure_future(pool.acquire()._take())
        await asyncio.sleep(0.5)
        with pytest.raises(RuntimeError, match="given back already"):
            pool.release(conn)
        pool.release(await next_one)
        await asyncio.sleep(10.5)  # it is being kept alive
        with pytest.raises(RuntimeError, match="given back already"):
            pool.release(conn)
        assert_adds_up(pool)
        await asyncio.sleep(1)
        await pool.aclose()

    run(main())


def test_a_terminate_that_is_broken_off_does_not_cost_a_place() -> None:
    async def main() -> None:
        maker = Maker()

        class Interrupt(BaseException):
            pass

        def terminate(conn: Conn) -> None:
            conn.terminate()
            if conn.number == 1:
                raise Interrupt

        pool = make_pool(maker, max_size=1, terminate=terminate)
        conn = await pool.acquire()
        with pytest.raises(Interrupt):
            pool.release(conn, discard=True)
        assert_adds_up(pool)
        await assert_usable(pool)
        await pool.aclose()

    run(main())
