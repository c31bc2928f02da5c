"""`TieredCache.cached`: what is kept under which arguments, forgotten, refreshed and counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run

from penstock import TieredCache
from penstock._backend import Ready
from penstock.caching import FunctionStats, Loaded

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Calls:
    """A coroutine function that says what it was called with, and how often."""

    def __init__(self) -> None:
        self.made: list[tuple[object, ...]] = []

    async def load(self, *args: object, **kwargs: object) -> str:
        self.made.append((*args, *kwargs.items()))
        return f"{args} {len(self.made)}"


def test_a_call_is_made_once() -> None:
    async def main() -> None:
        cache, calls = TieredCache(ttl=60), Calls()

        @cache.cached
        async def load(number: int, flag: bool = False) -> str:
            return await calls.load(number, flag)

        first = await load(1)
        assert first == "(1, False) 1"
        assert await load(1) == await load(number=1) == await load(1, flag=False) == first
        assert await load(2) == "(2, False) 2"
        assert await load(1, True) == "(1, True) 3"
        assert len(calls.made) == 3

    run(main())


def test_arguments_of_other_types_are_other_calls() -> None:
    async def main() -> None:
        cache, calls = TieredCache(ttl=60), Calls()

        @cache.cached
        async def load(value: object) -> str:
            return await calls.load(value)

        for _ in range(2):
            for value in (1, "1", 1.0, True, b"1", None, [1], (1,), {"a": 1}):
                await load(value)
        assert len(calls.made) == 9
        with pytest.raises(TypeError, match=r"argument 'value' of .*load\(\) is or holds a .*key="):
            await load(object())

    run(main())


def test_a_hit_never_touches_the_loop() -> None:
    async def main() -> None:
        cache = TieredCache(ttl=60)

        @cache.cached
        async def load(number: int) -> list[int]:
            return [number]

        value = await load(1)
        hit = load(1)
        assert type(hit) is Ready
        assert await hit is value
        assert await asyncio.create_task(load(1)) is value
        assert await asyncio.gather(load(1), load(1)) == [value, value]

    run(main())


def test_calls_at_the_same_time_share_one_run() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = TieredCache(ttl=60).cached(held)
        tasks = [asyncio.create_task(load("a")) for _ in range(5)]
        await settle()
        assert held.calls == ["a"]
        tasks[0].cancel()
        await settle()
        held.release()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == ["a 1"] * 4
        assert load.stats() == FunctionStats(
            calls=5, hits=4, misses=1, runs=1, run_seconds=load.stats().run_seconds
        )

    run(main())


def test_failures_are_not_kept() -> None:
    async def main() -> None:
        cache = TieredCache(ttl=60)
        made: list[int] = []

        @cache.cached
        async def load(number: int) -> int:
            made.append(number)
            if len(made) < 3:
                raise OSError(f"try {len(made)}")
            return number

        for attempt in (1, 2):
            with pytest.raises(OSError, match=f"try {attempt}"):
                await load(7)
        assert await load(7) == await load(7) == 7
        stats = load.stats()
        assert (stats.runs, stats.failures, stats.misses, stats.hits) == (3, 2, 3, 1)

    run(main())


def test_a_result_is_forgotten() -> None:
    async def main() -> None:
        cache, calls = TieredCache(ttl=60), Calls()
        load = cache.cached(calls.load, prefix="a")
        other = cache.cached(Calls().load, prefix="ab")
        one, two, far = await load(1), await load(2), await other(1)
        assert await load.invalidate(1)
        assert await load(2) == two
        assert await load(1) != one
        assert await load.invalidate_all()
        assert await load(2) != two
        assert await other(1) == far
        with pytest.raises(TypeError, match="key="):
            await load.invalidate(object())

    run(main())


def test_invalidation_during_a_run_wins() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = TieredCache(ttl=60).cached(held)
        for forget in (lambda: load.invalidate("a"), load.invalidate_all):
            held.calls.clear()
            held.forget()
            task = asyncio.create_task(load("a"))
            await settle()
            assert await forget()
            later = asyncio.create_task(load("a"))
            await settle()
            assert held.calls == ["a", "a"]
            held.release()
            assert await task == "a 1"
            assert await later == await load("a") == "a 2"
            await load.invalidate_all()

    run(main())


def test_refresh_replaces_what_is_there_when_it_has_it() -> None:
    async def main() -> None:
        cache = TieredCache(ttl=60)
        values = iter([1, 2, OSError("no"), 4])

        @cache.cached
        async def load() -> int:
            value = next(values)
            if isinstance(value, OSError):
                raise value
            assert isinstance(value, int)
            return value

        assert await load() == 1
        assert await load.refresh() == 2
        assert await load() == 2
        with pytest.raises(OSError, match="no"):
            await load.refresh()
        assert await load() == 2
        stats = load.stats()
        assert (stats.runs, stats.failures, stats.calls, stats.misses) == (3, 1, 3, 1)

    run(main())


def test_tags_come_from_the_arguments() -> None:
    async def main() -> None:
        cache, calls = TieredCache(ttl=60), Calls()

        @cache.cached(tags=["users", "user:{user}", "{user}-{page:03}"])
        async def load(user: str, page: int = 1) -> str:
            return await calls.load(user, page)

        for tag, gone in [("user:a", 2), ("b-001", 1), ("users", 3), ("user:c", 0)]:
            before = [await load("a"), await load("a", 2), await load("b")]
            await cache.invalidate_tags(tag)
            after = [await load("a"), await load("a", 2), await load("b")]
            assert sum(map(str.__ne__, before, after)) == gone, tag

    run(main())


def test_a_refreshed_result_has_its_tags() -> None:
    async def main() -> None:
        cache, calls = TieredCache(ttl=60), Calls()
        load = cache.cached(calls.load, tags=["all"])
        value = await load.refresh(1)
        assert await load(1) == value
        await cache.invalidate_tags("all")
        assert await load(1) != value

    run(main())


def test_tags_may_be_computed_and_are_not_for_a_hit() -> None:
    async def main() -> None:
        cache, asked = TieredCache(ttl=60), Calls()

        def tags(numbers: list[int]) -> list[str]:
            asked.made.append(tuple(numbers))
            return [f"n{number}" for number in numbers]

        @cache.cached(tags=tags)
        async def load(numbers: list[int]) -> object:
            return object()

        value = await load([1, 2])
        assert await load([1, 2]) is value
        assert asked.made == [(1, 2)]
        await cache.invalidate_tags("n2")
        assert await load([1, 2]) is not value

    run(main())


def test_the_function_may_say_how_its_result_is_kept() -> None:
    async def main() -> None:
        cache = TieredCache(ttl=60)
        made: list[int] = []

        @cache.cached
        async def load(number: int) -> Any:
            made.append(number)
            return Loaded(number, cache=number > 1, tags=("big",))

        assert [await load(1), await load(1), await load(2), await load(2)] == [1, 1, 2, 2]
        assert made == [1, 1, 2]
        await cache.invalidate_tags("big")
        assert await load(2) == 2
        assert made == [1, 1, 2, 2]

    run(main())


def test_options_are_those_of_a_load() -> None:
    async def main() -> None:
        cache, calls = TieredCache(ttl=60), Calls()
        picky = cache.cached(calls.load, cache_if=lambda value: False)
        await picky(1)
        await picky(1)
        assert len(calls.made) == 2

    run(main())


def test_disabled_it_is_the_function_itself() -> None:
    async def main() -> None:
        calls = Calls()
        load = TieredCache(ttl=60).cached(calls.load, enabled=False)
        assert not load.enabled
        assert await load(1) != await load(1)
        await load(object())  # no key is made
        load.enable()
        kept = await load(1)
        assert await load(1) == kept
        load.disable()
        assert await load(1) != kept
        load.enable()
        assert await load(1) == kept
        stats = load.stats()
        assert (stats.calls, stats.bypassed, stats.hits, stats.misses) == (7, 4, 2, 1)

    run(main())


def test_key_says_what_identifies_a_call() -> None:
    async def main() -> None:
        cache, calls = TieredCache(ttl=60), Calls()
        load = cache.cached(calls.load, key=lambda user, *rest: user.id, prefix="user")
        user = type("User", (), {"id": "u7"})()
        assert load.key(user) == "user:u7"
        assert await load(user) == await load(user, 2)
        assert await cache.get("user:u7") == await load(user)

    run(main())


def test_awaiting_itself_is_refused() -> None:
    from penstock import RecursiveLoad

    cache = TieredCache(ttl=60)

    @cache.cached
    async def load(number: int) -> int:
        return await load(number)

    def ask() -> Coroutine[Any, Any, int]:
        return load(1)

    async def main() -> None:
        with pytest.raises(RecursiveLoad):
            await ask()

    run(main())
