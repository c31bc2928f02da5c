"""A cache over a Redis server that is frozen or slow, asked by many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.fault_proxy import FaultProxy
from tests.redis_servers import RedisServer, needs_redis
from tests.tiers import Loader, cache_over, recovered, the_tier

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from penstock import TieredCache

pytest.importorskip("hiredis")

pytestmark = needs_redis

#: Less than the default, since it is waited for.
_QUICK = {"store": {"timeout": 0.2}, "store_timeout": 0.2}


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


async def _finishes_at_once(action: Coroutine[Any, Any, object]) -> object:
    """Return the result of what waits for no timer, no reply and no thread."""
    task = asyncio.ensure_future(action)
    for _ in range(30):
        await asyncio.sleep(0)
    assert task.done()
    return await task


def test_only_the_first_calls_wait_for_a_frozen_server(server: RedisServer) -> None:
    async def main() -> None:
        async with cache_over(server.url, **_QUICK) as cache:
            await cache.get("k")
            server.freeze()
            while the_tier(cache).state == "closed":
                before = the_tier(cache).timeouts
                assert await cache.get_or_load(f"k{before}", Loader(before)) == before
                assert before < 10
            waited, refused = the_tier(cache).timeouts, the_tier(cache).refused
            for number in range(100):
                load = _get_or_load(cache, f"l{number}", Loader(number))
                assert await _finishes_at_once(load) == number
            assert the_tier(cache).refused >= refused + 100
            assert the_tier(cache).timeouts == waited
            server.thaw()
            await recovered(cache)

    run(main())


async def _get_or_load(cache: TieredCache, key: str, loader: Loader) -> object:
    return await cache.get_or_load(key, loader)


def test_late_replies_are_nobody_elses(server: RedisServer) -> None:
    async def main() -> None:
        async with (
            FaultProxy(*server.address) as proxy,
            cache_over(server.url_at(proxy.port), l1=None, **_QUICK) as cache,
        ):
            assert await cache.set_many({f"k{n}": n for n in range(20)})
            for n in range(3):
                proxy.hold()
                assert await cache.get(f"k{n}") is None
                proxy.let_go()
            await recovered(cache)
            values = await asyncio.gather(*(_get(cache, f"k{n}") for n in range(20)))
            assert values == list(range(20))

    run(main())


async def _get(cache: TieredCache, key: str) -> object:
    return await cache.get(key)


def test_two_thousand_gets_at_once_take_one_connection(server: RedisServer) -> None:
    async def main() -> None:
        async with cache_over(server.url, l1=None) as cache:
            assert await cache.set_many({f"k{n}": n for n in range(2000)})
            server.cli("CONFIG", "RESETSTAT")
            values = await asyncio.gather(*(_get(cache, f"k{n}") for n in range(2000)))
            assert values == list(range(2000))
            # One for data; that of the backplane says nothing.
            assert server.connections() <= 2
            assert int(server.info("stats", "total_connections_received")) <= 3
            assert "calls=4," in server.info("commandstats", "cmdstat_mget")

    run(main())
