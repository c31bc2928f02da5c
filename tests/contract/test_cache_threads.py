"""Eight threads on one cache."""

from __future__ import annotations

import random
from collections.abc import Callable
from threading import Barrier
from types import ModuleType

import pytest
from tests.clock import Clock
from tests.threads import LIMIT, spawn

pytestmark = pytest.mark.usefixtures("interleaving")

THREADS = 8
ROUNDS = 1000


def run(work: Callable[[int, random.Random], object]) -> None:
    """Let eight threads start together, each with random numbers of its own."""
    start = Barrier(THREADS, timeout=LIMIT)

    def body(number: int) -> None:
        start.wait()
        work(number, random.Random(number))

    for thread in [spawn(body, number) for number in range(THREADS)]:
        thread.result()


class Key:
    """Compared by Python code, with few hashes."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number % 3

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.number == other.number


KEYS: dict[str, Callable[[int], object]] = {"int": int, "str": str, "object": Key}


@pytest.mark.parametrize("kind", KEYS)
def test_the_bookkeeping_stays_right(backend: ModuleType, clock: Clock, kind: str) -> None:
    make = KEYS[kind]
    cache = backend.Cache(10, timer=clock)

    def work(number: int, generator: random.Random) -> None:
        for _ in range(ROUNDS):
            key = make(generator.randrange(25))
            choice = generator.randrange(8)
            if choice < 3:
                cache.set(key, number, ttl=generator.choice([None, 1, 5]))
            elif choice < 5:
                assert cache.get(key, 0) in range(THREADS)
            elif choice == 5:
                cache.pop(key, None)
            elif choice == 6:
                assert len(list(cache)) <= 10
            else:
                clock.advance(0.01)

    run(work)
    stats = cache.stats()
    assert stats.size == stats.weight == len(list(cache)) <= 10
    assert set(cache.values()) <= set(range(THREADS))


def test_every_entry_that_left_is_told_once(backend: ModuleType) -> None:
    told: list[int] = []
    cache = backend.Cache(10, on_evict=lambda key, value, cause: told.append(value))

    def work(number: int, generator: random.Random) -> None:
        for step in range(ROUNDS):
            cache[generator.randrange(25)] = number * ROUNDS + step

    run(work)
    cache.clear()
    assert sorted(told) == list(range(THREADS * ROUNDS))


def test_no_count_is_lost(backend: ModuleType) -> None:
    cache = backend.Cache(10)

    def work(number: int, generator: random.Random) -> None:
        for _ in range(ROUNDS):
            cache.get(generator.randrange(25))
            cache[generator.randrange(25)] = 1

    run(work)
    stats = cache.stats()
    assert stats.hits + stats.misses == THREADS * ROUNDS


@pytest.mark.parametrize("kind", KEYS)
def test_one_hot_key_starves_nobody(backend: ModuleType, kind: str) -> None:
    make = KEYS[kind]
    cache = backend.Cache(10)

    def work(number: int, generator: random.Random) -> None:
        key = make(7)
        for _ in range(ROUNDS):
            cache[key] = number
            cache.pop(key, None)
            cache.setdefault(key, number)

    run(work)
    assert len(cache) <= 1


@pytest.mark.parametrize("kind", KEYS)
def test_loads_of_a_key_never_overlap(backend: ModuleType, kind: str) -> None:
    make = KEYS[kind]
    cache = backend.Cache(3)
    loading: set[int] = set()
    overlaps: list[int] = []

    def work(number: int, generator: random.Random) -> None:
        for _ in range(ROUNDS):
            which = generator.randrange(6)

            def load(key: object, which: int = which) -> int:
                if which in loading:
                    overlaps.append(which)
                loading.add(which)
                sum(range(50))
                loading.discard(which)
                return which

            assert cache.get_or_load(make(which), load) == which

    run(work)
    assert overlaps == []
    stats = cache.stats()
    assert stats.hits + stats.misses == THREADS * ROUNDS
    assert stats.loads <= stats.misses


def test_a_value_that_was_set_is_never_overwritten_by_an_older_load(backend: ModuleType) -> None:
    cache = backend.Cache(10)
    version = [0]

    def work(number: int, generator: random.Random) -> None:
        for _ in range(ROUNDS):
            if number == 0:
                version[0] += 1
                cache["a"] = version[0]
                # Nobody else sets, so what is there must be what was set last, or later.
                assert cache.get("a") == version[0]
                cache.pop("a")
            else:
                before = version[0]
                assert cache.get_or_load("a", lambda key: version[0]) >= before - 1

    run(work)
