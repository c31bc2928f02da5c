"""Eight threads at once, interrupted as often as the interpreter lets them."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

from tests.clock import Clock
from tests.stress.harness import in_child, rounds
from tests.stress.hostile import OPERATIONS, WHOLE, error_of, quietly
from tests.threads import LIMIT, spawn

from penstock import Cache, RecursiveLoad, cached

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 8


def together(work: Callable[[int], object]) -> list[object]:
    """Call work(0) to work(7) in eight threads that start at the same moment."""
    sys.setswitchinterval(1e-5)
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> object:
        barrier.wait(LIMIT)
        return work(number)

    return [thread.result() for thread in [spawn(run, number) for number in range(THREADS)]]


@in_child
def test_every_operation_at_once_keeps_the_cache_consistent() -> None:
    cache: Cache[object, object] = Cache(30, ttl=1000)
    names, operations = zip(*(OPERATIONS | WHOLE).items(), strict=True)

    def work(offset: int) -> None:
        for number in range(offset, offset + rounds(4000)):
            operation = operations[(number * 7 + offset) % len(operations)]
            quietly(operation, cache, (number * 11) % 50)

    assert "clear" in names
    together(work)
    assert len(cache) == len(list(cache)) == cache.stats().weight <= 30
    assert all(key in cache for key in cache)


@in_child
def test_no_read_sees_a_value_of_another_key() -> None:
    cache: Cache[int, tuple[str, int]] = Cache(20)

    def work(offset: int) -> None:
        for number in range(rounds(3000)):
            key = (number * (2 * offset + 1)) % 40
            cache[key] = ("value of", key)
            other = (key + number) % 40
            assert cache.get(other, ("value of", other)) == ("value of", other)
            assert cache.get_or_load(other, lambda asked: ("value of", asked))[1] == other

    together(work)
    assert all(value == ("value of", key) for key, value in cache.items())


@in_child
def test_statistics_lose_no_count() -> None:
    cache: Cache[int, int] = Cache(None)
    cache.update((number, number) for number in range(10))
    each = rounds(2000)

    def work(offset: int) -> None:
        for number in range(each):
            cache.get(number % 20)

    together(work)
    stats = cache.stats()
    assert stats.hits == stats.misses == THREADS * each // 2


@in_child
def test_bounded_weight_is_never_exceeded() -> None:
    cache: Cache[int, int] = Cache(100, weigher=lambda key, value: value)

    def work(offset: int) -> None:
        for number in range(rounds(1500)):
            cache[(number + offset) % 60] = number % 30
            assert cache.stats().weight <= 100

    together(work)
    assert cache.stats().weight == sum(cache.values()) <= 100


@in_child
def test_every_victim_is_reported_exactly_once() -> None:
    told: Counter[int] = Counter()
    lock = threading.Lock()

    def on_evict(key: int, value: int, cause: str) -> None:
        with lock:
            told[value] += 1

    cache: Cache[int, int] = Cache(10, on_evict=on_evict)
    each = rounds(1500)

    def work(offset: int) -> None:
        for number in range(each):
            cache[(number * 3 + offset) % 40] = offset * each + number
            if number % 7 == 0:
                cache.pop(number % 40, None)

    together(work)
    cache.clear()
    assert told == Counter(range(THREADS * each))


@in_child
def test_missing_key_is_loaded_exactly_once() -> None:
    for name in ("get_or_load", "cached"):
        print(name)
        calls: Counter[int] = Counter()

        def load(key: int) -> tuple[str, int]:
            calls[key] += 1
            return ("loaded", key)

        cache: Cache[int, tuple[str, int]] = Cache(None)
        function = cached(maxsize=None)(load)
        ask = function if name == "cached" else lambda key: cache.get_or_load(key, load)
        keys = range(rounds(1500))
        results = together(lambda offset: [ask(key) for key in keys])
        assert results == [[("loaded", key) for key in keys]] * THREADS
        assert calls == Counter(keys)


@in_child
def test_failure_reaches_whoever_waits_and_nobody_later() -> None:
    cache: Cache[int, int] = Cache(None)
    failures: Counter[int] = Counter()

    def load(key: int) -> int:
        if failures[key] < 2:
            failures[key] += 1
            raise ValueError(key)
        return key

    def ask(offset: int) -> int:
        seen = 0
        for key in range(rounds(500)):
            for _ in range(4):
                error = error_of(lambda: cache.get_or_load(key, load))
                if error is None:
                    break
                assert repr(error) == f"ValueError({key})"
                seen += 1
        return seen

    assert sum(together(ask)) >= 2 * rounds(500)
    assert len(cache) == rounds(500)


@in_child
def test_expiry_and_loads_at_once() -> None:
    clock = Clock()
    cache: Cache[int, float] = Cache(40, ttl=1, timer=clock)

    def work(offset: int) -> None:
        for number in range(rounds(1500)):
            clock.now += 0.01
            key = (number * 7 + offset) % 60
            cache.get_or_load(key, lambda _: clock.now)
            cache.expire()
            cache.touch(key)

    together(work)
    clock.advance(2)
    assert len(cache) == 0
    assert cache.stats().weight == 0


@in_child
def test_threads_that_wait_for_each_others_loads_get_an_error() -> None:
    for _ in range(rounds(20)):
        cache: Cache[int, int] = Cache(None)
        barrier = threading.Barrier(THREADS)

        def load(key: int) -> int:
            barrier.wait(LIMIT)
            return cache.get_or_load((key + 1) % THREADS, load)

        def ask(key: int) -> str:
            try:
                return str(cache.get_or_load(key, load))
            except RecursiveLoad:
                return "recursive"

        # One thread closes the ring; what it raises goes round to all who wait for it.
        assert together(ask) == ["recursive"] * THREADS
        assert len(cache) == 0


@in_child
def test_interrupted_leader_hands_the_load_on() -> None:
    class Interrupt(BaseException):
        pass

    cache: Cache[str, int] = Cache(8)
    calls = []

    def load(key: str) -> int:
        calls.append(key)
        if len(calls) < 4:
            raise Interrupt
        return len(calls)

    def ask(_: int) -> int:
        try:
            return cache.get_or_load("key", load)
        except Interrupt:
            return 0

    assert sorted(together(ask)) == [0, 0, 0, 4, 4, 4, 4, 4]


@in_child
def test_methods_of_one_instance_shared_by_threads() -> None:
    class Service:
        @cached(maxsize=100)
        def double(self, number: int, *, offset: int = 0) -> int:
            return 2 * number + offset

    service = Service()

    def work(offset: int) -> None:
        for number in range(rounds(3000)):
            assert service.double(number % 150, offset=offset) == 2 * (number % 150) + offset
            if number % 500 == 0:
                service.double.invalidate(number % 150, offset=offset)
                Service.double.cache_clear()

    together(work)
