"""Event loops, tasks and threads in disorder: every awaited result is right, and nothing hangs."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import asyncio
import gc
import logging
import random
import sys
import threading
import warnings
import weakref
from contextlib import suppress

from tests.clock import Clock
from tests.stress.harness import collect, in_child, rounds
from tests.threads import LIMIT, spawn

from penstock import RecursiveLoad, cached


class Source:
    """What is loaded: the answer to a key changes with its version."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.running = 0

    async def __call__(self, key: int) -> tuple[str, int]:
        self.running += 1
        try:
            for _ in range(self.random.randrange(4)):
                await asyncio.sleep(0)
            if self.random.random() < 0.2:
                raise ValueError(key)
            return ("loaded", key)
        finally:
            self.running -= 1


async def ask(load: object, key: int) -> None:
    """Ask, and accept what a load may come to."""
    with suppress(ValueError):
        assert await load(key) == ("loaded", key)


def be_quiet() -> None:
    """A load that fails just as its last waiter leaves is logged; here that is on purpose."""
    logging.getLogger("penstock.caching").disabled = True


async def disorder(load: object, seed: int, steps: int) -> None:
    """Ask, cancel, invalidate and refresh at random."""
    source = random.Random(seed)
    tasks: list[asyncio.Task[None]] = []
    for _ in range(steps):
        key = source.randrange(5)
        action = source.randrange(10)
        if action < 5:
            tasks.append(asyncio.ensure_future(ask(load, key)))
        elif action < 7 and tasks:
            source.choice(tasks).cancel()
        elif action == 7:
            load.invalidate(key)
        elif action == 8:
            tasks.append(asyncio.ensure_future(ask(load.refresh, key)))
        else:
            await asyncio.sleep(0)
        if source.random() < 0.01:
            load.cache_clear()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError), result
    await asyncio.sleep(0)
    for _ in range(20):  # cancelled loads run to their end
        await asyncio.sleep(0)


@in_child
def test_random_calls_cancellations_and_invalidations() -> None:
    be_quiet()
    for seed in range(rounds(40)):
        print(seed)
        source = Source(seed)
        load = cached(maxsize=3)(source)

        async def main() -> None:
            await disorder(load, seed, 300)  # called at once
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())
        assert source.running == 0
        assert all(value == ("loaded", key) for key, value in load.cache.items())


@in_child
def test_random_calls_behind_stale_values() -> None:
    for seed in range(rounds(20)):
        print(seed)
        clock = Clock()

        @cached(maxsize=3, ttl=5, stale=5, timer=clock)
        async def load(key: int) -> tuple[str, int]:
            clock.advance(0.5)  # called at once
            await asyncio.sleep(0)
            return ("loaded", key)

        asyncio.run(disorder(load, seed, 300))
        assert all(value == ("loaded", key) for key, value in load.cache.items())


@in_child
def test_one_function_in_eight_loops_in_eight_threads() -> None:
    be_quiet()
    source = Source(1)
    load = cached(maxsize=3)(source)
    barrier = threading.Barrier(8)

    def run(seed: int) -> None:
        barrier.wait(LIMIT)
        for number in range(rounds(3)):
            asyncio.run(disorder(load, 100 * seed + number, 200))

    for thread in [spawn(run, seed) for seed in range(8)]:
        thread.result()
    assert source.running == 0
    assert all(value == ("loaded", key) for key, value in load.cache.items())


@in_child
def test_loops_that_come_and_go_while_another_one_refreshes_stale_values() -> None:
    sys.setswitchinterval(1e-6)
    keys = range(3000)
    begun, done = threading.Event(), threading.Event()

    # Every result is stale as soon as it is there, and every hit starts a refresh.
    @cached(maxsize=None, ttl=1e-9, stale=1000)
    async def load(key: int) -> tuple[str, int]:
        await asyncio.sleep(0)
        return ("loaded", key)

    async def refresh() -> None:
        await asyncio.gather(*[load(key) for key in keys])
        begun.set()
        while not done.is_set():
            for key in keys:
                assert await load(key) == ("loaded", key)
                if key % 500 == 0:
                    await asyncio.sleep(0)

    async def ask(key: int) -> None:
        assert await load(key) == ("loaded", key)

    refreshing = spawn(asyncio.run, refresh())
    assert begun.wait(LIMIT)
    try:
        for number in range(rounds(500)):
            asyncio.run(ask(number % 3000))
    finally:
        done.set()
        refreshing.result()


@in_child
def test_functions_that_load_through_each_other_never_hang() -> None:
    for seed in range(rounds(60)):
        print(seed)
        source = random.Random(seed)

        async def load(key: int) -> int:
            for _ in range(source.randrange(3)):  # called at once
                await asyncio.sleep(0)
            others = [source.choice(functions)(source.randrange(3)) for _ in range(2)]
            if source.random() < 0.4:
                for other in others:
                    other.close()
                return key
            return sum(await asyncio.gather(*others))

        functions = [cached(load) for _ in range(3)]

        async def main() -> None:
            calls = [functions[n % 3](n % 2) for n in range(9)]
            for result in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(result, int | RecursiveLoad), result

        asyncio.run(main())


@in_child
def test_timeouts_of_waiters_and_of_loaders() -> None:
    @cached
    async def slow(key: str) -> str:
        await asyncio.get_running_loop().create_future()
        return key

    @cached
    async def impatient(key: str) -> str:
        async with asyncio.timeout(0):
            await slow(key)
        return key

    async def main() -> None:
        for _ in range(rounds(20)):
            results = await asyncio.gather(
                *[asyncio.wait_for(slow("a"), 0) for _ in range(3)],
                *[impatient("a") for _ in range(3)],
                return_exceptions=True,
            )
            assert [type(result) for result in results] == [TimeoutError] * 6
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert len(slow.cache) == len(impatient.cache) == 0


@in_child
def test_loops_abandoned_at_every_step_of_a_load() -> None:
    # What Python says about coroutines that have not even begun is not the subject.
    warnings.simplefilter("ignore", RuntimeWarning)
    for steps in range(6):
        print(steps)
        go: list[int] = []
        waiters: list[object] = []

        @cached
        async def load(key: str) -> str:
            for _ in range(2):
                await asyncio.sleep(0)
            if not go:  # called at once
                await asyncio.get_running_loop().create_future()
            return key

        async def leave() -> None:
            waiters.append(asyncio.ensure_future(load("key")))
            for _ in range(steps):
                await asyncio.sleep(0)

        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        loop.run_until_complete(leave())
        loop.close()
        closed = weakref.ref(loop)
        del loop, waiters[:]
        collect()
        assert closed() is None
        go.append(1)
        assert asyncio.run(load("key")) == "key"


@in_child
def test_loop_closed_with_a_refresh_behind_a_stale_value() -> None:
    clock = Clock()
    go: list[int] = []

    @cached(ttl=5, stale=5, timer=clock)
    async def load(key: str) -> int:
        if clock.now and not go:
            await asyncio.get_running_loop().create_future()
        return len(go)

    async def stale() -> None:
        assert await load("key") == 0
        await asyncio.sleep(0)

    async def refreshed() -> None:
        assert await load("key") == 0
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await load("key") == 1

    asyncio.run(load("key"))
    clock.advance(6)
    loops = []
    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        loop.run_until_complete(stale())
        loop.close()
        loops.append(weakref.ref(loop))
        del loop
    go.append(1)
    asyncio.run(refreshed())
    collect()
    assert [loop() for loop in loops] == [None] * 3


@in_child
def test_coroutines_that_are_never_awaited_start_no_load() -> None:
    calls = []

    @cached
    async def load(key: str) -> str:
        calls.append(key)
        return key

    async def main() -> None:
        for _ in range(10):
            load("key").close()
        await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    assert calls == []
    assert asyncio.run(load("key")) == "key"
