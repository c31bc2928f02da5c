"""`TieredCache`: calls of one tick are one call of a store, and writes stay in order."""

from __future__ import annotations

import asyncio

from tests.loading import HeldLoader, settle
from tests.steps import run
from tests.stores import Tiers

# what is there


# calls of one tick


def test_reads_of_one_tick_ask_a_store_once() -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            await tiers.cache.set_many({"a": 1, "b": 2})
            tiers.forget()
            keys = ["a", "b", "a", "c"]
            assert await asyncio.gather(*map(tiers.cache.get, keys)) == [1, 2, 1, None]
            assert tiers.stores[0].asked("get") == [("a", "b", "c")]
            assert tiers.stores[1].asked("get") == [("c",)]

    run(main())


def test_reads_are_split_into_calls_of_500() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            keys = [str(number) for number in range(1201)]
            assert await tiers.cache.get_many(keys) == {}
            calls = tiers.stores[0].asked("get")
            assert [len(names) for names in calls] == [500, 500, 201]
            assert [key for names in calls for key in names] == keys

    run(main())


def test_reads_join_one_that_is_under_way() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            store = tiers.stores[0]
            await tiers.cache.set("k", 1)
            tiers.forget()
            store.after.clear()
            first = tiers.cache.get("k")
            await settle()
            second = tiers.cache.get("k")
            third = tiers.cache.get_or_load("k", str)
            await settle()
            store.after.set()
            assert [await first, await second, await third] == [1, 1, 1]
            assert store.asked("get") == [("k",)]

    run(main())


def test_sets_of_one_tick_are_one_call_of_a_store_the_deepest_first() -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            near, far = tiers.stores
            near.hang()
            sets = [tiers.cache.set(key, number) for number, key in enumerate("abac")]
            await settle()
            assert far.asked("set") == [("b", "a", "c")]
            assert tiers.stored("a") == ["nothing", 2]
            near.mend()
            assert await asyncio.gather(*sets) == [True] * 4
            assert near.asked("set") == [("b", "a", "c")]
            assert tiers.stored("a") == [2, 2]

    run(main())


def test_writes_of_one_key_stay_in_order() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache = tiers.cache
            writes = [
                cache.set("k", 1), cache.delete("k"), cache.set("k", 2), cache.set("l", 1),
                cache.invalidate_prefix("l"), cache.delete("m"),
            ]  # fmt: skip
            assert tiers.in_memory("k") == 2
            assert await asyncio.gather(*writes) == [True] * 6
            assert tiers.stored("k") == [2]
            assert tiers.stored("l") == ["nothing"]
            assert await cache.get_many(["k", "l"]) == {"k": 2}
            methods = [method for method, _ in tiers.stores[0].calls if method != "listen"]
            assert methods == ["set", "delete", "set", "delete", "invalidate", "get"]

    run(main())


def test_writes_wait_for_those_before_them() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            store = tiers.stores[0]
            store.hang()
            first = tiers.cache.set("k", 1)
            await settle()
            second = tiers.cache.set("k", 2)
            third = tiers.cache.delete("l")
            await settle()
            assert [names for _, names in store.calls if names] == [("k",)]
            assert tiers.cache.stats().writing == 3
            store.mend()
            assert [await first, await second, await third] == [True] * 3
            assert tiers.stored("k") == [2]
            assert tiers.cache.stats().writing == 0

    run(main())


def test_what_is_being_set_is_read_from_memory() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            await tiers.cache.set("k", 1)
            tiers.stores[0].before.clear()
            setting = tiers.cache.set("k", 2)
            await settle()
            assert await tiers.cache.get("k") == 2
            tiers.stores[0].before.set()
            assert await setting

    run(main())


def test_what_is_read_while_it_is_being_set_is_not_kept() -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            near, far = tiers.stores
            await tiers.cache.set("k", 1)
            far.before.clear()
            setting = tiers.cache.set("k", 2)
            await settle()
            tiers.cache._local.cache.clear()  # as by other keys that need the room
            assert tiers.stored("k") == [1, 1]
            assert await tiers.cache.get("k") == 2
            assert await tiers.cache.get_or_load("k", str) == 2
            assert tiers.in_memory("k") == "nothing"
            far.before.set()
            assert await setting
            assert tiers.in_memory("k") == "nothing"
            near.read.clear()
            late = tiers.cache.get("k")
            await settle()
            setting = tiers.cache.set("k", 3)
            await settle()
            tiers.cache._local.cache.clear()
            near.read.set()
            assert await late == 2  # asked for before it was set
            assert await setting
            assert tiers.in_memory("k") == "nothing"
            assert await tiers.cache.get("k") == 3

    run(main())


def test_what_is_loaded_while_it_is_being_set_is_not_kept() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            store, load = tiers.stores[0], HeldLoader()
            call = tiers.cache.get_or_load("k", load)
            await settle()
            store.after.clear()
            setting = tiers.cache.set("k", "set")
            tiers.cache._local.cache.clear()
            again = tiers.cache.get_or_load("k", load)
            await settle()
            load.release()
            assert await call == "k 1"
            await settle()
            assert tiers.in_memory("k") == "nothing"
            store.after.set()
            assert await setting
            assert await again in {"k 1", "k 2", "set"}
            await settle()
            assert tiers.in_memory("k") in {"nothing", "set"}
            assert tiers.stored("k") == ["set"]

    run(main())
