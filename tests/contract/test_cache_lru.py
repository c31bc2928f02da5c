"""The least recently used entry leaves first, strictly."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


def test_the_least_recently_set_entry_is_evicted(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    for key in "abcd":
        cache[key] = key
    assert list(cache) == ["b", "c", "d"]
    assert cache.stats().evictions == 1


def test_reads_refresh_recency(backend: ModuleType) -> None:
    reads: list[Callable[[Any], object]] = [
        lambda cache: cache["a"],
        lambda cache: cache.get("a"),
        lambda cache: cache.get_many(["a"]),
        lambda cache: cache.get_or_load("a", str),
        lambda cache: cache.setdefault("a", 1),
    ]
    for read in reads:
        cache = backend.Cache(3)
        cache.update(a=1, b=2, c=3)
        read(cache)
        assert list(cache) == ["b", "c", "a"]


def test_replacing_and_touching_refresh_recency(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache.update(a=1, b=2, c=3)
    cache["a"] = 4
    assert list(cache) == ["b", "c", "a"]
    assert cache.touch("b") is True
    assert list(cache) == ["c", "a", "b"]


def test_looking_does_not_refresh_recency(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache.update(a=1, b=2, c=3)
    cache.peek("a")
    assert "a" in cache
    cache.ttl_of("a")
    assert dict(cache.items())["a"] == 1
    cache.stats()
    repr(cache)
    assert list(cache) == ["a", "b", "c"]


def test_a_miss_changes_no_order(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache.update(a=1, b=2)
    cache.get("x")
    cache.pop("x", None)
    assert cache.touch("x") is False
    assert list(cache) == ["a", "b"]


def test_popitem_takes_the_least_recently_used(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache.update(a=1, b=2, c=3)
    cache.get("a")
    assert [cache.popitem() for _ in range(3)] == [("b", 2), ("c", 3), ("a", 1)]


def test_an_unbounded_cache_evicts_nothing(backend: ModuleType) -> None:
    cache = backend.Cache(None)
    for number in range(5000):
        cache[number] = number
    assert len(cache) == 5000
    assert cache.maxsize is None
    assert cache.stats().evictions == 0


def test_a_cache_of_one_holds_the_last(backend: ModuleType) -> None:
    cache = backend.Cache(1)
    for number in range(10):
        cache[number] = number
        assert list(cache.items()) == [(number, number)]


def test_resize_evicts_the_least_recently_used(backend: ModuleType) -> None:
    log: list[tuple[object, ...]] = []
    cache = backend.Cache(None, on_evict=lambda *victim: log.append(victim))
    cache.update(a=1, b=2, c=3, d=4)
    cache.get("a")
    cache.resize(2)
    assert cache.maxsize == 2
    assert list(cache) == ["d", "a"]
    assert log == [("b", 2, "size"), ("c", 3, "size")]
    assert cache.stats().evictions == 2
    cache.resize(None)
    cache.update(e=5, f=6)
    assert len(cache) == 4


def test_a_resize_that_is_refused_changes_nothing(backend: ModuleType) -> None:
    cache = backend.Cache(2)
    cache.update(a=1, b=2)
    with pytest.raises(ValueError, match=r"maxsize must be >= 1, got 0"):
        cache.resize(0)
    assert cache.maxsize == 2
    assert len(cache) == 2


def test_clear_removes_everything_and_keeps_the_statistics(backend: ModuleType) -> None:
    cache = backend.Cache(2)
    cache.update(a=1, b=2, c=3)
    cache.get("b")
    cache.clear()
    assert list(cache) == []
    assert cache.stats() == backend.CacheStats(hits=1, evictions=1, maxsize=2)
    cache["a"] = 1
    assert list(cache) == ["a"]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_that_of_an_ordered_dict(backend: ModuleType, seed: int) -> None:
    generator = random.Random(seed)
    cache = backend.Cache(20)
    model: OrderedDict[int, int] = OrderedDict()
    for number in range(3000):
        key = generator.randrange(40)
        if generator.random() < 0.5:
            assert cache.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
        elif generator.random() < 0.1:
            assert cache.pop(key, None) == model.pop(key, None)
        else:
            cache[key] = number
            model[key] = number
            model.move_to_end(key)
            if len(model) > 20:
                model.popitem(last=False)
    assert list(cache.items()) == list(model.items())
