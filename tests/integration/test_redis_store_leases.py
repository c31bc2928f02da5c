"""Leases of `RedisStore` over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.fault_proxy import FaultProxy
from tests.redis_servers import RedisServer, needs_redis
from tests.redis_stores import run, until
from tests.store_model import record

from penstock.errors import StoreError
from penstock.stores import RedisStore

pytest.importorskip("hiredis")
pytestmark = needs_redis


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    """One that nothing is done to that lasts."""
    shared.cli("FLUSHALL")
    return shared


def test_one_at_a_time_has_the_lease(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as one, RedisStore(server.url) as two:
            mine = await one.acquire("k", 10)
            assert mine.token > 0
            assert one.stats().connects == 1  # nobody waits for anything yet
            theirs = await two.acquire("k", 10)
            assert theirs.token == 0
            assert 9 < theirs.wait <= 10
            assert (await two.acquire("other", 10)).token > mine.token
            waiting = asyncio.ensure_future(two.released("k", 10))
            await asyncio.sleep(0)
            assert not waiting.done()
            await one.release("k", mine.token + 1)  # not that lease
            await one.release("k", mine.token)
            await waiting
            assert (await two.acquire("k", 10)).token > mine.token
            assert (one.stats().leases, two.stats().leases_refused) == (1, 2)

    run(main())


def test_a_release_between_the_answer_and_the_wait_is_not_missed(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as one, RedisStore(server.url) as two:
            mine = await one.acquire("k", 10)
            await two.acquire("k", 10)
            await one.release("k", mine.token)
            await until(lambda: not two._join().leases._waits)
            await asyncio.wait_for(two.released("k", 10), 1)

    run(main())


def test_a_lease_ends_by_itself(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as one, RedisStore(server.url) as two:
            first = await one.acquire("k", 0.02)
            grant = await two.acquire("k", 0.02)
            await two.released("k", grant.wait + 0.005)
            second = await two.acquire("k", 10)
            assert second.token > first.token
            await one.release("k", first.token)  # it is somebody else's now
            assert (await one.acquire("k", 10)).token == 0

    run(main())


def test_who_holds_a_lease_fills_with_its_token(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as one, RedisStore(server.url) as two:
            grant = await one.acquire("k", 10)
            assert await one.set_many([("k", record(1))], base=grant.token) == [True]
            grant = await one.acquire("l", 10)
            await two.delete("l")
            assert await one.set_many([("l", record(1))], base=grant.token) == [False]

    run(main())


def test_a_connection_that_is_lost_ends_the_wait(server: RedisServer) -> None:
    async def main() -> None:
        async with (
            FaultProxy(*server.address) as proxy,
            RedisStore(server.url) as one,
            RedisStore(server.url_at(proxy.port)) as two,
        ):
            await one.acquire("k", 10)
            await two.acquire("k", 10)
            waiting = asyncio.ensure_future(two.released("k", 10))
            await asyncio.sleep(0)
            proxy.refuse()
            await asyncio.wait_for(waiting, 2)
            with pytest.raises(StoreError):
                await two.acquire("k", 10)

    run(main())
