"""Cycles through caches and cached functions are collected, and nothing but garbage is."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

from tests.stress.harness import in_child
from tests.stress.hostile import Key
from tests.stress.leaks import Node, check_dies

from penstock import Cache, _backend, cached

if TYPE_CHECKING:
    pass


@in_child
def test_cycle_through_a_value() -> None:
    def make() -> object:
        cache: Cache[object, object] = Cache(8)
        cache["key"] = Node(cache=cache)
        return cache

    check_dies(make)


@in_child
def test_cycle_through_a_key() -> None:
    def make() -> object:
        cache: Cache[object, object] = Cache(8)
        cache[Key(cache)] = 1
        return cache

    check_dies(make)


@in_child
def test_cycle_through_each_callback() -> None:
    for option in ("weigher", "on_evict", "timer"):
        print(option)

        def make() -> object:
            node = Node()
            callbacks = {
                "weigher": lambda key, value: 1 if node else 0,
                "on_evict": lambda key, value, cause: node,
                "timer": lambda: 1.0 if node else 0.0,
            }
            node.cache = Cache(2, ttl=9, **{option: callbacks[option]})
            node.cache.update(a=1, b=2, c=3)
            return node

        check_dies(make)


@in_child
def test_cycle_of_two_caches() -> None:
    def make() -> object:
        one: Cache[object, object] = Cache(8)
        one["other"] = Cache(8)
        one["other"]["one"] = one
        return one

    check_dies(make)


@in_child
def test_cycle_through_a_flight() -> None:
    def make() -> object:
        cache: Cache[object, object] = Cache(8)
        key = Key(cache)
        key.name = Node(cache=cache, flight=cache._begin(key))
        return cache

    check_dies(make)


@in_child
def test_cycle_through_an_expiring_and_an_idle_entry() -> None:
    for options in ({"ttl": 60}, {"tti": 60}, {"ttl": 60, "tti": 30, "jitter": 0.5}):

        def make() -> object:
            cache: Cache[object, object] = Cache(8, **options)
            cache["key"] = cache
            cache.get("key")
            cache.touch("key")
            return cache

        check_dies(make)


@in_child
def test_cycle_through_a_ready_awaitable() -> None:
    def make() -> object:
        node = Node()
        node.awaitable = _backend.Ready(node)
        return node

    check_dies(make)


@in_child
def test_dropped_cache_is_freed_without_the_collector() -> None:
    gc.disable()
    cache: Cache[object, object] = Cache(8, ttl=60, tti=60, on_evict=lambda *_: None)
    cache.update(a=1, b=2)
    cache.get_or_load("c", str.upper)
    died = weakref.ref(cache)
    del cache
    assert died() is None


@in_child
def test_garbage_collection_in_the_midst_of_everything_takes_only_garbage() -> None:
    gc.set_threshold(1, 1, 1)
    cache: Cache[object, object] = Cache(20, ttl=60, on_evict=lambda *_: [[]])

    @cached(maxsize=20)
    def pair(number: int, *, scale: int) -> list[int]:
        return [number, number * scale]

    for number in range(300):
        cache[(number % 30, "tuple")] = [number]
        assert cache[(number % 30, "tuple")] == [number]
        assert pair(number % 30, scale=2) == [number % 30, number % 30 * 2]
        assert len(cache.items()) == min(number + 1, 20)


@in_child
def test_garbage_collected_while_an_object_is_being_made() -> None:
    cache: Cache[object, object] = Cache(8)

    class Service:
        @cached
        def method(self) -> None: ...

    makers = {
        "Cache": lambda: Cache(8, ttl=60, on_evict=print, name="name"),
        "Memo": lambda: _backend.Memo(str, cache),
        "cached": lambda: cached(ttl=5, stale=5)(str),
        "cached coroutine function": lambda: cached(asyncio.sleep),
        "BoundMemo": lambda: Service().method,
        "Flight": lambda: cache._begin(object()),
        "Ready": lambda: _backend.Ready([]),
        "CacheStats": cache.stats,
    }
    for name, make in makers.items():
        print(name)
        # What is alive makes a collection due at every possible point in the making of the next.
        for threshold in range(1, 40):
            gc.set_threshold(threshold, 1, 1)
            things = [make() for _ in range(40)]
            gc.set_threshold(0)
            assert len(set(map(id, things))) == 40
