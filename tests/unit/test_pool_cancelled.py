"""A pool whose users are cancelled at every step of whatever they do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.pooled import Conn, Maker, assert_adds_up, cancel_at_each_step, make_pool
from tests.steps import run

from penstock import Pool


def small(maker: Maker) -> Pool[Conn]:
    return make_pool(maker, max_size=2)


def careful(maker: Maker) -> Pool[Conn]:
    return make_pool(maker, max_size=2, check=Conn.check, check_after=0, reset=Conn.reset)


async def use(pool: Pool[Conn]) -> None:
    async with pool.acquire() as conn:
        await conn.ask("one")
        await conn.ask("two")


async def await_and_release(pool: Pool[Conn]) -> None:
    conn = await pool.acquire()
    is_done = False
    try:
        await conn.ask("one")
        is_done = True
    finally:
        pool.release(conn, discard=not is_done)


async def compete(pool: Pool[Conn]) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(use(pool))


async def warm(pool: Pool[Conn]) -> None:
    await compete(pool)


@pytest.mark.parametrize("twice", [0, 1, 2])
@pytest.mark.parametrize("make", [small, careful])
@pytest.mark.parametrize("user", [use, await_and_release, compete])
def test_no_connection_is_handed_on_dirty(user: Any, make: Any, twice: int) -> None:
    assert cancel_at_each_step(user, make, twice=twice) > 3


@pytest.mark.parametrize("make", [small, careful])
@pytest.mark.parametrize("user", [use, await_and_release, compete])
def test_no_connection_that_was_there_is_handed_on_dirty(user: Any, make: Any) -> None:
    assert cancel_at_each_step(user, make, prepare=warm) > 2


def test_whoever_waits_is_served_though_another_one_leaves() -> None:
    async def user(pool: Pool[Conn]) -> None:
        first = asyncio.ensure_future(use(pool))
        second = asyncio.ensure_future(use(pool))
        third = asyncio.ensure_future(use(pool))
        try:
            await second
        finally:
            second.cancel()
            await asyncio.wait([first, second, third])
            assert first.exception() is None
            assert third.exception() is None

    cancel_at_each_step(user, lambda maker: make_pool(maker, max_size=1))


@pytest.mark.parametrize("failing", [0, 1])
def test_a_check_goes_on_without_the_one_who_wanted_it(failing: int) -> None:
    def make(maker: Maker) -> Pool[Conn]:
        maker.check_seconds = 0.05
        return make_pool(maker, max_size=1, check=Conn.check, check_after=0)

    async def prepare(pool: Pool[Conn]) -> None:
        async with pool.acquire() as conn:
            conn.maker.failing_checks = failing

    cancel_at_each_step(use, make, prepare=prepare)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_reset_goes_on_without_the_one_who_gave_it_back(hangs: bool) -> None:
    def make(maker: Maker) -> Pool[Conn]:
        maker.reset_seconds = 30 if hangs else 0.05
        return make_pool(maker, max_size=1, reset=Conn.reset, reset_timeout=1)

    cancel_at_each_step(use, make)


@pytest.mark.parametrize("seconds", [0.5, 0.015, 0.001])
def test_closing_may_be_cancelled(seconds: float) -> None:
    async def user(pool: Pool[Conn]) -> None:
        users = [asyncio.ensure_future(use(pool)) for _ in range(4)]
        await asyncio.sleep(0.005)
        try:
            await pool.aclose(timeout=seconds)
        finally:
            assert pool.closed
            for each in users:
                each.cancel()
            await asyncio.wait(users)

    cancel_at_each_step(user, careful)
    cancel_at_each_step(user, small, prepare=warm)


def test_a_pool_that_is_left_by_a_cancellation_is_closed() -> None:
    async def user(pool: Pool[Conn]) -> None:
        async with pool:
            await use(pool)

    cancel_at_each_step(user, careful)
    cancel_at_each_step(user, careful, twice=1)


def test_a_connection_that_is_made_goes_to_the_next_one() -> None:
    async def main() -> None:
        maker = Maker()
        maker.seconds = 1
        pool = make_pool(maker, max_size=1)
        first = asyncio.ensure_future(use(pool))
        await asyncio.sleep(0.5)
        second = asyncio.ensure_future(use(pool))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert maker.made == 1
        assert_adds_up(pool)
        await pool.aclose()

    run(main())
