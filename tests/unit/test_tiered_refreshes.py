"""`TieredCache`: values that are loaded anew while they are served, and what goes wrong then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run
from tests.stores import Tiers

from penstock.caching import Loaded


class Oops(Exception):
    pass


async def fail(key: str) -> str:
    raise Oops(key)


@pytest.mark.parametrize("how", ["key", "tag", "prefix"])
@pytest.mark.parametrize("soft_timeout", [None, 0.01])
@pytest.mark.parametrize("prompt", [False, True])
def test_what_was_deleted_while_it_was_read_is_no_fallback(
    how: str, soft_timeout: float | None, prompt: bool
) -> None:
    async def main() -> None:
        async with Tiers(prompt=prompt, refresh_after=10, soft_timeout=soft_timeout) as tiers:
            cache = tiers.cache
            await cache.set("k", "old", tags=["t"])
            tiers.forget()
            await asyncio.sleep(20)

            async def slow(key: str) -> str:
                await asyncio.sleep(1)
                if soft_timeout is None:
                    raise Oops(key)
                return "new"

            tiers.stores[0].read.clear()  # the answer is on its way
            early = asyncio.ensure_future(cache.get_or_load("k", slow))
            await settle()
            if how == "key":
                assert await cache.delete("k") is True
            elif how == "tag":
                assert await cache.invalidate_tags("t") is True
            else:
                assert await cache.invalidate_prefix("k") is True
            tiers.stores[0].read.set()
            assert await early == "old"  # which was asked before
            (late,) = await asyncio.gather(cache.get_or_load("k", slow), return_exceptions=True)
            assert late == "new" if soft_timeout else isinstance(late, Oops)
            assert tiers.in_memory("k") == ("new" if soft_timeout else "nothing")

    run(main())


def test_what_is_good_outlives_a_reload_that_fails() -> None:
    async def main() -> None:
        async with Tiers(negative_ttl=30, negative_errors=Oops) as tiers:
            cache = tiers.cache
            calls = []

            @cache.cached
            async def function(number: int) -> int:
                calls.append(number)
                if len(calls) > 1:
                    raise Oops
                return number

            assert await function(1) == 1
            with pytest.raises(Oops):
                await function.refresh(1)
            assert await function(1) == 1
            tiers.forget()
            await settle(30)
            assert await function(1) == 1
            assert len(calls) == 2

    run(main())


def test_what_is_good_outlives_a_refresh_that_fails() -> None:
    async def main() -> None:
        options: dict[str, Any] = {"negative_ttl": 30, "negative_errors": Oops}
        async with Tiers(refresh_after=10, throttle=5, **options) as tiers:
            cache = tiers.cache
            await cache.set("k", 1)
            await asyncio.sleep(11)
            for failures, seconds in enumerate([0, 1, 5], 1):
                await asyncio.sleep(seconds)
                assert await cache.get_or_load("k", fail) == 1
                await settle(30)
                # And it is left alone for a while.
                assert cache.stats().load_failures == max(1, failures - 1)
            await asyncio.sleep(50)  # its time is over
            for _ in range(2):
                with pytest.raises(Oops):
                    await cache.get_or_load("k", fail)
            assert cache.stats().load_failures == 3

    run(main())


async def cancelled(_: str) -> str:
    raise asyncio.CancelledError  # as of a task that somebody else has cancelled


@pytest.mark.parametrize(
    ("load", "options"),
    [
        (lambda _: None, {"cache_if": lambda value: value is not None}),
        (lambda _: Loaded(2, cache=False), {}),
        (lambda _: Loaded(2, ttl=0), {}),
        (cancelled, {}),
    ],
    ids=["cache_if", "Loaded", "ttl", "cancelled"],
)
def test_refresh_whose_result_is_not_kept_is_put_off(load: Any, options: dict[str, Any]) -> None:
    async def main() -> None:
        async with Tiers(refresh_after=10, throttle=5, **options) as tiers:
            cache = tiers.cache
            await cache.set("k", 1)
            await asyncio.sleep(11)
            for refreshes in (1, 2):
                for _ in range(3):
                    assert await cache.get_or_load("k", load) == 1
                    await settle(30)
                assert cache.stats().refreshes == refreshes
                await asyncio.sleep(6)
            assert await cache.get_or_load("k", lambda _: 3) == 1
            await settle(30)
            assert await cache.get("k") == 3

    run(main())


def test_what_is_there_is_served_when_its_tags_cannot_be_made() -> None:
    async def main() -> None:
        async with Tiers(0, refresh_after=10) as tiers:
            bad = False

            def tags(number: int) -> list[str]:
                if bad:
                    raise Oops
                return [f"t{number}"]

            @tiers.cache.cached(tags=tags)
            async def function(number: int) -> int:
                return number

            assert await function(1) == 1
            await asyncio.sleep(20)
            bad = True
            assert await function(1) == 1
            with pytest.raises(Oops):
                await function(2)

    run(main())


def test_refreshes_of_many_keys_are_loads_of_their_own() -> None:
    async def main() -> None:
        async with Tiers(0, refresh_after=10) as tiers:
            load = HeldLoader()
            asked = []

            async def load_many(keys: list[str]) -> list[str]:
                asked.append(keys)
                return [await load(key) for key in keys]

            first = asyncio.ensure_future(tiers.cache.get_or_load_many(["a"], load_many))
            await settle()
            load.release()
            await first
            await asyncio.sleep(20)
            assert await tiers.cache.get_or_load_many(["a"], load_many) == {"a": "a 1"}
            await settle()
            load.release()
            await settle()
            assert await tiers.cache.get_or_load_many(["a"], load_many) == {"a": "a 2"}
            assert asked == [["a"], ["a"]]

    run(main())
