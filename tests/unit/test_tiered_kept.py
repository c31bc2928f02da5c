"""`TieredCache.get_or_load`: what is kept of what a loader returns or raises."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from datetime import timedelta
from typing import Any
from weakref import ref

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run
from tests.stores import Tiers

from penstock.caching import Loaded


class Oops(Exception):
    pass


async def fail(key: str) -> str:
    raise Oops(key)


# what is kept


def test_loader_may_say_how_its_value_is_kept() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache = tiers.cache

            def load(key: str) -> Any:
                return Loaded(key, ttl=5, tags=["t"])

            assert await cache.get_or_load("a", load) == "a"
            assert await cache.get_or_load("b", load, ttl=50, tags=["u"]) == "b"
            assert await cache.get_or_load("c", lambda key: Loaded(key, cache=False)) == "c"
            assert await cache.get_or_load("d", Loaded, ttl=50, tags=["u"]) == "d"
            await settle()
            assert await cache.get_many([*"abcd"]) == {"a": "a", "b": "b", "d": "d"}
            await asyncio.sleep(6)
            assert await cache.get_many([*"abcd"]) == {"d": "d"}
            assert await cache.get_or_load("a", load) == "a"
            await cache.invalidate_tags("t")
            assert await cache.get_many([*"abcd"]) == {"d": "d"}
            await cache.invalidate_tags("u")
            assert await cache.get_many([*"abcd"]) == {}

    run(main())


def test_only_what_is_to_be_kept_is_kept() -> None:
    async def main() -> None:
        async with Tiers(cache_if=lambda value: value != "A") as tiers:
            for key in "ab":
                assert await tiers.cache.get_or_load(key, str.upper) == key.upper()
            call = tiers.cache.get_or_load("c", str.upper, cache_if=lambda _: False)
            assert await call == "C"
            await settle()
            assert await tiers.cache.get_many([*"abc"]) == {"b": "B"}
            assert tiers.shared[0].records.keys() == {"b"}
            assert await tiers.cache.get_or_load("a", str.upper, cache_if=None) == "A"
            assert await tiers.cache.get_many([*"abc"]) == {"a": "A", "b": "B"}

    run(main())


def test_value_that_the_predicate_fails_for_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Tiers(negative_ttl=5, negative_errors=ZeroDivisionError) as tiers:
            cache = tiers.cache
            assert await cache.get_or_load("k", str, cache_if=lambda _: 1 / 0) == "k"
            many = await cache.get_or_load_many(["l"], list, cache_if=lambda _: 1 / 0)
            assert many == {"l": "l"}
            assert [tiers.in_memory(key) for key in "kl"] == ["nothing"] * 2
            assert (cache.stats().loads, cache.stats().load_failures) == (2, 0)

    run(main())
    assert "cache_if failed for 'k', which is not kept" in caplog.messages


@pytest.mark.parametrize("ttl", [0, -1.5, timedelta(), timedelta(seconds=-1)])
def test_value_with_no_time_left_is_not_kept(ttl: float | timedelta) -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            assert await tiers.cache.get_or_load("k", lambda key: Loaded(key, ttl=ttl)) == "k"
            await settle()
            assert tiers.in_memory("k") == "nothing"
            assert tiers.stored("k") == ["nothing"]

    run(main())


def test_error_that_is_kept_keeps_nothing_else_alive() -> None:
    class Big:
        pass

    async def main() -> None:
        async with Tiers(negative_ttl=5, negative_errors=Oops) as tiers:
            alive = []

            async def load(key: str) -> str:
                big = Big()
                alive.append(ref(big))
                raise Oops(key) from KeyError(big)

            async def ask() -> None:
                big = Big()
                alive.append(ref(big))
                with suppress(Oops):
                    await tiers.cache.get_or_load("k", load)

            await ask()
            await settle()
            gc.collect()
            assert [big() for big in alive] == [None, None]
            with pytest.raises(Oops, match="k"):
                await tiers.cache.get_or_load("k", load)
            assert len(alive) == 2

    run(main())


def test_options_of_a_call_are_those_of_its_load() -> None:
    async def main() -> None:
        async with Tiers(ttl=10) as tiers:
            await tiers.cache.get_or_load("a", str, ttl=20, tags=(tag for tag in "xyx"))
            await tiers.cache.get_or_load("b", str)
            await settle()
            record = tiers.shared[0].records["a"]
            assert (record.ttl, record.tags) == (20, ("x", "y"))
            await asyncio.sleep(15)
            assert await tiers.cache.get_many([*"ab"]) == {"a": "a"}

    run(main())


# None, and errors that are answers


def test_none_is_kept_for_a_shorter_time() -> None:
    async def main() -> None:
        async with Tiers(negative_ttl=5) as tiers:
            calls = []

            async def load(key: str) -> None:
                calls.append(key)

            for _ in range(2):
                assert await tiers.cache.get_or_load("k", load) is None
                assert await tiers.cache.get("k", "default") is None
                await asyncio.sleep(4)
            assert calls == ["k"]
            assert await tiers.cache.get_or_load("k", load) is None
            assert calls == ["k", "k"]

    run(main())


def test_errors_that_are_answers_are_kept_in_memory() -> None:
    async def main() -> None:
        async with Tiers(negative_ttl=5, negative_errors=Oops) as tiers:
            calls = []

            async def load(key: str) -> str:
                calls.append(key)
                raise Oops(key)

            errors = []
            for _ in range(3):
                with pytest.raises(Oops, match="k") as caught:
                    await tiers.cache.get_or_load("k", load)
                errors.append(caught.value)
            assert len({id(error) for error in errors}) == 3
            assert calls == ["k"]
            assert await tiers.cache.get("k", "default") == "default"
            assert await tiers.cache.get_many(["k"]) == {}
            assert tiers.stored("k") == ["nothing"]
            assert tiers.cache.stats().negative_hits == 2
            await asyncio.sleep(6)
            assert await tiers.cache.get_or_load("k", str) == "k"

    run(main())


@pytest.mark.parametrize("forget", ["delete", "invalidate_tags", "clear", "set"])
def test_error_that_was_kept_can_be_invalidated(forget: str) -> None:
    async def main() -> None:
        async with Tiers(negative_ttl=5, negative_errors=(Oops, KeyError)) as tiers:
            cache: Any = tiers.cache
            with pytest.raises(Oops):
                await cache.get_or_load("k", fail, tags=["t"])
            how = {"delete": ["k"], "invalidate_tags": ["t"], "clear": [], "set": ["k", "k"]}
            await getattr(cache, forget)(*how[forget])
            assert await cache.get_or_load("k", str) == "k"

    run(main())


def test_other_errors_are_no_answers() -> None:
    async def main() -> None:
        async with Tiers(negative_ttl=5, negative_errors=KeyError) as tiers:
            with pytest.raises(Oops):
                await tiers.cache.get_or_load("k", fail)
            with pytest.raises(Oops):
                await tiers.cache.get_or_load("k", fail, negative_errors=Oops)
            with pytest.raises(Oops):
                await tiers.cache.get_or_load("k", str)
            assert tiers.cache.stats().load_failures == 2

    run(main())


# loading anew


def test_reload_loads_whatever_there_is() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            load = HeldLoader()
            await tiers.cache.set("k", "old")
            older = tiers.cache._reload("k", load)
            await settle()
            assert await tiers.cache.get("k") == "old"
            newer = tiers.cache._reload("k", load)
            await settle()
            load.release(2)
            assert await newer == "k 2"
            load.release(1)
            assert await older == "k 1"
            await settle()
            assert await tiers.cache.get("k") == "k 2"
            assert tiers.stored("k") == ["k 2"]
            with pytest.raises(Oops):
                await tiers.cache._reload("k", fail)
            assert await tiers.cache.get("k") == "k 2"

    run(main())
