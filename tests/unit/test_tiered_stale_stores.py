"""`TieredCache(l1=None)`: while a loader is left alone, old values are served from the stores."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.loading import Source, SourceError, settle
from tests.steps import run
from tests.stores import Tiers

OPTIONS: dict[str, Any] = {"l1": None, "ttl": 10, "stale_for": 1000, "throttle": 5}


def test_loader_that_has_failed_is_left_alone() -> None:
    async def main() -> None:
        async with Tiers(**OPTIONS) as tiers:
            source = Source()
            get = tiers.cache.get_or_load
            assert await get("k", source) == "k 1"
            await asyncio.sleep(20)
            source.fails = True
            for expected in (2, 3):
                for _ in range(3):
                    assert await get("k", source) == "k 1"
                    many = await tiers.cache.get_or_load_many(["k"], lambda _: 1 / 0)
                    assert many == {"k": "k 1"}
                assert len(source.calls) == expected
                await asyncio.sleep(6)
            assert tiers.cache.stats().stale_served == 12
            source.fails = False
            assert await get("k", source) == "k 4"

    run(main())


def test_what_others_have_loaded_or_removed_counts_while_it_is() -> None:
    async def main() -> None:
        async with Tiers(**OPTIONS) as tiers, Tiers(shared=tiers.shared, **OPTIONS) as other:
            source = Source()
            get = tiers.cache.get_or_load
            await get("k", source)
            await asyncio.sleep(20)
            source.fails = True
            assert await get("k", source) == "k 1"
            await other.cache.set("k", "new", ttl=1)
            assert await get("k", source) == "new"
            await asyncio.sleep(2)
            assert await get("k", source) == "new"  # for which the loader is asked anew
            assert len(source.calls) == 3
            await other.cache.delete("k")
            with pytest.raises(SourceError):
                await get("k", source)

    run(main())


def test_without_a_throttle_it_is_asked_each_time() -> None:
    async def main() -> None:
        async with Tiers(**{**OPTIONS, "throttle": 0}) as tiers:
            source = Source()
            await tiers.cache.get_or_load("k", source)
            await asyncio.sleep(20)
            source.fails = True
            for _ in range(3):
                assert await tiers.cache.get_or_load("k", source) == "k 1"
            assert len(source.calls) == 4

    run(main())


def test_refresh_that_has_failed_is_put_off() -> None:
    async def main() -> None:
        async with Tiers(**{**OPTIONS, "ttl": 100}, refresh_after=10) as tiers:
            source = Source()
            get = tiers.cache.get_or_load
            await get("k", source)
            await asyncio.sleep(20)
            source.fails = True
            for expected in (2, 3):
                for _ in range(3):
                    assert await get("k", source) == "k 1"
                    await settle(30)
                assert len(source.calls) == expected
                await asyncio.sleep(6)
            source.fails = False
            assert await get("k", source) == "k 1"
            await settle(30)
            assert await get("k", source) == "k 4"

    run(main())


@pytest.mark.parametrize("l1", [100, None])
def test_refresh_that_is_put_off_is_so_for_as_long_as_the_value_is_good(l1: int | None) -> None:
    async def main() -> None:
        options: dict[str, Any] = {**OPTIONS, "l1": l1, "refresh_after": 5, "throttle": 30}
        async with Tiers(cache_if=lambda value: value is not None, **options) as tiers:
            get = tiers.cache.get_or_load
            await tiers.cache.set("k", "old")
            await asyncio.sleep(6)
            for _ in range(2):
                assert await get("k", lambda _: None) == "old"
                await settle(30)
            assert tiers.cache.stats().refreshes == 1
            await asyncio.sleep(5)
            assert await get("k", lambda _: None) is None  # it has not failed

    run(main())


def test_what_comes_in_the_end_counts_though_no_store_has_taken_it() -> None:
    async def main() -> None:
        async with Tiers(soft_timeout=1, **OPTIONS) as tiers:
            source = Source(2)
            get = tiers.cache.get_or_load
            await get("k", source)
            await asyncio.sleep(20)
            assert await get("k", source) == "k 1"

            async def refuses(*_: object, **__: object) -> list[bool]:
                return [False]

            tiers.stores[0].set_many = refuses  # type: ignore[method-assign]
            await asyncio.sleep(2)
            source.seconds = 0
            assert await get("k", source) == "k 3"

    run(main())
