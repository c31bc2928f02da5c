"""Loaders of a `TieredCache` that ask it themselves: for other keys, and for their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.loading import settle
from tests.steps import now, run
from tests.stores import Tiers

from penstock import RecursiveLoad
from penstock.caching import _tiered_flight

STORES = pytest.mark.parametrize("stores", [0, 1])


@STORES
def test_bulk_that_asks_for_one_of_its_own_keys_is_refused(stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores) as tiers:
            cache = tiers.cache

            async def one_by_one(keys: list[str]) -> dict[str, Any]:
                return {key: await cache.get_or_load(key, str.upper) for key in keys}

            async def again(keys: list[str]) -> dict[str, Any]:
                return await cache.get_or_load_many(keys, again)

            async def anew(keys: list[str]) -> dict[str, Any]:
                await cache.delete_many(keys)
                return await cache.get_or_load_many(keys, anew)

            for load_many in (one_by_one, again, anew):
                with pytest.raises(RecursiveLoad):
                    await asyncio.wait_for(cache.get_or_load_many([*"ab"], load_many), 5)
            # Nobody joins what could not end.
            assert await cache.get_or_load_many([*"ab"], list) == {"a": "a", "b": "b"}

    run(main())


@STORES
def test_bulk_that_waits_for_itself_by_another_load_is_refused(stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores) as tiers:
            cache = tiers.cache

            async def child(_: str) -> str:
                await settle()  # not a part of who asks for it
                return str(await cache.get_or_load("a", str.upper))

            async def load_many(keys: list[str]) -> dict[str, Any]:
                return dict.fromkeys(keys, await cache.get_or_load("child", child))

            begun = cache.get_or_load("child", child)
            many = asyncio.ensure_future(cache.get_or_load_many([*"ab"], load_many))
            results = await asyncio.wait_for(asyncio.gather(begun, many, return_exceptions=True), 5)
            assert [type(result) for result in results] == [RecursiveLoad] * 2

    run(main())


@STORES
def test_bulk_may_ask_for_other_keys(stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores) as tiers:
            cache = tiers.cache

            async def less(keys: list[str]) -> dict[str, int]:
                wanted = [key[1:] for key in keys if key[1:]]
                found = await cache.get_or_load_many(wanted, less) if wanted else {}
                return {key: found.get(key[1:], 0) + 1 for key in keys}

            found = await cache.get_or_load_many(["abcd", "efg"], less)
            assert found == {"abcd": 4, "efg": 3}

    run(main())


def test_what_a_bulk_has_begun_may_ask_for_its_keys_afterwards() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            tasks: list[asyncio.Future[Any]] = []
            ended = asyncio.Event()

            async def later() -> object:
                await ended.wait()
                return await tiers.cache.get_or_load("a", str.upper, cache_if=lambda _: False)

            async def load_many(keys: list[str]) -> list[str]:
                tasks.append(asyncio.ensure_future(later()))
                ended.set()
                return keys

            await tiers.cache.get_or_load_many(["a"], load_many, cache_if=lambda _: False)
            assert await tasks[0] == "A"

    run(main())


def test_bulk_cannot_close_its_cache() -> None:
    async def main() -> None:
        async with Tiers() as tiers:

            async def load_many(keys: list[str]) -> list[str]:
                await tiers.cache.aclose()
                return keys

            began = now()
            with pytest.raises(RuntimeError, match="cannot close"):
                await tiers.cache.get_or_load_many([*"ab"], load_many)
            assert now() == began

    run(main())


def test_waiting_for_many_costs_no_more_for_each() -> None:
    one, other = _tiered_flight.Part(None, (), None), _tiered_flight.Part(None, (), None)
    one.wait_for(other)
    there = one.waits_for
    many = [_tiered_flight.Part(None, (), None) for _ in range(100)]
    for part in (*many, other):
        one.wait_for(part)
    assert one.waits_for is there  # not a copy for each
    for part in (*many, other):
        one.wait_no_more(part)
    assert one.waits_on(other)
    assert not other.waits_on(one)
    one.wait_no_more(other)
    assert not one.waits_on(other)
    assert not one.waits_for
