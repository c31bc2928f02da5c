"""Forks while the cache is in use: the child has a cache that works, and waits for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading

from tests.clock import Clock
from tests.stress.forking import check_in_fork
from tests.stress.harness import in_child, rounds
from tests.stress.hostile import OPERATIONS, WHOLE, Key, quietly
from tests.threads import LIMIT, spawn

from penstock import Cache, RecursiveLoad, cached


class HeldLoader:
    """A loader that is inside of its first call, in another thread, until it is let go."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.go = threading.Event()
        self.calls = 0

    def __call__(self, key: object) -> str:
        self.calls += 1
        if self.calls == 1:
            self.inside.set()
            assert self.go.wait(LIMIT)
        return f"call {self.calls}"


@in_child
def test_cache_in_use_by_threads_works_in_a_fork() -> None:
    sys.setswitchinterval(1e-5)
    cache: Cache[object, object] = Cache(20)
    done = threading.Event()

    def work(offset: int) -> None:
        number = offset
        while not done.is_set():
            number += 1
            cache.get_or_load(number % 50, str)
            cache[Key(number % 5)] = number
            cache.pop((number * 7) % 50, None)

    def use() -> None:
        for operation in (OPERATIONS | WHOLE).values():
            quietly(operation, cache, "key")
            quietly(operation, cache, 3)
            quietly(operation, cache, Key(3))
        assert len(cache) == len(list(cache)) == cache.stats().weight <= 20

    workers = [spawn(work, offset) for offset in range(3)]
    try:
        for _ in range(rounds(30)):
            check_in_fork(use)
    finally:
        done.set()
    for worker in workers:
        worker.result()


@in_child
def test_load_led_by_another_thread_at_fork_time_is_not_waited_for() -> None:
    cache: Cache[str, str] = Cache(8)
    load = HeldLoader()
    leader = spawn(cache.get_or_load, "key", load)
    assert load.inside.wait(LIMIT)

    def use() -> None:
        assert cache.get_or_load("key", load) == "call 2"
        assert cache.get_or_load("key", load) == "call 2"
        assert cache["key"] == "call 2"
        cache.clear()
        assert cache.get_or_load("key", load) == "call 3"

    for _ in range(3):
        check_in_fork(use)
    load.go.set()
    assert leader.result() == "call 1"
    assert load.calls == 1


@in_child
def test_threads_of_a_fork_share_their_own_load() -> None:
    cache: Cache[str, str] = Cache(8)
    load = HeldLoader()
    leader = spawn(cache.get_or_load, "key", load)
    waiter = spawn(cache.get_or_load, "key", load)
    assert load.inside.wait(LIMIT)

    def use() -> None:
        mine = HeldLoader()
        threads = [spawn(cache.get_or_load, "key", mine) for _ in range(4)]
        assert mine.inside.wait(LIMIT)
        mine.go.set()
        assert {thread.result() for thread in threads} == {"call 1"}
        assert mine.calls == 1

    check_in_fork(use)
    load.go.set()
    assert leader.result() == waiter.result() == "call 1"


@in_child
def test_loader_may_fork() -> None:
    cache: Cache[str, str] = Cache(8)

    def load(key: str) -> str:
        check_in_fork(lambda: cache.get_or_load("another", str.upper))
        return key

    assert cache.get_or_load("key", load) == "key"
    assert cache.stats().loads == 1


@in_child
def test_fork_of_a_loader_that_asks_for_its_own_key_does_not_hang() -> None:
    cache: Cache[str, str] = Cache(8)
    calls = []

    def load(key: str) -> str:
        calls.append(key)
        if len(calls) == 1:
            check_in_fork(ask)
        return key

    def ask() -> None:
        # It is still this thread that loads, but the load is no longer one that others may join.
        with contextlib.suppress(RecursiveLoad):
            assert cache.get_or_load("key", load) == "key"

    assert cache.get_or_load("key", load) == "key"
    assert calls == ["key"]


@in_child
def test_fork_during_a_load_of_a_cached_function_starts_its_own() -> None:
    load = HeldLoader()
    function = cached(load)
    leader = spawn(function, "key")
    assert load.inside.wait(LIMIT)

    def use() -> None:
        assert function("key") == "call 2"
        function.invalidate("key")
        assert function.refresh("key") == "call 3"
        assert function("key") == "call 3"

    check_in_fork(use)
    load.go.set()
    assert leader.result() == "call 1"


@in_child
def test_fork_during_a_refresh_behind_a_stale_value_starts_its_own() -> None:
    clock, inside, refreshed = Clock(), threading.Event(), threading.Event()
    go = threading.Event()
    calls = []

    @cached(ttl=10, stale=10, timer=clock)
    def load(key: str) -> str:
        calls.append(key)
        if len(calls) == 2:
            inside.set()
            assert go.wait(LIMIT)
        if len(calls) == 3:
            refreshed.set()
        return f"call {len(calls)}"

    def use() -> None:
        assert load("key") == "call 1"
        assert refreshed.wait(LIMIT), "nobody refreshes"

    load("key")
    clock.advance(11)
    assert load("key") == "call 1"
    assert inside.wait(LIMIT)
    check_in_fork(use)
    go.set()


@in_child
def test_fork_while_a_loop_loads_starts_its_own() -> None:
    @cached
    async def load(key: str) -> str:
        if go is not None:
            await go.wait()
        return key

    go: asyncio.Event | None = None

    async def main() -> None:
        nonlocal go
        go = asyncio.Event()
        waiter = asyncio.ensure_future(load("key"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        # From another thread, because the fork of this one would be inside of the running loop.
        spawn(check_in_fork, use).result()
        go.set()
        assert await waiter == "key"

    def use() -> None:
        nonlocal go
        go = None
        assert asyncio.run(load("key")) == "key"
        assert asyncio.run(load("key")) == "key"
        assert load.cache_info().currsize == 1

    asyncio.run(main())
