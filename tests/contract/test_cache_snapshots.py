"""Iteration and views show the live entries of one moment."""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, ValuesView
from types import ModuleType

from tests.clock import Clock


def test_iteration_runs_from_the_least_to_the_most_recently_used(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache.update(a=1, b=2, c=3)
    cache.get("a")
    assert list(cache) == ["b", "c", "a"]
    assert list(cache.keys()) == ["b", "c", "a"]
    assert list(cache.values()) == [2, 3, 1]
    assert list(cache.items()) == [("b", 2), ("c", 3), ("a", 1)]


def test_a_change_during_iteration_does_no_harm(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache.update(a=1, b=2, c=3)
    seen = []
    for key in cache:
        seen.append(key)
        cache.clear()
        cache[key + key] = 1
    assert seen == ["a", "b", "c"]
    assert list(cache) == ["cc"]


def test_an_iterator_can_be_finished_after_the_cache_is_gone(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache.update(a=1, b=2)
    iterator = iter(cache)
    assert iter(iterator) is iterator
    assert next(iterator) == "a"
    del cache
    assert list(iterator) == ["b"]


def test_views_are_those_of_a_dict_of_their_own(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache.update(a=1, b=2)
    keys, values, items = cache.keys(), cache.values(), cache.items()
    cache["c"] = 3
    assert isinstance(keys, KeysView)
    assert isinstance(values, ValuesView)
    assert isinstance(items, ItemsView)
    assert type(keys) is type({}.keys())
    assert type(values) is type({}.values())
    assert type(items) is type({}.items())
    assert keys == {"a", "b"}
    assert keys & {"a", "x"} == {"a"}
    assert ("b", 2) in items
    assert list(reversed(items)) == [("b", 2), ("a", 1)]
    assert len(values) == 2


def test_iterating_uses_nothing(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(9, tti=5, timer=clock)
    cache.update(a=1, b=2)
    clock.now = 3.0
    for _ in range(3):
        list(cache)
        dict(cache.items())
        list(cache.values())
    assert list(cache) == ["a", "b"]
    assert cache.ttl_of("a") == 2.0
    assert cache.stats() == backend.CacheStats(size=2, weight=2, maxsize=9)


def test_expired_entries_are_not_shown(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(9, timer=clock)
    cache.set("a", 1, ttl=1)
    cache.set("b", 2, ttl=3)
    clock.now = 1.0
    assert list(cache) == ["b"]
    assert list(cache.items()) == [("b", 2)]
    assert len(cache) == 1


def test_an_entry_that_expires_during_iteration_is_still_shown(
    backend: ModuleType, clock: Clock
) -> None:
    cache = backend.Cache(9, ttl=1, timer=clock)
    cache.update(a=1, b=2)
    shown = []
    for key in cache:
        clock.now = 5.0
        shown.append(key)
    assert shown == ["a", "b"]
