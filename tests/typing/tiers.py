"""What type checkers make of caches in tiers; checked by mypy and pyright, never run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, assert_type

from penstock import Cache, RedisStore, SqliteStore, TieredCache
from penstock.caching import CacheStats, Loaded, TieredStats, TierStats
from penstock.stores import Store


class User:
    pass


async def load_user(key: str) -> User:
    return User()


def load_now(key: str) -> int:
    return len(key)


async def load_and_say(key: str) -> Loaded[User]:
    return Loaded(User(), ttl=timedelta(minutes=5), tags=["users"], cache=True)


async def load_many(keys: list[str]) -> dict[str, User]:
    return {key: User() for key in keys}


def made() -> None:
    first: Store = RedisStore("redis://127.0.0.1")
    second: Store = SqliteStore("cache.sqlite")
    TieredCache(first, second, ttl=60)
    TieredCache(ttl=None, l1=None)
    TieredCache(
        second,
        ttl=timedelta(hours=1),
        l1=Cache[str, Any](100),
        l1_ttl=5,
        jitter=0.1,
        refresh_after=30,
        early_refresh=1.0,
        stale_for=600,
        throttle=30,
        soft_timeout=0.1,
        hard_timeout=2,
        completion_timeout=60,
        negative_ttl=5,
        negative_errors=(KeyError, LookupError),
        cache_if=lambda value: value is not None,
        lease=None,
        store_timeout=0.25,
        backplane=False,
        name="users",
    )
    TieredCache()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TieredCache("redis://", ttl=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def read(cache: TieredCache) -> None:
    assert_type(await cache.get_or_load("a", load_user), User)
    assert_type(await cache.get_or_load("a", load_now), int)
    assert_type(await cache.get_or_load("a", load_and_say), User)
    assert_type(await cache.get_or_load("a", lambda key: key), str)
    assert_type(
        await cache.get_or_load(
            "a", load_user, ttl=5, tags=["t"], stale_for=timedelta(days=1), throttle=5
        ),
        User,
    )
    assert_type(cache.get_or_load("a", load_user), Awaitable[User])
    assert_type(await cache.get("a"), Any)
    assert_type(await cache.get_many(["a"]), dict[str, Any])
    assert_type(await cache.get_or_load_many(["a"], load_many, ttl=5), dict[str, Any])
    await cache.get(1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await asyncio.wait_for(cache.get("a"), 1)


async def write(cache: TieredCache) -> None:
    assert_type(await cache.set("a", 1), bool)
    assert_type(await cache.set("a", 1, ttl=5, l1_ttl=None, jitter=0.1, tags=("t",)), bool)
    assert_type(await cache.set_many({"a": 1}, tags=["t"]), bool)
    assert_type(await cache.delete("a"), bool)
    assert_type(await cache.delete_many(["a", "b"]), bool)
    assert_type(await cache.invalidate_tags("a", "b"), bool)
    assert_type(await cache.invalidate_prefix("a:"), bool)
    assert_type(await cache.invalidate_glob("a:*"), bool)
    assert_type(await cache.clear(), bool)
    cache.set("a", 1, refresh_after=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def told(cache: TieredCache) -> None:
    stats = cache.stats()
    assert_type(stats, TieredStats)
    assert_type(stats.l1, CacheStats)
    assert_type(stats.tiers, tuple[TierStats, ...])
    assert_type(stats.hit_ratio, float)
    assert_type(cache.name, str | None)
    assert_type(cache.closed, bool)
    async with cache as same:
        assert_type(same, TieredCache)
    await cache.aclose(timeout=timedelta(seconds=5))
    await cache.aclose(None)
