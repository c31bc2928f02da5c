"""`Pool`: one event loop, one process."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import Any

import pytest
from tests.forks import in_child
from tests.pooled import Conn, Maker, assert_adds_up, make_pool
from tests.threads import spawn

from penstock import Pool, WrongEventLoop


async def use(pool: Pool[Conn]) -> int:
    async with pool.acquire() as conn:
        await conn.ask(1, 0)
        return conn.number


def test_it_begins_anew_when_its_loop_is_closed() -> None:
    maker = Maker()
    pool = make_pool(maker)
    assert asyncio.run(use(pool)) == 1
    assert asyncio.run(use(pool)) == 2
    assert len(maker.open) == 1, "the first one was cut off"
    stats = pool.stats()
    assert (stats.acquired, stats.waited, stats.size) == (2, 2, 1)

    async def close() -> None:
        await pool.aclose()

    asyncio.run(close())
    assert not maker.open


def test_another_loop_is_told_so() -> None:
    async def main() -> None:
        pool = make_pool()
        async with pool.acquire() as conn:

            async def other() -> None:
                with pytest.raises(WrongEventLoop):
                    await pool.acquire()
                with pytest.raises(WrongEventLoop):
                    pool.release(conn)
                with pytest.raises(WrongEventLoop):
                    await pool.aclose()

            await asyncio.to_thread(lambda: spawn(asyncio.run, other()).result())
        assert_adds_up(pool)
        assert not pool.closed
        assert await use(pool) == 1
        await pool.aclose()

    asyncio.run(main())


def test_a_lease_of_a_loop_that_is_closed_ends_in_nothing() -> None:
    pool = make_pool()

    async def take() -> Conn:
        return await pool.acquire()

    conn = asyncio.run(take())
    assert asyncio.run(use(pool)) == 2
    with pytest.raises(RuntimeError, match="not one that this pool has leased"):
        pool.release(conn)
    assert not conn.is_alive


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_connections_to_its_parent() -> None:
    maker = Maker()
    pool = make_pool(maker)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use(pool))

    def child() -> None:
        assert pool.stats().size == 0
        assert len(maker.open) == 1
        assert next(iter(maker.open)).is_alive, "no goodbye is said in the parent's name"
        assert asyncio.run(use(pool)) == 2

    assert in_child(child)
    assert loop.run_until_complete(use(pool)) == 1
    loop.run_until_complete(pool.aclose())
    loop.close()
    assert not maker.open


@pytest.mark.parametrize("chore", ["factory", "check", "reset", "aclose"])
def test_what_was_under_way_on_a_loop_that_was_closed_is_cut_off(chore: str) -> None:
    maker = Maker()
    options: dict[str, Any] = {"max_size": 2, "acquire_timeout": None}
    if chore == "check":
        options.update(check=Conn.check, check_after=0, check_timeout=1000)
    if chore == "reset":
        options.update(reset=Conn.reset, reset_timeout=1000)
    pool = make_pool(maker, **options)

    async def leave() -> None:
        if chore != "factory":
            conns = [await pool.acquire() for _ in range(2)]
            maker.check_seconds = maker.reset_seconds = 1000
            for conn in conns[: 1 if chore == "aclose" else 2]:
                pool.release(conn)
        maker.seconds = 1000
        for _ in range(2):
            left.append(asyncio.ensure_future(use(pool) if chore != "aclose" else pool.aclose()))
        await asyncio.sleep(0.01)

    left: list[asyncio.Future[Any]] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # tasks that it leaves behind
    loop.run_until_complete(leave())
    loop.close()
    maker.seconds = maker.check_seconds = maker.reset_seconds = 0
    if chore == "aclose":
        asyncio.run(pool.aclose())
    else:
        assert asyncio.run(use(pool)) == maker.made
        # The others were cut off; so is what is being reset when a loop comes to its end.
        assert len(maker.open) == (0 if chore == "reset" else 1)
        asyncio.run(pool.aclose())
    assert not maker.open
    left.clear()
    gc.collect()


def test_a_thread_without_a_loop_is_told_so() -> None:
    async def main() -> None:
        pool = make_pool(reset=Conn.reset)
        async with pool.acquire() as conn:

            def other() -> None:
                with pytest.raises(WrongEventLoop):
                    pool.release(conn)
                with pytest.raises(WrongEventLoop):
                    pool.resize(max_size=1)
                with pytest.raises(WrongEventLoop):
                    asyncio.run(shrink(pool))

            await asyncio.to_thread(other)
        assert pool.stats().max_size == 10
        await pool.aclose()
        await asyncio.to_thread(pool.resize, max_size=1)

    asyncio.run(main())


async def shrink(pool: Pool[Conn]) -> None:
    pool.resize(max_size=1)


@pytest.mark.parametrize("way", ["plain", "in another loop"])
def test_what_is_left_of_a_loop_that_was_closed_may_be_given_back(way: str) -> None:
    maker = Maker()
    pool = make_pool(maker, min_size=1, reset=Conn.reset)

    async def take() -> Conn:
        return await pool.acquire()

    async def give_back() -> None:
        pool.resize(max_size=2)
        pool.release(conn)

    conn = asyncio.run(take())
    if way == "plain":
        pool.resize(max_size=2)
        pool.release(conn)
    else:
        asyncio.run(give_back())
    assert not conn.is_alive, "nobody can use it any more"
    assert asyncio.run(use(pool)) == 2
    asyncio.run(pool.aclose())
    assert not maker.open


def test_between_two_runs_of_its_loop_a_connection_may_be_given_back() -> None:
    pool = make_pool()
    loop = asyncio.new_event_loop()

    async def take() -> Conn:
        return await pool.acquire()

    pool.release(loop.run_until_complete(take()))
    assert loop.run_until_complete(use(pool)) == 1
    loop.run_until_complete(pool.aclose())
    loop.close()
