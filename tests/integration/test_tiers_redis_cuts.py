"""A cache whose connection to Redis is cut at every byte, garbled, split, half closed or lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from tests.fault_proxy import FaultProxy
from tests.redis_servers import RedisServer, needs_redis
from tests.tiers import Loader, cache_over, recovered, the_tier, until

from penstock import TieredCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

pytest.importorskip("hiredis")

pytestmark = needs_redis


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


@contextlib.asynccontextmanager
async def proxied(**options: Any) -> AsyncIterator[tuple[RedisServer, FaultProxy]]:
    with RedisServer(**options) as server:
        async with FaultProxy(*server.address) as proxy:
            yield server, proxy


@contextlib.asynccontextmanager
async def far(server: RedisServer, proxy: FaultProxy, **options: Any) -> AsyncIterator[TieredCache]:
    """A cache behind the proxy, with one connection and nothing in memory."""
    options = {"l1": None, "lease": None, "backplane": False, **options}
    async with cache_over(server.url_at(proxy.port), store={"backplane": None}, **options) as cache:
        yield cache


Action: TypeAlias = Callable[[TieredCache, TieredCache], Awaitable[None]]


# Each does something through a connection that may end meanwhile; *near* has a good one.
async def get(cut: TieredCache, near: TieredCache) -> None:
    assert await near.set("k", {"a": [1, 2, 3]}, tags=["t"])
    assert await cut.get("k") in (None, {"a": [1, 2, 3]})
    assert await cut.get("k") in (None, {"a": [1, 2, 3]})


async def get_many(cut: TieredCache, near: TieredCache) -> None:
    assert await near.set_many({"k": "K", "l": "L"})
    found = await cut.get_many(["k", "l", "m"])
    assert found.get("k") in (None, "K")
    assert found.get("l") in (None, "L")
    assert found.get("m") is None


async def get_or_load(cut: TieredCache, near: TieredCache) -> None:
    assert await near.delete("k")
    loader = Loader("v")
    assert await cut.get_or_load("k", loader) == "v"
    assert await cut.get_or_load("k", loader) == "v"
    assert loader.calls in (1, 2)


async def put(cut: TieredCache, near: TieredCache) -> None:
    assert await near.set("k", "old")
    if await cut.set("k", "new"):
        assert await near.get("k") == "new"
    else:
        assert await near.get("k") in ("old", "new")
    assert await cut.get("k") in (None, "new")


async def delete(cut: TieredCache, near: TieredCache) -> None:
    assert await near.set("k", "old")
    if await cut.delete("k"):
        assert await near.get("k") is None
    else:
        assert await near.get("k") in (None, "old")
    assert await cut.get("k") is None


async def invalidate(cut: TieredCache, near: TieredCache) -> None:
    assert await near.set("k", "old", tags=["t"])
    if await cut.invalidate_tags("t"):
        assert await near.get("k") is None
    assert await near.set("l", "old")
    if await cut.invalidate_prefix("l"):
        assert await near.get("l") is None
    assert await cut.get("k") is None
    assert await cut.get("l") is None


ACTIONS = [get, get_many, get_or_load, put, delete, invalidate]


@pytest.mark.parametrize("action", ACTIONS)
def test_it_may_be_cut_at_every_byte_of_a_reply(action: Action) -> None:
    async def main() -> None:
        async with proxied() as (server, proxy), cache_over(server.url, l1=None) as near:
            async with far(server, proxy) as cut:
                await cut.get("connected")
                before = proxy.replied
                await action(cut, near)
                replied = proxy.replied - before
            for size in range(replied):
                async with far(server, proxy) as cut:
                    await cut.get("connected")
                    proxy.cut_after(size, reset=size % 2 == 1)
                    await action(cut, near)
                    await proxy.heal()
            assert proxy.accepted > replied > 0

    run(main())


def test_it_may_be_cut_at_every_byte_of_the_introduction() -> None:
    async def main() -> None:
        async with proxied() as (server, proxy), cache_over(server.url, l1=None) as near:
            assert await near.set("k", "v")
            async with far(server, proxy) as cut:
                assert await cut.get("k") == "v"
            for size in range(proxy.replied):
                proxy.cut_after(size)
                async with far(server, proxy) as cut:
                    assert await cut.get("k") in (None, "v")
                    assert await cut.get_or_load("k", Loader("w")) in ("v", "w")
                    assert await near.set("k", "v")
                await proxy.heal()

    run(main())


GARBAGE = [
    b"\xff" * 20,
    b"\0",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"*-7\r\n",
    b"$999999999999999999999\r\n",
    b"*1\r\n$1\r\na\r\n",
    b"*2\r\n_\r\n$5\r\nhello\r\n",
    b"*2\r\n$1\r\n1\r\n$5\r\nhello\r\n",
    b"+OK\r\n",
    b":1\r\n",
    b"-ERR something else\r\n",
    b"-\r\n",
    b"_\r\n",
    b"%1\r\n+a\r\n+b\r\n",
    b">2\r\n+invalidate\r\n_\r\n",
    b">1\r\n+?\r\n",
    b"$-1\r\n$-1\r\n$-1\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("action", [get, get_or_load, put, delete])
def test_garbage_is_nobodys_value(garbage: bytes, action: Action) -> None:
    async def main() -> None:
        async with proxied() as (server, proxy), cache_over(server.url, l1=None) as near:
            options = {"store": {"timeout": 0.05, "backplane": None}}
            async with cache_over(
                server.url_at(proxy.port), **options, l1=None, store_timeout=0.05
            ) as cut:
                await cut.get("connected")
                proxy.garble(garbage)
                await action(cut, near)
                await recovered(cut)
                assert await cut.set("after", "v")
                assert await near.get("after") == "v"

    run(main())


def test_replies_may_come_byte_by_byte() -> None:
    async def main() -> None:
        async with proxied() as (server, proxy), cache_over(server.url, l1=None) as near:
            proxy.split()
            for action in ACTIONS:
                async with far(server, proxy) as cache:
                    await action(cache, near)
                    assert the_tier(cache).errors == 0

    run(main())


def test_half_a_connection_is_given_up() -> None:
    async def main() -> None:
        async with proxied() as (server, proxy), far(server, proxy) as cache:
            assert await cache.set("k", "v")
            proxy.half_close()
            await until(lambda: proxy.open == 0)
            await proxy.heal()
            await recovered(cache)
            assert await cache.get("k") == "v"

    run(main())


def test_what_was_done_unheard_is_not_said_to_be_done() -> None:
    async def main() -> None:
        async with (
            proxied() as (server, proxy),
            cache_over(server.url, l1=None) as near,
            far(server, proxy, store_timeout=0.05) as cut,
        ):
            await cut.get("connected")
            proxy.swallow()
            assert await cut.set("k", "v") is False
            assert await cut.get("k") is None  # there is no L1 in which it might be
            proxy.drop()
            await proxy.heal()
            await recovered(cut)
            assert await near.get("k") == "v"
            assert await cut.get("k") == "v"

    run(main())


# --- the backplane --------------------------------------------------------------------------------


@pytest.mark.parametrize("backplane", ["pubsub", "tracking"])
def test_what_is_in_memory_is_looked_up_again_after_the_connection_was_lost(backplane: str) -> None:
    async def main() -> None:
        store = {"backplane": backplane}
        async with (
            proxied() as (server, proxy),
            cache_over(server.url_at(proxy.port), store=store) as cut,
            cache_over(server.url, store=store) as near,
        ):
            assert await near.set("k", "old")
            assert await cut.get("k") == "old"
            proxy.refuse()
            await until(lambda: proxy.open == 0)
            assert await near.set("k", "new")  # it is not told
            await until(lambda: _forgotten(cut, "old"))
            await proxy.heal()
            await recovered(cut)
            assert await cut.get("k") == "new"

    run(main())


async def _forgotten(cache: TieredCache, value: object) -> bool:
    return await cache.get("k") != value


@pytest.mark.parametrize("backplane", ["pubsub", "tracking"])
def test_it_is_told_again_after_the_connection_was_lost(backplane: str) -> None:
    async def main() -> None:
        store = {"backplane": backplane}
        async with (
            proxied() as (server, proxy),
            cache_over(server.url_at(proxy.port), store=store) as cut,
            cache_over(server.url, store=store) as near,
        ):
            await cut.get("connected")
            proxy.drop()
            await recovered(cut)
            for number in range(3):
                assert await near.set("k", number)
                await until(lambda number=number: _sees(cut, number))

    run(main())


async def _sees(cache: TieredCache, value: object) -> bool:
    return await cache.get("k") == value
