"""Values whose `__del__` uses the cache while they leave it, whatever makes them leave."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import gc
import weakref
from itertools import product
from typing import TYPE_CHECKING

from tests.clock import Clock
from tests.stress.harness import collect, in_child, rounds
from tests.stress.hostile import OPERATIONS, WHOLE, Value, quietly
from tests.threads import spawn

from penstock import Cache, cached

if TYPE_CHECKING:
    from collections.abc import Callable

EVERYTHING = OPERATIONS | WHOLE

#: Ways for the value of "key" to leave a cache of two with a ttl of 10 seconds.
EXITS: dict[str, Callable[[Cache[object, object], Clock], object]] = {
    "evicted": lambda cache, clock: cache.update(a=1, b=2),
    "replaced": lambda cache, clock: cache.set("key", 1),
    "deleted": lambda cache, clock: cache.__delitem__("key"),
    "popped": lambda cache, clock: cache.pop("key"),
    "popped as an item": lambda cache, clock: cache.popitem(),
    "invalidated": lambda cache, clock: cache._invalidate("key"),
    "cleared": lambda cache, clock: cache.clear(),
    "resized out": lambda cache, clock: (cache.set("other", 1), cache.resize(1)),
    "expired by expire": lambda cache, clock: (clock.advance(11), cache.expire()),
    "expired by a read": lambda cache, clock: (clock.advance(11), cache.get("key")),
    "expired by a write": lambda cache, clock: (clock.advance(11), cache.set("other", 1)),
    "expired by len": lambda cache, clock: (clock.advance(11), len(cache)),
    "expired by iteration": lambda cache, clock: (clock.advance(11), list(cache)),
    "expired by a load": lambda cache, clock: (
        clock.advance(11),
        cache.get_or_load("key", lambda _: 1),
    ),
    "expired by touch": lambda cache, clock: (clock.advance(11), cache.touch("key")),
}


def check_consistent(cache: Cache[object, object]) -> None:
    size = len(cache)
    assert size == len(list(cache)) == cache.stats().weight <= 4
    assert all(key in cache for key in cache)


@in_child
def test_del_may_use_the_cache_however_its_value_leaves() -> None:
    for (exit_name, leave), (name, operation) in product(EXITS.items(), EVERYTHING.items()):
        print(exit_name, "while", name)
        clock = Clock()
        cache: Cache[object, object] = Cache(2, ttl=10, timer=clock)
        deaths = []

        def use() -> None:
            deaths.append(1)
            quietly(operation, cache, "key")
            quietly(operation, cache, "another")

        cache["key"] = Value(use)
        leave(cache, clock)
        assert deaths == [1]
        check_consistent(cache)


@in_child
def test_value_is_freed_at_once_however_it_leaves() -> None:
    gc.disable()
    for name, leave in EXITS.items():
        clock = Clock()
        cache: Cache[object, object] = Cache(2, ttl=10, timer=clock)
        cache["key"] = Value()
        died = weakref.ref(cache.peek("key"))
        leave(cache, clock)
        assert died() is None, name


@in_child
def test_key_is_freed_at_once_however_it_leaves() -> None:
    class Text(str):
        __slots__ = ("__weakref__",)

    gc.disable()
    for name, leave in EXITS.items():
        if name == "replaced":
            continue  # the key stays
        clock = Clock()
        cache: Cache[object, object] = Cache(2, ttl=10, timer=clock)
        key = Text("key")
        died = weakref.ref(key)
        cache[key] = 1
        del key
        assert died() is not None
        leave(cache, clock)
        assert died() is None, name


@in_child
def test_del_may_fill_the_cache_again_and_again() -> None:
    cache: Cache[object, object] = Cache(1)
    left = [rounds(2000)]

    def refill() -> None:
        # One more generation for each that dies, but not one inside of the other for ever.
        if left[0] and len(nested) < 10:
            left[0] -= 1
            nested.append(1)
            cache["key"] = Value(refill)
            nested.pop()

    nested: list[int] = []
    cache["key"] = Value(refill)
    while left[0]:
        cache["key"] = Value(refill)
    check_consistent(cache)


@in_child
def test_del_that_clears_the_cache_during_clear_meets_no_entry_twice() -> None:
    cache: Cache[object, object] = Cache(None)
    deaths: list[int] = []
    for number in range(50):
        cache[number] = Value(lambda number=number: (deaths.append(number), cache.clear()))
    cache.clear()
    assert sorted(deaths) == list(range(50))
    assert len(cache) == 0


@in_child
def test_value_resurrected_by_its_del_can_be_stored_again() -> None:
    class Phoenix:
        def __del__(self) -> None:
            cache["ashes"] = self

    cache: Cache[object, object] = Cache(8)
    cache["bird"] = Phoenix()
    del cache["bird"]
    assert isinstance(cache["ashes"], Phoenix)
    del cache["ashes"]  # the second time it stays dead: CPython runs a finalizer once
    assert len(cache) == 0


@in_child
def test_weakref_callback_may_use_the_cache() -> None:
    for exit_name, leave in EXITS.items():
        print(exit_name)
        clock = Clock()
        cache: Cache[object, object] = Cache(2, ttl=10, timer=clock)
        seen = []
        cache["key"] = Value()

        def use(_: object) -> None:
            seen.append(cache.get("key"))
            cache["late"] = 1

        watch = weakref.ref(cache.peek("key"), use)
        leave(cache, clock)
        assert len(seen) == 1
        assert watch() is None
        check_consistent(cache)


@in_child
def test_garbage_collector_may_run_finalizers_that_use_the_cache() -> None:
    gc.set_threshold(5, 1, 1)
    cache: Cache[object, object] = Cache(4, ttl=1000)

    class Knot:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            deaths.append(1)
            for name, operation in EVERYTHING.items():
                if name != "resize":
                    quietly(operation, cache, "key")

    deaths: list[int] = []
    for number in range(rounds(200)):
        Knot()
        cache[number] = [number]
        cache[(number, "tuple")] = {"number": number}
        cache.items()
        list(cache)
        cache.stats()
        cache.get_many(range(number, number + 5))
    assert len(deaths) > 10
    gc.collect()
    gc.disable()  # for the check takes more than one look
    check_consistent(cache)


@in_child
def test_results_of_cached_functions_may_use_the_function_when_they_die() -> None:
    @cached(maxsize=2)
    def make(name: str) -> object:
        return Value(lambda: deaths.append(plain(name)))

    @cached(maxsize=2)
    def plain(name: str) -> str:
        make("survivor")
        return name

    deaths: list[str] = []
    names = [str(number) for number in range(20)]
    for name in names:
        make(name)
    make.cache_clear()
    assert sorted(name for name in deaths if name != "survivor") == sorted(names)
    assert len(make.cache) <= 2


@in_child
def test_threads_whose_values_use_the_cache_as_they_die() -> None:
    cache: Cache[object, object] = Cache(4)

    def work(offset: int) -> None:
        for number in range(rounds(500)):
            cache[(number + offset) % 11] = Value(lambda: cache.get(offset))
            cache.pop(number % 11, None)

    for thread in [spawn(work, offset) for offset in range(8)]:
        thread.result()
    check_consistent(cache)
    cache.clear()


@in_child
def test_values_of_a_dropped_cache_die_with_it() -> None:
    cache: Cache[object, object] = Cache(8)
    deaths: list[int] = []
    for number in range(5):
        cache[number] = Value(lambda number=number: deaths.append(number))
    del cache
    assert sorted(deaths) == list(range(5))
    collect()
    assert len(deaths) == 5
