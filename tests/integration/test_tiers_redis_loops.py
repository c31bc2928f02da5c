"""A cache over Redis and the end of what listens for it: of a loop, or of all of its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.redis_servers import RedisServer, needs_redis
from tests.tiers import LIMIT, cache_over, listening, until

from penstock import RedisStore, TieredCache

pytest.importorskip("hiredis")
pytestmark = [needs_redis, pytest.mark.parametrize("backplane", ["pubsub", "tracking"])]


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    shared.cli("FLUSHALL")
    return shared


def leave(client: Any) -> None:
    """Close connections of a loop that is closed, which nobody could any more."""
    for link in (client.session.link, client.bus.link):
        if link.wire is not None:
            transport = link.wire._transport
            transport._sock.close()
            transport._sock = None


def test_hits_of_a_loop_before_are_looked_up_again(server: RedisServer, backplane: Any) -> None:
    store = RedisStore(server.url, backplane=backplane)
    cache = TieredCache(store, ttl=3600)

    async def first() -> None:
        await listening(cache)
        assert await cache.set("k", 1)
        assert await cache.get("k") == 1

    async def other() -> None:
        async with cache_over(server.url, store={"backplane": backplane}) as another:
            assert await another.set("k", 2)

    async def second() -> None:
        async with cache:
            assert await cache.get("k") == 2
            await listening(cache)
            await other()
            await until(lambda: cache.stats().messages)

    asyncio.run(first())
    leave(store._binding.client)
    asyncio.run(other())
    asyncio.run(second())


def test_who_cancels_all_tasks_does_not_end_listening(server: RedisServer, backplane: Any) -> None:
    async def main() -> None:
        store = {"backplane": backplane}
        async with (
            asyncio.timeout(LIMIT),
            cache_over(server.url, store=store) as cache,
            cache_over(server.url, store=store) as other,
        ):
            assert await other.set("k", 1)
            await listening(cache)
            assert await cache.get("k") == 1
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            assert tasks
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for kind in ("normal", "pubsub"):
                server.cli("CLIENT", "KILL", "TYPE", kind)
            await until(lambda: cache.stats().lost)
            await until(lambda: _is(cache, 1))
            # It is there again by itself: hits ask for nothing.
            (tier,) = cache._tiers
            redis: Any = tier.store
            await until(lambda: cache.stats().lost >= 2 and redis.stats().listening)
            await until(lambda: _set(other, 2))
            await until(lambda: _is(cache, 2))

    asyncio.run(main())


async def _is(cache: TieredCache, value: object) -> bool:
    return await cache.get("k") == value


async def _set(cache: TieredCache, value: object) -> bool:
    return await cache.set("k", value)
