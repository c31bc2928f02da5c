"""Memory does not grow, however often everything is done."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING, NoReturn

from penstock import Cache, _backend, cached
from tests.clock import Clock
from tests.stress.harness import in_child, resident_bytes, rounds
from tests.stress.hostile import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

#: Calls in one measured run; a leak of one small object for each is many times what is allowed.
CALLS = rounds(10_000)


def check(run: Callable[[int], object], calls: int = CALLS) -> None:
    """Assert that run(calls) leaves neither objects nor memory behind."""
    run(calls)  # whatever is kept for reuse is kept now
    gc.collect()
    blocks, memory = sys.getallocatedblocks(), resident_bytes()
    for _ in range(3):
        run(calls)
    gc.collect()
    more_blocks = sys.getallocatedblocks() - blocks
    more_memory = resident_bytes() - memory
    assert more_blocks < calls / 30 + 50, f"{more_blocks} objects are left after {3 * calls} calls"
    # An entry is some 50 bytes of Rust; pages of the allocators are not given back exactly.
    assert more_memory < 16 * 3 * calls + 500_000, f"{more_memory} bytes after {3 * calls} calls"


def fail(*_: object) -> NoReturn:
    raise ValueError


def keys(count: int) -> list[object]:
    """Keys of every kind, new at each call."""
    kinds = (str, float, lambda n: (n, "x"), lambda n: str(n).encode(), Key, lambda n: n + 10**9)
    return [kinds[number % len(kinds)](number) for number in range(count)]


@in_child
def test_leak_is_noticed() -> None:
    kept: list[object] = []
    hidden = bytearray()
    for leak in (
        lambda calls: kept.extend(object() for _ in range(calls)),
        lambda calls: hidden.extend(bytes(100 * calls)),
    ):
        try:
            check(leak)
        except AssertionError:
            continue
        raise AssertionError("it was not noticed")


@in_child
def test_set_and_evict() -> None:
    for options in ({}, {"ttl": 60}, {"tti": 60}, {"on_evict": lambda *_: None}):
        print(options)
        cache: Cache[int, int] = Cache(500, **options)

        def run(calls: int) -> None:
            for number in range(calls):
                cache[number % 1500] = number

        check(run)


@in_child
def test_reads_of_present_and_absent_keys() -> None:
    cache: Cache[int, int] = Cache(500, ttl=60)
    cache.update((number, number) for number in range(0, 1000, 2))

    def run(calls: int) -> None:
        for number in range(calls):
            cache.get(number % 1000)
            cache.peek(number % 1000)
            cache.touch(number % 1000)

    check(run)


@in_child
def test_replaced_deleted_and_cleared() -> None:
    cache: Cache[object, object] = Cache(None)

    def run(calls: int) -> None:
        for number in range(calls):
            cache[number % 10] = [number]
            cache[str(number % 10)] = str(number)
            cache.pop(number % 10)
            if number % 100 == 0:
                cache.clear()

    check(run)


@in_child
def test_expired() -> None:
    clock = Clock()
    cache: Cache[int, int] = Cache(None, ttl=100, timer=clock)

    def run(calls: int) -> None:
        for number in range(calls):
            clock.advance(1.0)
            cache.set(number, number)
            cache.set(-number, number, ttl=number % 300 + 1)
            if number % 1000 == 0:
                cache.expire()

    check(run)


@in_child
def test_deadlines_that_are_reassigned_all_the_time() -> None:
    clock = Clock()
    cache: Cache[int, int] = Cache(100, tti=1000, timer=clock)
    cache.update((number, number) for number in range(100))

    def run(calls: int) -> None:
        for number in range(calls):
            clock.advance(0.001)
            cache.get(number % 100)
            cache.touch(number % 100, ttl=1000)

    check(run)


@in_child
def test_iteration_and_views() -> None:
    cache: Cache[int, int] = Cache(20)
    cache.update((number, number) for number in range(20))

    def run(calls: int) -> None:
        for _ in range(calls // 20):
            list(cache)
            dict(cache.items())
            cache.get_many(range(30))
            repr(cache)
            cache.stats()
            cache == {}

    check(run)


@in_child
def test_loads_that_succeed_and_fail() -> None:
    cache: Cache[int, object] = Cache(10)

    def run(calls: int) -> None:
        for number in range(calls // 2):
            cache.get_or_load(number % 20, lambda key: [key])
            try:
                cache.get_or_load(-1, fail)
            except ValueError:
                pass
            flight = cache._begin(number)
            cache._invalidate(number)
            cache._abandon(flight)

    check(run)


@in_child
def test_loads_that_threads_wait_for() -> None:
    from concurrent.futures import ThreadPoolExecutor

    cache: Cache[int, object] = Cache(10)

    def run(calls: int) -> None:
        for start in range(0, calls // 10, 8):
            asked = [(start + number) // 4 for number in range(8)]
            list(pool.map(lambda key: cache.get_or_load(key, lambda key: [key]), asked))

    with ThreadPoolExecutor(8) as pool:
        check(run)


@in_child
def test_keys_of_every_kind() -> None:
    cache: Cache[object, object] = Cache(50)

    def run(calls: int) -> None:
        # Keys of one hash are compared one by one: few of them.
        for _ in range(calls // 60):
            for key in keys(60):
                cache[key] = key
                cache.get(key)

    check(run)


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
            try:
                failing(number)
            except ValueError:
                pass

    check(run)


@in_child
def test_functions_and_caches_that_come_and_go() -> None:
    def run(calls: int) -> None:
        for number in range(calls // 60):
            function = cached(maxsize=5, ttl=5, stale=5)(lambda number: number)
            function(number)
            coroutine_function = cached(asyncio.sleep)
            coroutine_function(0).close()
            cached(cache=Cache(5))(lambda: None)()
            Cache(5, ttl=5, tti=5, on_evict=print, weigher=lambda *_: 1, timer=lambda: 1.0, name="x")

    check(run)


def check_async(work: Callable[[int], Coroutine[object, object, object]], calls: int) -> None:
    """Assert that awaiting work(number) leaves nothing behind, in one loop and in many."""

    async def main() -> None:
        def run(calls: int) -> Coroutine[object, object, None]:
            return repeat(calls)

        await run(calls)
        gc.collect()
        blocks, memory = sys.getallocatedblocks(), resident_bytes()
        for _ in range(3):
            await run(calls)
        gc.collect()
        more_blocks = sys.getallocatedblocks() - blocks
        assert more_blocks < calls / 30 + 50, more_blocks
        assert resident_bytes() - memory < 16 * 3 * calls + 500_000

    async def repeat(calls: int) -> None:
        for number in range(calls):
            await work(number)

    asyncio.run(main())
    check(lambda calls: asyncio.run(repeat(calls)), calls)


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
        asyncio.ensure_future(load("key"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def run(calls: int) -> None:
        for _ in range(calls):
            loop = asyncio.new_event_loop()
            loop.set_exception_handler(lambda loop, context: None)
            loop.run_until_complete(leave())
            loop.close()
            del loop
            gc.collect()

    check(run, rounds(50))


@in_child
def test_ready_awaitables() -> None:
    def run(calls: int) -> None:
        pending = []
        for number in range(calls):
            ready = _backend.Ready([number])
            pending.append(ready)
            if number % 3 == 0:
                ready.close()
            elif number % 100 == 0:
                pending.clear()

    check(run)
