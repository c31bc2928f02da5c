"""Memory does not grow, however often everything is done."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NoReturn

from tests.clock import Clock
from tests.stress.harness import in_child
from tests.stress.hostile import Key
from tests.stress.leaks import check_no_growth

from penstock import Cache, _backend

if TYPE_CHECKING:
    pass


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
            check_no_growth(leak)
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

        check_no_growth(run)


@in_child
def test_reads_of_present_and_absent_keys() -> None:
    cache: Cache[int, int] = Cache(500, ttl=60)
    cache.update((number, number) for number in range(0, 1000, 2))

    def run(calls: int) -> None:
        for number in range(calls):
            cache.get(number % 1000)
            cache.peek(number % 1000)
            cache.touch(number % 1000)

    check_no_growth(run)


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

    check_no_growth(run)


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

    check_no_growth(run)


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

    check_no_growth(run)


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
            assert cache != {}

    check_no_growth(run)


@in_child
def test_loads_that_succeed_and_fail() -> None:
    cache: Cache[int, object] = Cache(10)

    def run(calls: int) -> None:
        for number in range(calls // 2):
            cache.get_or_load(number % 20, lambda key: [key])
            with contextlib.suppress(ValueError):
                cache.get_or_load(-1, fail)
            flight = cache._begin(number)
            cache._invalidate(number)
            cache._abandon(flight)

    check_no_growth(run)


@in_child
def test_loads_that_threads_wait_for() -> None:
    from concurrent.futures import ThreadPoolExecutor

    cache: Cache[int, object] = Cache(10)

    def run(calls: int) -> None:
        for start in range(0, calls // 10, 8):
            asked = [(start + number) // 4 for number in range(8)]
            list(pool.map(lambda key: cache.get_or_load(key, lambda key: [key]), asked))

    with ThreadPoolExecutor(8) as pool:
        check_no_growth(run)


@in_child
def test_keys_of_every_kind() -> None:
    cache: Cache[object, object] = Cache(50)

    def run(calls: int) -> None:
        # Keys of one hash are compared one by one: few of them.
        for _ in range(calls // 60):
            for key in keys(60):
                cache[key] = key
                cache.get(key)

    check_no_growth(run)


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

    check_no_growth(run)
