"""The memory of what was dropped lasts as long as somebody may ask for it."""

from __future__ import annotations

import asyncio

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run
from tests.stores import Tiers

from penstock.caching._local_rules import Marks


def test_marks_that_somebody_may_ask_for_are_not_forgotten() -> None:
    oldest = 5
    marks = Marks(8, lambda: oldest)
    for seq in range(100):
        marks.mark(f"k{seq}", seq)
    assert marks.newest(["unknown"]) <= 5
    assert marks.newest(["k6"]) == 6
    oldest = 90
    for seq in range(100, 200):
        marks.mark(f"k{seq}", seq)
    assert marks.newest(["unknown"]) <= 90
    assert len(marks._marks) <= 2 * 110


def test_there_are_never_more_than_fifty_times_as_many() -> None:
    marks = Marks(8, lambda: 0)
    for seq in range(1, 2_000):
        marks.mark(f"k{seq}", seq)
        assert len(marks._marks) <= 400
    assert marks.newest(["unknown"]) > 1_000


def test_not_everybody_is_asked_each_time() -> None:
    asked = 0

    def oldest() -> int:
        nonlocal asked
        asked += 1
        return 10_000_000 if asked % 2 else 0

    marks = Marks(1_000, oldest)
    for seq in range(1, 50_000):
        marks.mark(f"k{seq}", seq)
    assert asked < 500


@pytest.mark.parametrize("stores", [0, 1])
def test_a_load_outlasts_any_number_of_writes_of_others(stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores, l1=100_000) as tiers:
            cache, load = tiers.cache, HeldLoader()
            first = asyncio.ensure_future(cache.get_or_load("k", load))
            await settle()
            for begin in (0, 15_000, 30_000):
                await cache.set_many({f"x{begin + each}": each for each in range(15_000)})
            second = asyncio.ensure_future(cache.get_or_load("k", load))
            await settle()
            load.release()
            assert await first == await second == "k 1"
            assert tiers.in_memory("k") == "k 1"
            assert cache.stats().revoked == 0

    run(main())


def test_a_read_outlasts_any_number_of_writes_of_others() -> None:
    async def main() -> None:
        async with Tiers(l1=100_000) as tiers:
            cache, store = tiers.cache, tiers.stores[0]
            await cache.set("k", 1)
            tiers.forget()
            store.read.clear()
            reading = cache.get("k")
            await settle()
            await cache.set_many({f"x{each}": each for each in range(15_000)})
            store.read.set()
            assert await reading == 1
            assert tiers.in_memory("k") == 1

    run(main())
