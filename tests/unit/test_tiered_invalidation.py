"""`TieredCache`: what is invalidated while it is read or loaded is not kept, in no tier."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run
from tests.stores import Tiers

from penstock import TieredCache
from penstock.caching import Loaded

#: How to invalidate the key "key" with the tag "tag".
HOW: dict[str, Callable[[TieredCache], Awaitable[bool]]] = {
    "delete": lambda cache: cache.delete("key"),
    "delete_many": lambda cache: cache.delete_many(["other", "key"]),
    "tags": lambda cache: cache.invalidate_tags("other", "tag"),
    "prefix": lambda cache: cache.invalidate_prefix("ke"),
    "glob": lambda cache: cache.invalidate_glob("?[aeiou]y"),
    "clear": lambda cache: cache.clear(),
}
#: Others, which leave it alone.
OTHERS: dict[str, Callable[[TieredCache], Awaitable[bool]]] = {
    "delete": lambda cache: cache.delete("other"),
    "tags": lambda cache: cache.invalidate_tags("other"),
    "prefix": lambda cache: cache.invalidate_prefix("ey"),
    "star": lambda cache: cache.invalidate_prefix("*"),
    "glob": lambda cache: cache.invalidate_glob("ke?y"),
}


@pytest.mark.parametrize("how", HOW)
def test_what_is_invalidated_is_gone_from_all_tiers(how: str) -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            await tiers.cache.set("key", 1, tags=["tag"])
            assert await HOW[how](tiers.cache)
            assert await tiers.cache.get("key") is None
            assert tiers.stored("key") == ["nothing"] * 2
            tiers.forget()
            assert await tiers.cache.get("key") is None

    run(main())


@pytest.mark.parametrize("how", OTHERS)
def test_what_was_not_meant_stays(how: str) -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            await tiers.cache.set("key", 1, tags=["tag"])
            assert await OTHERS[how](tiers.cache)
            assert await tiers.cache.get("key") == 1
            assert tiers.stores[0].asked("get") == []
            tiers.forget()
            assert await tiers.cache.get("key") == 1

    run(main())


@pytest.mark.parametrize("stores", [0, 2])
@pytest.mark.parametrize("l1", [100, None])
@pytest.mark.parametrize("how", HOW)
def test_invalidation_during_a_load_wins(how: str, l1: int | None, stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores, l1=l1) as tiers:
            cache, load = tiers.cache, HeldLoader()
            first = cache.get_or_load("key", load, tags=["tag"])
            await settle()
            assert await HOW[how](cache)
            second = cache.get_or_load("key", load, tags=["tag"])
            await settle()
            load.release(1)
            assert await first == "key 1"
            await settle()
            assert tiers.in_memory("key") == "nothing"
            assert tiers.stored("key") == ["nothing"] * stores
            assert cache.stats().revoked == 1
            load.release(2)
            assert await second == "key 2"
            await settle()
            if l1 or stores:
                assert await cache.get("key") == "key 2"
            assert tiers.stored("key") == ["key 2"] * stores

    run(main())


@pytest.mark.parametrize("how", OTHERS)
def test_other_invalidations_leave_a_load_alone(how: str) -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache, load = tiers.cache, HeldLoader()
            first = cache.get_or_load("key", load, tags=["tag"])
            await settle()
            assert await OTHERS[how](cache)
            second = cache.get_or_load("key", load, tags=["tag"])
            await settle()
            load.release(1)
            assert [await first, await second] == ["key 1"] * 2
            await settle()
            assert tiers.in_memory("key") == "key 1"
            assert tiers.stored("key") == ["key 1"]

    run(main())


@pytest.mark.parametrize("how", HOW)
def test_invalidation_during_a_read_wins(how: str) -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            cache, (near, far) = tiers.cache, tiers.stores
            await cache.set("key", 1, tags=["tag"])
            near.shared.records.clear()
            tiers.forget()
            far.after.clear()
            reading = cache.get("key")
            await settle()
            far.after.set()
            near.before.clear()  # only the last store has done it
            invalidating = HOW[how](cache)
            await settle()
            assert await reading == 1  # who asked before may see it
            assert tiers.in_memory("key") == "nothing"
            near.before.set()
            assert await invalidating
            await settle()
            assert await cache.get("key") is None
            assert tiers.stored("key") == ["nothing"] * 2

    run(main())


@pytest.mark.parametrize("how", HOW)
def test_who_reads_after_an_invalidation_does_not_join_who_read_before(how: str) -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache, store = tiers.cache, tiers.stores[0]
            await cache.set("key", 1, tags=["tag"])
            tiers.forget()
            store.after.clear()
            readings = [cache.get("key"), cache.get_or_load("key", str)]
            await settle()
            store.after.set()
            held = asyncio.Event()
            get_many = store.get_many

            async def slow(keys: Any) -> Any:
                reading = await get_many(keys)
                await held.wait()
                return reading

            store.get_many = slow  # type: ignore[method-assign]
            assert [await reading for reading in readings] == [1, 1]
            tiers.forget()
            early = [cache.get("key"), cache.get_or_load("key", str)]
            await settle()
            assert await HOW[how](cache)
            late = [cache.get("key"), cache.get_or_load("key", str)]
            await settle()
            held.set()
            assert [await reading for reading in early] == [1, 1]
            assert [await reading for reading in late] == [None, "key"]
            await settle()
            assert await cache.get("key") == "key"

    run(main())


def test_tags_that_only_the_loader_knows_keep_who_came_later_from_an_old_value() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache, load = tiers.cache, HeldLoader()

            async def tagged(key: str) -> Loaded[str]:
                return Loaded(await load(key), tags=["tag"])

            early = cache.get_or_load("key", tagged)
            await settle()
            assert await cache.invalidate_tags("tag")
            late = cache.get_or_load("key", tagged)
            await settle()
            assert load.calls == ["key"]  # nobody knows yet
            load.release(1)
            assert await early == "key 1"
            await settle()
            load.release(2)
            assert await late == "key 2"
            await settle()
            assert await cache.get("key") == "key 2"
            assert tiers.stored("key") == ["key 2"]

    run(main())


def test_delete_that_a_store_has_missed_is_not_forgotten() -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            cache, (near, far) = tiers.cache, tiers.stores
            await cache.set("key", 1)
            far.fail()
            assert await cache.delete("key") is False
            assert tiers.stored("key") == ["nothing", 1]
            assert await cache.get("key") is None
            far.mend()
            assert await cache.get("key") is None
            assert await cache.get_or_load("key", str) == "key"
            await asyncio.sleep(20)
            assert tiers.stored("key")[1] == "nothing"
            near.shared.remove("key")
            tiers.forget()
            assert await cache.get("key") is None

    run(main())


def test_what_is_set_after_an_invalidation_stays_when_that_ends() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache, store = tiers.cache, tiers.stores[0]
            for how in HOW.values():
                store.hang()
                invalidating = how(cache)
                await settle()
                setting = cache.set("key", "new", tags=["tag"])
                await settle()
                assert tiers.in_memory("key") == "new"
                store.mend()
                assert [await invalidating, await setting] == [True, True]
                assert tiers.in_memory("key") == "new"
                assert tiers.stored("key") == ["new"]
                assert await cache.get("key") == "new"
                assert store.asked("get") == []

    run(main())


def test_what_was_set_before_an_invalidation_does_not_come_back_with_it() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache, store = tiers.cache, tiers.stores[0]
            for how in HOW.values():
                store.hang()
                setting = cache.set("key", "old", tags=["tag"])
                await settle()
                invalidating = [how(cache), cache.invalidate_tags("x"), cache.clear()]
                await settle()
                assert tiers.in_memory("key") == "nothing" or how is not HOW["delete"]
                store.mend()
                assert await setting
                assert await asyncio.gather(*invalidating) == [True] * 3
                assert tiers.in_memory("key") == "nothing"
                assert tiers.stored("key") == ["nothing"]

    run(main())


@pytest.mark.parametrize("stores", [0, 1])
@pytest.mark.parametrize("many", [False, True])
def test_set_during_a_load_wins(many: bool, stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores) as tiers:
            cache, load = tiers.cache, HeldLoader()
            call = cache.get_or_load("key", load)
            await settle()
            setting = cache.set_many({"key": "set"}) if many else cache.set("key", "set")
            assert await cache.get_or_load("key", load) == "set"
            load.release()
            assert await call == "key 1"
            assert await setting
            await settle()
            assert await cache.get("key") == "set"
            assert tiers.stored("key") == ["set"] * stores

    run(main())


def test_load_that_begins_while_a_store_is_being_told_is_not_kept() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache, store, load = tiers.cache, tiers.stores[0], HeldLoader()
            await cache.set("key", "old")
            store.hang()
            deleting = cache.delete("key")
            call = cache.get_or_load("key", load)
            await settle()
            store.mend()
            assert await deleting
            await settle()
            load.release()
            assert await call == "key 1"
            await settle()
            # Nobody knows whether it was loaded from what there was before.
            assert tiers.in_memory("key") == "nothing"
            assert tiers.stored("key") == ["nothing"]

    run(main())


def test_what_another_process_changed_meanwhile_is_not_overwritten() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache, shared, load = tiers.cache, tiers.shared[0], HeldLoader()
            call = cache.get_or_load("key", load)
            await settle()
            shared.remove("key")
            load.release(1)
            assert await call == "key 1"
            await settle()
            assert tiers.stored("key") == ["nothing"]

    run(main())
