"""`TieredCache` over two stores, one of which misses what the other has got."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.loading import settle
from tests.steps import run
from tests.stores import Shared, Tiers

from penstock import TieredCache

#: What makes "key", with the tag "tag", invalid.
REMOVALS: dict[str, Callable[[TieredCache], Awaitable[bool]]] = {
    "delete": lambda cache: cache.delete("key"),
    "tags": lambda cache: cache.invalidate_tags("tag"),
    "prefix": lambda cache: cache.invalidate_prefix("ke"),
    "clear": lambda cache: cache.clear(),
}
#: The same, and what puts something in its place.
CHANGES = {**REMOVALS, "set": lambda cache: cache.set("key", "new")}


async def two_processes(l1: int | None = None) -> tuple[Tiers, Tiers]:
    """Two caches over the same two stores, with "old" in all of them."""
    clock = asyncio.get_running_loop().time
    shared = [Shared(clock), Shared(clock)]
    one, other = Tiers(shared=shared, l1=l1), Tiers(shared=shared, l1=l1)
    assert await one.cache.set("key", "old", tags=["tag"])
    return one, other


async def replayed(tiers: Tiers) -> None:
    """Let the stores answer, and wait until they have what they missed."""
    for store in tiers.stores:
        store.mend()
    while any(tier.pending for tier in tiers.cache.stats().tiers):  # noqa: ASYNC110  # virtual time
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("how", CHANGES)
def test_what_only_the_store_behind_missed_does_not_come_back_from_there(how: str) -> None:
    async def main() -> None:
        one, other = await two_processes()
        async with one, other:
            one.stores[1].fail()
            assert not await CHANGES[how](one.cache)
            one.shared[0].records.clear()  # evicted
            # Nobody has told that store: others bring up what it has.
            assert await other.cache.get("key") == "old"
            await settle()
            assert one.stored("key")[0] == "old"
            assert await one.cache.get("key") is None
            one.stores[1].error = None
            assert await one.cache.get("key") is None
            await replayed(one)
            await settle()
            expected = "new" if how == "set" else None
            assert await one.cache.get("key") == expected
            assert await other.cache.get("key") == expected
            assert "old" not in one.stored("key")

    run(main())


@pytest.mark.parametrize("how", CHANGES)
def test_others_are_told_when_the_store_behind_has_what_it_missed(how: str) -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        shared = [Shared(clock), Shared(clock)]
        async with Tiers(shared=shared) as one, Tiers(shared=shared, backplane=True) as other:
            assert await one.cache.set("key", "old", tags=["tag"])
            one.stores[1].fail()
            assert not await CHANGES[how](one.cache)
            shared[0].records.clear()
            assert await other.cache.get("key") == "old"
            assert other.in_memory("key") == "old"
            await replayed(one)
            await settle()
            assert await other.cache.get("key") == ("new" if how == "set" else None)

    run(main())


def test_what_is_set_serves_from_the_store_that_has_it() -> None:
    async def main() -> None:
        one, other = await two_processes()
        async with one, other:
            one.stores[1].fail()
            assert not await one.cache.set("key", "new")
            assert await one.cache.get("key") == "new"
            assert await other.cache.get("key") == "new"
            assert await other.cache.set("key", "newer")
            await replayed(one)

    run(main())


@pytest.mark.parametrize("how", REMOVALS)
def test_an_answer_from_before_the_store_behind_was_told_is_not_served(how: str) -> None:
    async def main() -> None:
        one, other = await two_processes()
        async with one, other:
            one.stores[1].fail()
            assert not await REMOVALS[how](one.cache)
            assert await other.cache.get("key") == "old"
            await settle()
            one.stores[0].read.clear()
            reading = asyncio.ensure_future(one.cache.get("key"))
            await settle()
            one.stores[1].error = None
            while one.cache.stats().tiers[1].pending:  # noqa: ASYNC110  # virtual time
                await asyncio.sleep(0.01)
            one.stores[0].read.set()
            assert await reading is None

    run(main())


@pytest.mark.parametrize("how", REMOVALS)
def test_a_cache_that_closes_tells_the_nearer_store_as_well(how: str) -> None:
    async def main() -> None:
        one, other = await two_processes()
        async with other:
            one.stores[1].fail()
            assert not await REMOVALS[how](one.cache)
            assert await other.cache.get("key") == "old"
            await settle()
            one.stores[1].mend()
            await one.cache.aclose()
            assert await other.cache.get("key") is None

    run(main())


@pytest.mark.parametrize("how", REMOVALS)
def test_a_nearer_store_that_misses_what_it_is_told_then_is_told_later(how: str) -> None:
    async def main() -> None:
        one, other = await two_processes()
        async with one, other:
            one.stores[1].fail()
            assert not await REMOVALS[how](one.cache)
            assert await other.cache.get("key") == "old"
            await settle()
            one.stores[0].fail()
            one.stores[1].mend()
            while one.cache.stats().tiers[1].pending:  # noqa: ASYNC110  # virtual time
                await asyncio.sleep(0.1)
            one.stores[0].mend()
            assert await one.cache.get("key") is None
            await replayed(one)
            assert await other.cache.get("key") is None

    run(main())
