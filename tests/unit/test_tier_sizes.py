"""What is too much for one call of a store: none of it fails but what a call was too slow for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.loading import settle
from tests.steps import now, run
from tests.stores import MemoryStore, Tiers

from penstock.caching._tier import Tier
from penstock.stores._store import Record


class SlowStore(MemoryStore):
    """One that takes a tenth of a millisecond for each name."""

    each = 0.0001

    async def _begin(self, method: str, names: Sequence[str]) -> None:
        await super()._begin(method, names)
        await asyncio.sleep(self.each * len(names))


def tier_of(store: MemoryStore) -> Tier:
    clock = asyncio.get_running_loop().time
    store.shared.clock = clock
    return Tier(store, timer=clock, clock=clock, moment=clock)


def records(number: int, value: object = 1) -> list[tuple[str, Record]]:
    return [(f"k{each}", Record(value, now(), 600.0)) for each in range(number)]


def test_much_is_changed_by_several_calls() -> None:
    async def main() -> None:
        store = SlowStore()
        tier = tier_of(store)
        items = records(20_000)
        assert await tier.set(items) == [True] * 20_000
        assert await tier.delete([key for key, _ in items[:15_000]])
        assert len(store.shared.records) == 5_000
        await tier.fill(records(30_000), store.shared.now)
        assert len(store.shared.records) == 30_000
        assert await tier.invalidate([f"t{each}" for each in range(9_000)])
        assert await tier.invalidate(["a"], [f"p{each}" for each in range(9_000)])
        assert (len(store.shared.tags), len(store.shared.rules)) == (9_001, 9_000)
        stats = tier.stats()
        assert (stats.timeouts, stats.pending, stats.overflows) == (0, 0, 0)
        await tier.aclose()

    run(main())


def test_what_a_call_was_too_slow_for_is_tried_in_smaller_ones() -> None:
    async def main() -> None:
        store = SlowStore()
        store.each = 0.0008
        tier = tier_of(store)
        stored = await tier.set(records(5_000))
        assert stored.count(False) <= 2_000
        stats = tier.stats()
        assert 2 <= stats.timeouts < 5
        assert (stats.overflows, stats.state) == (0, "closed")
        store.each = 0.0
        assert all(await tier.set(records(50_000)))
        assert max(len(keys) for keys in store.asked("set")) == 1_000
        assert len(store.asked("set")[-2]) == 1_000
        await tier.aclose()

    run(main())


def test_large_values_are_stored_by_several_calls() -> None:
    async def main() -> None:
        store = MemoryStore()
        tier = tier_of(store)
        encoded = [b"x" * 400_000, b"x" * 400_000, b"x" * 3_000_000, b"x", b"x"]
        assert await tier.set(records(5), encoded) == [True] * 5
        assert [len(keys) for keys in store.asked("set")] == [2, 1, 2]
        await tier.aclose()

    run(main())


@pytest.mark.parametrize("kind", ["set", "delete", "tags", "patterns"])
def test_who_is_cancelled_between_two_calls_leaves_nothing_undone(kind: str) -> None:
    async def main() -> None:
        store = MemoryStore()
        tier = tier_of(store)
        names = [f"k{each}" for each in range(2_500)]
        store.hang()
        change: Any = {
            "set": lambda: tier.set(records(2_500)),
            "delete": lambda: tier.delete(names),
            "tags": lambda: tier.invalidate(names, ["p"]),
            "patterns": lambda: tier.invalidate((), names),
        }[kind]()
        task = asyncio.create_task(change)
        await settle()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        store.mend()
        await settle()
        assert tier.stats().pending == 1_500 + (kind == "tags")
        await asyncio.sleep(10)
        assert tier.stats().pending == 0
        shared = store.shared
        done: Any = {
            "set": shared.records,
            "delete": shared.tombstones,
            "tags": shared.tags,
            "patterns": shared.rules,
        }
        assert len(done[kind]) == 2_500
        await tier.aclose()

    run(main())


@pytest.mark.parametrize("prompt", [False, True])
def test_as_much_as_anybody_likes_of_a_cache(prompt: bool) -> None:
    async def main() -> None:
        async with Tiers(prompt=prompt, l1=10) as tiers:
            store, cache = tiers.stores[0], tiers.cache
            begin, lock = store._begin, asyncio.Lock()

            async def slowly(method: str, names: Sequence[str]) -> None:
                async with lock:
                    await asyncio.sleep(0.0001 * len(names))
                await begin(method, names)

            store._begin = slowly  # type: ignore[method-assign]
            assert await cache.set("precious", 1)
            assert await cache.set_many({f"a{each}": each for each in range(12_000)})
            assert await cache.delete_many([f"a{each}" for each in range(12_000)])
            keys = [f"b{each}" for each in range(12_000)]
            await cache.get_or_load_many(keys, lambda keys: dict.fromkeys(keys, 1))
            await asyncio.sleep(30)  # in no time
            assert sum(key.startswith("b") for key in tiers.shared[0].records) == 12_000
            tiers.forget()
            assert await cache.get("precious") == 1
            stats = cache.stats().tiers[0]
            assert (stats.timeouts, stats.overflows, stats.pending) == (0, 0, 0)

    run(main())
