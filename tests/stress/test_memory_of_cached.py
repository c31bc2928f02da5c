"""Memory does not grow, however often cached functions are called and awaited."""

# What is defined in a round is used up in it.
from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, NoReturn

from tests.clock import Clock
from tests.stress.harness import in_child, rounds
from tests.stress.leaks import CALLS, Growth, check_no_growth

from penstock import Cache, cached

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def fail(*_: object) -> NoReturn:
    raise ValueError


def check_async(work: Callable[[int], Coroutine[object, object, object]], calls: int) -> None:
    """Assert that awaiting work(number) leaves nothing behind, in one loop and in many."""

    async def main() -> None:
        await repeat(calls)
        growth = Growth()
        for _ in range(3):
            await repeat(calls)
        growth.check(3 * calls)

    async def repeat(calls: int) -> None:
        for number in range(calls):
            await work(number)

    asyncio.run(main())
    check_no_growth(lambda calls: asyncio.run(repeat(calls)), calls)


@in_child
def test_cached_calls() -> None:
    class Service:
        @cached(maxsize=10)
        def double(self, number: int, *, offset: int = 0) -> int:
            return 2 * number + offset

    service = Service()
    function = cached(maxsize=10)(lambda *args, **kwargs: (args, kwargs))
    failing = cached(fail)

    def run(calls: int) -> None:
        for number in range(calls // 2):
            service.double(number % 15, offset=number)
            function(number % 15)
            function(number % 15, "b", option=number % 3)
            with contextlib.suppress(ValueError):
                failing(number)

    check_no_growth(run)


@in_child
def test_functions_and_caches_that_come_and_go() -> None:
    def run(calls: int) -> None:
        for number in range(calls // 60):
            function = cached(maxsize=5, ttl=5, stale=5)(lambda number: number)
            function(number)
            coroutine_function = cached(asyncio.sleep)
            coroutine_function(0).close()
            cached(cache=Cache(5))(lambda: None)()
            Cache(
                5, ttl=5, tti=5, on_evict=print, weigher=lambda *_: 1, timer=lambda: 1.0, name="x"
            )

    check_no_growth(run)


@in_child
def test_awaited_hits() -> None:
    @cached
    async def load(number: int) -> int:
        return number

    async def work(number: int) -> None:
        await load(number % 10)
        load(number % 10)

    check_async(work, CALLS)


@in_child
def test_awaited_loads_that_succeed_fail_and_are_cancelled() -> None:
    @cached(maxsize=10)
    async def load(number: int) -> int:
        await asyncio.sleep(0)
        return number if number % 3 else fail()

    async def work(number: int) -> None:
        await asyncio.gather(*[load(number) for _ in range(3)], return_exceptions=True)
        abandoned = asyncio.ensure_future(load(-number - 1))
        await asyncio.sleep(0)
        abandoned.cancel()
        await asyncio.wait([abandoned])

    check_async(work, rounds(1000))


@in_child
def test_refreshes_in_the_foreground_and_behind_stale_values() -> None:
    clock = Clock()

    @cached(maxsize=10, ttl=1, stale=1000, timer=clock)
    async def load(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def work(number: int) -> None:
        clock.advance(0.3)
        await load(number % 10)
        await load.refresh(number % 10)

    check_async(work, rounds(2000))


@in_child
def test_loops_closed_with_loads_in_flight() -> None:
    @cached
    async def load(key: str) -> str:
        return await asyncio.get_running_loop().create_future()

    async def leave() -> None:
        waiters.append(asyncio.ensure_future(load("key")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def run(calls: int) -> None:
        for _ in range(calls):
            loop = asyncio.new_event_loop()
            loop.set_exception_handler(lambda loop, context: None)
            loop.run_until_complete(leave())
            loop.close()
            del loop, waiters[:]
            gc.collect()

    waiters: list[object] = []

    check_no_growth(run, rounds(50))
