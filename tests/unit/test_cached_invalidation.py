"""Invalidation and refresh, also while a load is under way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.loading import HeldLoader, settle

from penstock import cached

if TYPE_CHECKING:
    from collections.abc import Callable

#: Ways to declare what is being loaded under "a" out of date.
WAYS: dict[str, Callable[[Any], object]] = {
    "invalidate": lambda function: function.invalidate("a"),
    "cache_clear": lambda function: function.cache_clear(),
    "cache.pop": lambda function: function.cache.pop("a", None),
    "cache.clear": lambda function: function.cache.clear(),
    "del cache": lambda function: function.cache.__delitem__("a"),
}

ways = pytest.mark.parametrize("way", WAYS)


def outdate(function: object, way: str) -> None:
    try:
        WAYS[way](function)
    except KeyError:
        assert way == "del cache"


class TestWithoutLoads:
    def test_invalidate_forgets_one_result(self) -> None:
        calls = []
        load = cached(calls.append)
        load("a")
        load("b")
        assert load.invalidate("a") is True
        assert load.invalidate("a") is False
        assert load.invalidate("never asked for") is False
        load("a")
        load("b")
        assert calls == ["a", "b", "a"]

    def test_invalidate_takes_the_arguments_of_the_call(self) -> None:
        load = cached(lambda *args, **kwargs: (args, kwargs))
        load(1, option="x")
        assert load.invalidate(1) is False
        assert load.invalidate(1, option="y") is False
        assert load.invalidate(1, option="x") is True

    def test_invalidate_is_no_miss_and_no_eviction(self) -> None:
        told = []
        load = cached(on_evict=lambda *args: told.append(args))(str.upper)
        load("a")
        load.invalidate("a")
        assert told == [("a", "A", "deleted")]
        stats = load.stats()
        assert (stats.hits, stats.misses, stats.evictions) == (0, 1, 0)

    def test_refresh_replaces_the_result_and_returns_it(self) -> None:
        values = iter(["old", "new", "newer"])
        load = cached(lambda key: next(values))
        assert load("a") == "old"
        assert load.refresh("a") == "new"
        assert load("a") == "new"
        assert load.stats().loads == 2
        assert load.cache_info() == (1, 1, 1024, 1)

    def test_refresh_of_what_is_not_there_loads_it(self) -> None:
        load = cached(str.upper)
        assert load.refresh("a") == "A"
        assert load("a") == "A"
        assert load.cache_info() == (1, 0, 1024, 1)

    def test_failed_refresh_keeps_the_old_result(self) -> None:
        outcomes = ["old", ValueError("new")]

        @cached
        def load(key: str) -> object:
            outcome = outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        load("a")
        with pytest.raises(ValueError, match="new"):
            load.refresh("a")
        assert load("a") == "old"
        assert load.stats().load_failures == 1

    def test_awaited_refresh(self) -> None:
        outcomes = ["old", "new", ValueError("newer")]

        @cached
        async def load(key: str) -> object:
            await asyncio.sleep(0)
            outcome = outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        async def main() -> None:
            assert await load("a") == "old"
            assert asyncio.iscoroutine(refresh := load.refresh("a"))
            assert await refresh == "new"
            assert await load("a") == "new"
            with pytest.raises(ValueError, match="newer"):
                await load.refresh("a")
            assert await load("a") == "new"

        asyncio.run(main())

    def test_refresh_can_be_a_task(self) -> None:
        load = cached(HeldLoader())

        async def main() -> None:
            task = asyncio.create_task(load.refresh("a"))
            await settle()
            load.__wrapped__.release()
            assert await task == "a 1"

        asyncio.run(main())


class TestDuringAwaitedLoads:
    @ways
    def test_outdated_load_reaches_its_waiters_and_is_not_stored(self, way: str) -> None:
        async def main() -> None:
            held = HeldLoader()
            load = cached(held)
            waiters = [asyncio.ensure_future(load("a")) for _ in range(2)]
            await settle()
            outdate(load, way)
            held.release()
            assert await asyncio.gather(*waiters) == ["a 1", "a 1"]
            assert "a" not in load.cache
            assert load.cache_info().currsize == 0

        asyncio.run(main())

    @ways
    def test_later_callers_start_a_new_load(self, way: str) -> None:
        async def main() -> None:
            held = HeldLoader()
            load = cached(held)
            first = asyncio.ensure_future(load("a"))
            await settle()
            outdate(load, way)
            later = [asyncio.ensure_future(load("a")) for _ in range(2)]
            await settle()
            assert held.calls == ["a", "a"]
            held.release(2)
            assert await asyncio.gather(*later) == ["a 2", "a 2"]
            held.release(1)
            assert await first == "a 1"
            assert await load("a") == "a 2"

        asyncio.run(main())

    @ways
    def test_old_load_that_ends_first_stores_nothing_either(self, way: str) -> None:
        async def main() -> None:
            held = HeldLoader()
            load = cached(held)
            first = asyncio.ensure_future(load("a"))
            await settle()
            outdate(load, way)
            later = asyncio.ensure_future(load("a"))
            await settle()
            held.release(1)
            assert await first == "a 1"
            assert "a" not in load.cache
            joined = asyncio.ensure_future(load("a"))
            await settle()
            held.release(2)
            assert await asyncio.gather(later, joined) == ["a 2", "a 2"]
            assert held.calls == ["a", "a"]
            assert await load("a") == "a 2"

        asyncio.run(main())

    def test_value_set_by_hand_wins_over_a_load(self) -> None:
        async def main() -> None:
            held = HeldLoader()
            load = cached(held)
            first = asyncio.ensure_future(load("a"))
            await settle()
            load.cache.set("a", "by hand")
            assert await load("a") == "by hand"
            held.release()
            assert await first == "a 1"
            assert await load("a") == "by hand"

        asyncio.run(main())

    def test_invalidation_of_another_key_changes_nothing(self) -> None:
        async def main() -> None:
            held = HeldLoader()
            load = cached(held)
            first = asyncio.ensure_future(load("a"))
            await settle()
            load.invalidate("b")
            load.cache.set("b", "by hand")
            held.release()
            assert await first == "a 1"
            assert load.cache.peek("a") == "a 1"

        asyncio.run(main())

    def test_eviction_for_want_of_room_does_not_outdate_a_load(self) -> None:
        async def main() -> None:
            held = HeldLoader()
            load = cached(maxsize=1)(held)
            first = asyncio.ensure_future(load("a"))
            await settle()
            load.cache.set("b", "by hand")
            load.cache.set("c", "by hand")
            held.release()
            assert await first == "a 1"
            assert list(load.cache) == ["a"]

        asyncio.run(main())

    def test_refresh_supersedes_the_load_under_way(self) -> None:
        async def main() -> None:
            held = HeldLoader()
            load = cached(held)
            first = asyncio.ensure_future(load("a"))
            await settle()
            refresh = asyncio.ensure_future(load.refresh("a"))
            await settle()
            joined = asyncio.ensure_future(load("a"))
            await settle()
            assert held.calls == ["a", "a"]
            held.release(2)
            assert await asyncio.gather(refresh, joined) == ["a 2", "a 2"]
            held.release(1)
            assert await first == "a 1"
            assert await load("a") == "a 2"

        asyncio.run(main())

    def test_newest_refresh_wins(self) -> None:
        async def main() -> None:
            held = HeldLoader()
            load = cached(held)
            refreshes = []
            for _ in range(3):
                refreshes.append(asyncio.ensure_future(load.refresh("a")))
                await settle()
            held.release(3)
            await settle()
            held.release()
            assert await asyncio.gather(*refreshes) == ["a 1", "a 2", "a 3"]
            assert await load("a") == "a 3"

        asyncio.run(main())

    def test_old_value_is_served_while_a_refresh_is_under_way(self) -> None:
        async def main() -> None:
            held = HeldLoader()
            load = cached(held)
            load.cache.set("a", "old")
            refresh = asyncio.ensure_future(load.refresh("a"))
            await settle()
            assert await load("a") == "old"
            held.release()
            assert await refresh == "a 1"
            assert await load("a") == "a 1"

        asyncio.run(main())

    def test_refresh_that_is_invalidated_is_not_stored(self) -> None:
        async def main() -> None:
            held = HeldLoader()
            load = cached(held)
            refresh = asyncio.ensure_future(load.refresh("a"))
            await settle()
            load.invalidate("a")
            held.release()
            assert await refresh == "a 1"
            assert "a" not in load.cache

        asyncio.run(main())

    def test_function_that_invalidates_itself_is_not_stored(self) -> None:
        @cached
        async def load(key: str) -> str:
            await asyncio.sleep(0)
            load.invalidate(key)
            return key

        assert asyncio.run(load("a")) == "a"
        assert "a" not in load.cache
