"""`TieredCache.get_or_load_many`: what is missing is loaded by one call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run
from tests.stores import Tiers

from penstock import BatchSizeMismatch
from penstock.caching import Loaded


class Oops(Exception):
    pass


class Many:
    """A loader of many keys that waits until it is released."""

    def __init__(self, *absent: str, held: bool = False) -> None:
        self.calls: list[list[str]] = []
        self.absent = absent
        self.gate = asyncio.Event()
        self.cancelled = 0
        if not held:
            self.gate.set()

    async def __call__(self, keys: list[str]) -> dict[str, str]:
        self.calls.append(keys)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return {key: f"many {key}" for key in keys if key not in self.absent}


@pytest.mark.parametrize("stores", [0, 2])
def test_what_is_missing_is_loaded_by_one_call(stores: int) -> None:
    async def main() -> None:
        async with Tiers(stores) as tiers:
            load = Many()
            await tiers.cache.set("a", "set")
            found = await tiers.cache.get_or_load_many(["b", "a", "c", "b"], load)
            assert found == {"b": "many b", "a": "set", "c": "many c"}
            assert list(found) == ["b", "a", "c"]
            assert load.calls == [["b", "c"]]
            await settle()
            assert tiers.stored("c") == ["many c"] * stores
            assert [len(store.asked("fill")) for store in tiers.stores] == [1] * stores
            assert await tiers.cache.get_or_load_many([*"abc"], load) == found
            tiers.forget()
            if stores:
                assert await tiers.cache.get_or_load_many([*"abc"], load) == found
            assert len(load.calls) == 1
            assert await tiers.cache.get_or_load_many([], load) == {}

    run(main())


def test_loader_may_return_values_in_the_same_order() -> None:
    async def main() -> None:
        async with Tiers() as tiers:

            def load(keys: list[str]) -> Sequence[Any]:
                return [key.upper() for key in keys]

            assert await tiers.cache.get_or_load_many([*"ab"], load) == {"a": "A", "b": "B"}

    run(main())


def test_key_without_a_value_is_left_out() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            load = Many("b")
            for _ in range(2):
                found = await tiers.cache.get_or_load_many([*"abc"], load)
                assert found == {"a": "many a", "c": "many c"}
            assert load.calls == [["a", "b", "c"], ["b"]]
            assert await tiers.cache.get("b") is None

    run(main())


def test_values_may_say_how_they_are_kept() -> None:
    async def main() -> None:
        async with Tiers(cache_if=lambda value: value != 2) as tiers:

            def load(keys: list[str]) -> Any:
                return [Loaded(0, cache=False), Loaded(1, tags=["t"]), 2, None]

            found = await tiers.cache.get_or_load_many([*"abcd"], load, tags=["u"])
            assert found == {"a": 0, "b": 1, "c": 2, "d": None}
            assert await tiers.cache.get_many([*"abcd"]) == {"b": 1, "d": None}
            await tiers.cache.invalidate_tags("u")
            assert await tiers.cache.get_many([*"abcd"]) == {"b": 1}
            await tiers.cache.invalidate_tags("t")
            assert await tiers.cache.get_many([*"abcd"]) == {}

    run(main())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([1], BatchSizeMismatch),
        ([1, 2, 3], BatchSizeMismatch),
        ("ab", TypeError),
        (None, TypeError),
        (7, TypeError),
    ],
)
def test_wrong_answers_are_refused(answer: object, error: type[Exception]) -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            with pytest.raises(error):
                await tiers.cache.get_or_load_many([*"ab"], lambda _: answer)
            assert await tiers.cache.get_or_load_many([*"ab"], Many("a")) == {"b": "many b"}

    run(main())


def test_error_of_the_call_is_that_of_each_key() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            load = HeldLoader()

            async def fails(keys: list[str]) -> dict[str, str]:
                await load()
                raise Oops

            calls: list[Any] = [asyncio.ensure_future(tiers.cache.get_or_load_many([*"ab"], fails))]
            await settle()
            calls.append(tiers.cache.get_or_load("b", str))
            await settle()
            load.release()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(result) for result in results] == [Oops] * 2
            assert results[0] is not results[1]
            assert tiers.cache.stats().load_failures == 2

    run(main())


def test_values_past_their_time_serve_when_the_call_fails() -> None:
    async def main() -> None:
        async with Tiers(ttl=10, stale_for=100) as tiers:
            await tiers.cache.set_many({"a": 1, "b": 2})
            await asyncio.sleep(20)

            def fails(_: list[str]) -> Any:
                raise Oops

            assert await tiers.cache.get_or_load_many([*"ab"], fails) == {"a": 1, "b": 2}
            with pytest.raises(Oops):
                await tiers.cache.get_or_load_many([*"abc"], fails)

    run(main())


def test_what_another_call_loads_is_waited_for() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            single, first, second = HeldLoader(), Many(held=True), Many(held=True)
            calls: list[Any] = [
                asyncio.ensure_future(tiers.cache.get_or_load("a", single)),
                asyncio.ensure_future(tiers.cache.get_or_load_many([*"ab"], first)),
            ]
            await settle()
            calls += [
                asyncio.ensure_future(tiers.cache.get_or_load_many([*"bc"], second)),
                asyncio.ensure_future(tiers.cache.get_or_load("b", single)),
            ]
            await settle()
            assert [single.calls, first.calls, second.calls] == [["a"], [["b"]], [["c"]]]
            single.release()
            first.gate.set()
            second.gate.set()
            assert await asyncio.gather(*calls) == [
                "a 1",
                {"a": "a 1", "b": "many b"},
                {"b": "many b", "c": "many c"},
                "many b",
            ]

    run(main())


def test_who_joined_a_call_that_has_no_value_for_him_loads_himself() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            many, load = Many("b", held=True), HeldLoader()
            call = asyncio.ensure_future(tiers.cache.get_or_load_many([*"ab"], many))
            await settle()
            singles = [tiers.cache.get_or_load("b", load) for _ in range(2)]
            await settle()
            many.gate.set()
            assert await call == {"a": "many a"}
            await settle()
            load.release()
            assert await asyncio.gather(*singles) == ["b 1"] * 2
            assert await tiers.cache.get("b") == "b 1"

    run(main())


def test_call_is_cancelled_when_the_last_one_leaves() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            many = Many(held=True)
            call = asyncio.ensure_future(tiers.cache.get_or_load_many([*"ab"], many))
            await settle()
            joined = asyncio.ensure_future(tiers.cache.get_or_load("b", str))
            await settle()
            call.cancel()
            await settle()
            assert many.cancelled == 0
            joined.cancel()
            await settle()
            assert many.cancelled == 1
            assert tiers.cache._loads.flights == {}
            assert await tiers.cache.get_or_load("b", str) == "b"

    run(main())


def test_key_in_the_middle_that_is_refused_leaves_nothing_behind() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            many = Many()
            wrong: Any = ["a", 1, "b"]
            with pytest.raises(TypeError, match="key must be a str, got int"):
                await tiers.cache.get_or_load_many(wrong, many)
            with pytest.raises(TypeError, match="key must be a str, got int"):
                await tiers.cache.get_many(wrong)
            await settle()
            assert many.calls == []
            assert tiers.cache._loads.flights == {}
            assert await tiers.cache.get_or_load("a", str) == "a"

    run(main())


def test_who_has_joined_a_call_that_is_refused_gets_his_value() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            joined: list[Any] = []

            def keys() -> Any:
                yield "a"
                joined.append(tiers.cache.get_or_load("a", str))
                yield 1

            with pytest.raises(TypeError, match="key must be a str, got int"):
                await tiers.cache.get_or_load_many(keys(), Many())
            assert await joined[0] == "many a"

    run(main())


def test_invalidation_during_the_call_wins() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            many = Many(held=True)
            call = asyncio.ensure_future(tiers.cache.get_or_load_many([*"ab"], many))
            await settle()
            await tiers.cache.delete("a")
            many.gate.set()
            assert await call == {"a": "many a", "b": "many b"}
            await settle()
            assert tiers.stored("a") + tiers.stored("b") == ["nothing", "many b"]
            assert await tiers.cache.get_many([*"ab"]) == {"b": "many b"}

    run(main())


def test_old_values_are_loaded_anew_one_by_one() -> None:
    async def main() -> None:
        async with Tiers(refresh_after=10) as tiers:
            many = Many("b")
            await tiers.cache.set_many({"a": 1, "b": 2})
            await asyncio.sleep(11)
            assert await tiers.cache.get_or_load_many([*"ab"], many) == {"a": 1, "b": 2}
            await settle(20)
            assert many.calls == [["a"], ["b"]]
            assert await tiers.cache.get_many([*"ab"]) == {"a": "many a", "b": 2}

    run(main())


def test_tags_may_be_gone_through_but_once() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache = tiers.cache
            await cache.get_or_load_many([*"ab"], list, tags=iter(["t"]))
            assert (await cache.warmup([*"cd"], str, tags=iter(["t"]))).ok
            assert (await cache.get_many([*"abcd"])).keys() == {*"abcd"}
            await cache.invalidate_tags("t")
            assert await cache.get_many([*"abcd"]) == {}

    run(main())
