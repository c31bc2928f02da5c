"""Values die at once when they leave, cycles are collected, and finalizers may use the cache."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable
from types import ModuleType

import pytest
from tests.clock import Clock


class Value:
    """Something that can be weakly referenced, and that may do something when it dies."""

    def __init__(self, last_act: Callable[[], object] | None = None) -> None:
        self.last_act = last_act

    def __del__(self) -> None:
        if self.last_act is not None:
            self.last_act()


REMOVALS: dict[str, Callable[..., object]] = {
    "pop": lambda cache: cache.pop("a"),
    "delete": lambda cache: cache.__delitem__("a"),
    "popitem": lambda cache: cache.popitem(),
    "replace": lambda cache: cache.set("a", 2),
    "update": lambda cache: cache.update(a=2),
    "clear": lambda cache: cache.clear(),
    "evict": lambda cache: cache.update(b=1, c=2),
    "resize": lambda cache: (cache.update(b=1), cache.resize(1)),
    "invalidate": lambda cache: cache._invalidate("a"),
    "commit": lambda cache: cache._commit(cache._begin("a"), 2, 0.0),
}


@pytest.mark.parametrize("name", REMOVALS)
@pytest.mark.parametrize("ttl", [None, 5])
def test_a_value_that_left_dies_at_once(
    backend: ModuleType, clock: Clock, name: str, ttl: float | None
) -> None:
    gc.collect()
    gc.disable()
    try:
        cache = backend.Cache(2, ttl=ttl, timer=clock)
        value = Value()
        cache["a"] = value
        reference = weakref.ref(value)
        del value
        assert reference() is not None
        REMOVALS[name](cache)
        assert reference() is None
    finally:
        gc.enable()


def test_an_expired_value_dies_when_it_is_reclaimed(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(2, ttl=5, timer=clock)
    cache["a"] = value = Value()
    reference = weakref.ref(value)
    del value
    clock.now = 5.0
    assert reference() is not None
    cache.expire()
    assert reference() is None


def test_values_die_with_their_cache(backend: ModuleType, clock: Clock) -> None:
    gc.collect()
    gc.disable()
    try:
        cache = backend.Cache(9, ttl=5, tti=4, timer=clock)
        cache["a"] = value = Value()
        cache["b"] = 1
        cache.get("a")
        flight = cache._begin("a")
        reference = weakref.ref(value)
        del value
        del cache
        assert reference() is None
        assert flight.valid
    finally:
        gc.enable()


def test_a_loaded_value_is_not_kept_by_its_load(backend: ModuleType) -> None:
    gc.collect()
    gc.disable()
    try:
        cache = backend.Cache(9)
        reference = weakref.ref(cache.get_or_load("a", lambda key: Value()))
        assert reference() is not None
        del cache["a"]
        assert reference() is None
    finally:
        gc.enable()


class Failure(Exception):
    """What a callback raises."""


def catch(call: Callable[[], object]) -> weakref.ref[Failure]:
    """Make a call that fails, and keep nothing of it."""
    try:
        call()
    except Failure as error:
        return weakref.ref(error)
    raise AssertionError("it did not fail")


def test_an_exception_of_a_loader_is_not_kept(backend: ModuleType) -> None:
    def load(key: object) -> None:
        raise Failure

    gc.collect()
    gc.disable()
    try:
        cache = backend.Cache(9)
        reference = catch(lambda: cache.get_or_load("a", load))
        assert reference() is None
    finally:
        gc.enable()


def test_an_exception_of_on_evict_is_not_kept(backend: ModuleType) -> None:
    def on_evict(key: object, value: object, cause: str) -> None:
        raise Failure

    gc.collect()
    gc.disable()
    try:
        cache = backend.Cache(9, on_evict=on_evict)
        cache["a"] = 1
        reference = catch(lambda: cache.pop("a"))
        assert reference() is None
    finally:
        gc.enable()


def test_a_cycle_through_a_cache_is_collected(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    value = Value()
    value.cache = cache  # type: ignore[attr-defined]  # the cycle
    cache["a"] = value
    references = [weakref.ref(value), weakref.ref(cache)]
    del cache, value
    gc.collect()
    assert [reference() for reference in references] == [None, None]


@pytest.mark.parametrize("option", ["weigher", "on_evict", "timer"])
def test_a_cycle_through_a_callback_is_collected(backend: ModuleType, option: str) -> None:
    class Callback:
        def __call__(self, *args: object) -> int:
            return 1

    callback = Callback()
    cache = backend.Cache(9, ttl=5, **{option: callback})
    callback.cache = cache  # type: ignore[attr-defined]  # the cycle
    cache["a"] = 1
    references = [weakref.ref(callback), weakref.ref(cache)]
    del cache, callback
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_a_cycle_through_keys_and_flights_is_collected(backend: ModuleType) -> None:
    class Key:
        pass

    cache = backend.Cache(9)
    key = Key()
    key.cache = cache  # type: ignore[attr-defined]  # the cycle
    key.flight = cache._begin(key)  # type: ignore[attr-defined]  # another one
    references = [weakref.ref(key), weakref.ref(cache)]
    del cache, key
    gc.collect()
    assert [reference() for reference in references] == [None, None]


@pytest.mark.parametrize("name", REMOVALS)
def test_the_finalizer_of_a_value_may_use_the_cache(backend: ModuleType, name: str) -> None:
    acts: list[object] = []

    def last_act() -> None:
        acts.append(cache.get("b"))
        cache["c"] = 3
        cache.pop("a", None)
        acts.append(len(cache))
        cache.clear()

    cache = backend.Cache(2)
    cache["a"] = Value(last_act)
    REMOVALS[name](cache)
    assert len(acts) == 2
    assert len(cache) == 0


def test_a_chain_of_finalizers_is_no_problem(backend: ModuleType) -> None:
    cache = backend.Cache(1)
    left = [200]

    def last_act() -> None:
        if left[0]:
            left[0] -= 1
            cache[left[0]] = Value(last_act)

    cache["a"] = Value(last_act)
    while left[0]:
        cache["b"] = 1
    cache.clear()
    assert len(cache) <= 1


class Garbage:
    """Part of a cycle, so that only the collector, anywhere, finalizes it."""

    def __init__(self, last_act: Callable[[], object]) -> None:
        self.itself = self
        self.last_act = last_act

    def __del__(self) -> None:
        self.last_act()


@pytest.mark.usefixtures("eager_collector")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, {"ttl": 3}, {"tti": 3}, {"weigher": lambda k, v: v % 3}])
def test_the_collector_may_use_the_cache_in_the_middle_of_an_operation(
    backend: ModuleType, clock: Clock, seed: int, options: dict[str, object]
) -> None:
    generator = random.Random(seed)
    cache = backend.Cache(8, timer=clock, **options)

    def operate() -> object:
        key, value = generator.randrange(16), generator.randrange(100)
        choices: list[Callable[[], object]] = [
            lambda: cache.set(key, value),
            lambda: cache.set(key, value, ttl=1),
            lambda: cache.get(key),
            lambda: cache.pop(key, None),
            lambda: cache.get_or_load(key, lambda key: value),
            lambda: cache.touch(key, ttl=2),
            cache.items,
            cache.expire,
            lambda: cache.get_many(range(key)),
            lambda: cache.clear() if value < 10 else None,
            lambda: cache._abandon(cache._begin(key)),
        ]
        return generator.choice(choices)()

    for _ in range(300):
        clock.advance(generator.choice([0, 0, 0.5]))
        Garbage(operate)
        operate()
        items = list(cache.items())
        stats = cache.stats()
        assert len(items) == len(dict(items)) == stats.size == len(cache)
        assert stats.weight <= 8
        if "weigher" not in options:
            assert stats.weight == stats.size
    gc.collect()
    cache.clear()
    gc.collect()
    cache.clear()
    assert cache.stats().weight == cache.stats().size == 0
