"""`TieredCache`: a store serves one cache, so that this hears of what is changed there."""

from __future__ import annotations

import asyncio
import gc

import pytest
from tests.steps import run
from tests.stores import MemoryStore

from penstock import TieredCache
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


def test_a_store_may_be_given_again_after_its_cache_was_closed() -> None:
    async def main() -> None:
        store = MemoryStore()
        for number in range(3):
            async with TieredCache(store, ttl=60) as cache:
                assert await cache.set("k", number) is True

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
