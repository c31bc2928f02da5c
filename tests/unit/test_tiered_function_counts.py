"""`TieredCache.cached`: what its statistics say of calls, whatever became of them."""

from __future__ import annotations

import asyncio

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run, steps_of

from penstock import TieredCache
from penstock.caching import FunctionStats, TieredFunction


def test_a_failure_that_was_shared_is_one_run() -> None:
    async def main() -> None:
        cache = TieredCache(ttl=60)

        @cache.cached
        async def load(number: int) -> int:
            await asyncio.sleep(1)
            raise OSError("no")

        answers = await asyncio.gather(load(1), load(1), load(1), return_exceptions=True)
        assert [type(answer) for answer in answers] == [OSError] * 3
        stats = load.stats()
        assert (stats.calls, stats.misses, stats.errors, stats.failures) == (3, 1, 2, 1)

    run(main())


def test_cached_errors_are_counted() -> None:
    async def main() -> None:
        cache = TieredCache(ttl=60)

        @cache.cached(negative_ttl=5, negative_errors=LookupError)
        async def load(number: int) -> int:
            raise LookupError(number)

        for _ in range(3):
            with pytest.raises(LookupError):
                await load(1)
        stats = load.stats()
        assert (stats.calls, stats.misses, stats.errors, stats.runs) == (3, 1, 2, 1)

    run(main())


def test_statistics_say_what_was_saved() -> None:
    stats = FunctionStats(hits=6, misses=2, runs=3, failures=1, run_seconds=4.0)
    assert stats.hit_ratio == 0.75
    assert stats.saved_seconds == 12.0
    assert FunctionStats().hit_ratio == FunctionStats().saved_seconds == 0.0
    assert FunctionStats(hits=1, runs=1, failures=1).saved_seconds == 0.0


def test_cancelled_callers_are_counted_as_what_they_were() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = TieredCache(ttl=60).cached(held)
        tasks = [asyncio.create_task(load("a")) for _ in range(2)]
        await settle()
        for task in tasks:
            task.cancel()
        await settle()
        assert held.cancelled == [1]
        stats = load.stats()
        assert (stats.calls, stats.misses, stats.errors, stats.failures) == (2, 1, 1, 1)

    run(main())


def test_a_call_that_is_cancelled_before_it_is_awaited_leaves_nothing() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = TieredCache(ttl=60).cached(held)
        task = asyncio.create_task(load("a"))
        task.cancel()
        await settle()
        assert task.cancelled()
        assert held.cancelled == held.calls == [] or held.cancelled == [1]
        assert load.stats().calls == load.stats().misses + load.stats().errors == 1

    run(main())


def test_cancelled_at_any_step_all_calls_are_counted() -> None:
    functions: list[TieredFunction[[int], int]] = []

    async def program() -> int:
        cache = TieredCache(ttl=60)

        @cache.cached
        async def load(number: int) -> int:
            await asyncio.sleep(1)
            return number

        functions.append(load)
        await asyncio.gather(load(1), load(1), load(2))
        return await load(1) + await load.refresh(1)

    for _, task in steps_of(program):
        stats = functions.pop().stats() if functions else FunctionStats()
        assert stats.calls == stats.hits + stats.misses + stats.errors
        if not task.cancelled():
            assert (stats.calls, stats.hits, stats.runs) == (4, 2, 3)
