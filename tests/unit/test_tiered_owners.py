"""`TieredCache`: a store, or an l1, serves one cache, which so hears of what is changed there."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run
from tests.stores import MemoryStore

from penstock import Cache, SqliteStore, TieredCache
from penstock.caching import tiered_caches


def test_a_store_cannot_serve_two_caches() -> None:
    async def main() -> None:
        near, far = MemoryStore(name="near"), MemoryStore(name="far")
        async with TieredCache(near, far, ttl=60) as cache:
            for stores in ([near], [far], [MemoryStore(), far]):
                with pytest.raises(ValueError, match="serves another cache"):
                    TieredCache(*stores, ttl=60)
            with pytest.raises(ValueError, match="cache 'b': store 'far' serves another cache"):
                tiered_caches({"b": {"store": "x"}}, stores={"x": far})
            assert await cache.set("k", 1) is True

    run(main())


def test_what_was_refused_takes_no_store() -> None:
    async def main() -> None:
        taken, free = MemoryStore(), MemoryStore()
        async with TieredCache(taken, ttl=60):
            with pytest.raises(ValueError, match="another cache"):
                TieredCache(free, taken, ttl=60)
            with pytest.raises(ValueError, match="another cache"):
                tiered_caches(
                    {"a": {"store": "a"}, "b": {"store": "b"}}, stores={"a": free, "b": taken}
                )
            await TieredCache(free, ttl=60).aclose()

    run(main())


def test_two_names_for_one_store_are_one_store() -> None:
    store = MemoryStore()
    settings = {"a": {"store": "a"}, "b": {"store": "b"}}
    with pytest.raises(ValueError, match="cache 'b': store 'memory' serves another cache"):
        tiered_caches(settings, stores={"a": store, "b": store})


def test_a_closed_store_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        for store in (MemoryStore(), SqliteStore(tmp_path / "cache.db", name="memory")):
            async with TieredCache(store, ttl=60) as cache:
                assert await cache.set("k", 1) is True
            for stores in ([store], [MemoryStore(), store]):
                with pytest.raises(ValueError, match="store 'memory' is closed: make a new one"):
                    TieredCache(*stores, ttl=60)
            with pytest.raises(ValueError, match="cache 'b': store 'memory' is closed"):
                tiered_caches({"b": {"store": "x"}}, stores={"x": store})

    asyncio.run(main())  # a file has threads, which know of no virtual time


def test_a_store_that_is_not_closed_with_its_cache_may_be_given_again() -> None:
    class Lasting(MemoryStore):
        async def aclose(self) -> None:
            pass

    async def main() -> None:
        store = Lasting()
        for number in range(3):
            async with TieredCache(store, ttl=60) as cache:
                assert await cache.set("k", number) is True

    run(main())


def test_a_cache_cannot_be_the_first_tier_of_two() -> None:
    async def main() -> None:
        l1: Cache[str, Any] = Cache(100)
        async with TieredCache(ttl=60, l1=l1) as cache:
            for stores in ([], [MemoryStore()]):
                with pytest.raises(ValueError, match="l1 serves another cache already"):
                    TieredCache(*stores, ttl=60, l1=l1)
            assert await cache.set("k", 1) is True
        assert len(l1) == 0
        async with TieredCache(ttl=60, l1=l1) as cache:  # that one is closed
            assert await cache.set("k", 2) is True
            assert await cache.get("k") == 2

    run(main())


def test_the_first_tier_is_not_free_before_its_cache_is_closed() -> None:
    async def main() -> None:
        l1: Cache[str, Any] = Cache(100)
        cache = TieredCache(ttl=60, l1=l1)
        load = HeldLoader()
        loading = asyncio.ensure_future(cache.get_or_load("k", load))
        await settle()
        closing = asyncio.ensure_future(cache.aclose())
        await settle()
        assert cache.closed
        with pytest.raises(ValueError, match="l1 serves another cache already"):
            TieredCache(ttl=60, l1=l1)
        load.release()
        assert await loading == "k 1"
        await closing
        await TieredCache(ttl=60, l1=l1).aclose()

    run(main())


def test_the_first_tier_is_free_when_it_is_closed_though_nobody_has_waited_for_that() -> None:
    async def main() -> None:
        l1: Cache[str, Any] = Cache(100)
        cache = TieredCache(ttl=60, l1=l1)
        load = HeldLoader()
        loading = asyncio.ensure_future(cache.get_or_load("k", load))
        closing = asyncio.ensure_future(cache.aclose())
        await settle()
        closing.cancel()
        load.release()
        assert await loading == "k 1"
        await settle()
        assert cache.closed
        await TieredCache(ttl=60, l1=l1).aclose()

    run(main())


def test_what_a_cache_that_is_gone_has_left_in_the_first_tier_is_not_served() -> None:
    async def main() -> None:
        l1: Cache[str, Any] = Cache(100)
        l1.set("other", "of the caller's")
        for value in (1, 2):
            cache = TieredCache(ttl=60, l1=l1)
            assert await cache.get("k") is None
            for _ in range(5):
                await cache.set("k", value)
            await cache.invalidate_prefix("k")
            assert await cache.get("k") is None
            await cache.set("k", value)
            del cache
        assert l1.get("other") == "of the caller's"

    run(main())


def test_a_store_may_be_given_again_when_its_cache_is_gone() -> None:
    store = MemoryStore()

    async def main() -> None:
        assert await TieredCache(store, ttl=60, backplane=False).set("k", 1) is True

    gc.disable()
    try:
        for _ in range(2):
            asyncio.run(main())
    finally:
        gc.enable()
