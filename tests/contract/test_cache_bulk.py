"""Many keys in one call."""

from __future__ import annotations

from collections import OrderedDict, UserDict
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock


def test_get_many_returns_the_live_ones_in_the_order_asked(
    backend: ModuleType, clock: Clock
) -> None:
    cache = backend.Cache(9, timer=clock)
    cache.update(a=1, b=None, c=3)
    cache.set("due", 4, ttl=1)
    clock.now = 1.0
    found = cache.get_many(key for key in ["c", "x", "due", "a", "b"])
    assert list(found.items()) == [("c", 3), ("a", 1), ("b", None)]
    assert type(found) is dict
    assert cache.get_many([]) == {}


def test_get_many_counts_and_uses_each_key(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache.update(a=1, b=2, c=3)
    assert cache.get_many(["b", "x", "a", "b"]) == {"b": 2, "a": 1}
    stats = cache.stats()
    assert (stats.hits, stats.misses) == (3, 1)
    assert list(cache) == ["c", "a", "b"]


def test_get_many_refuses_what_is_not_iterable(backend: ModuleType) -> None:
    with pytest.raises(TypeError):
        backend.Cache(9).get_many(5)


def test_set_many_takes_mappings_and_pairs(backend: ModuleType) -> None:
    sources = [
        {"a": 1, "b": 2},
        OrderedDict(a=1, b=2),
        UserDict(a=1, b=2),
        [("a", 1), ("b", 2)],
        iter([["a", 1], ["b", 2]]),
        (pair for pair in (("a", 1), ("b", 2))),
    ]
    for source in sources:
        cache = backend.Cache(9)
        assert cache.set_many(source) is None
        assert list(cache.items()) == [("a", 1), ("b", 2)]


def test_set_many_gives_all_the_same_ttl(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(9, ttl=10, timer=clock)
    cache.set_many({"a": 1, "b": 2}, ttl=3)
    cache.set_many({"c": 1}, ttl=None)
    cache.set_many({"d": 1})
    assert [cache.ttl_of(key) for key in "abcd"] == [3.0, 3.0, None, 10.0]


def test_set_many_checks_its_ttl(backend: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^ttl must be > 0, got 0$"):
        backend.Cache(9).set_many({"a": 1}, ttl=0)


def test_a_pair_that_is_refused_leaves_the_earlier_ones_stored(backend: ModuleType) -> None:
    bad_pairs: list[tuple[object, type[Exception]]] = [
        (5, TypeError),
        (("b",), ValueError),
        (("b", 2, 3), ValueError),
        (([], 2), TypeError),
    ]
    for pair, kind in bad_pairs:
        for method in ("set_many", "update"):
            cache = backend.Cache(9)
            with pytest.raises(kind):
                getattr(cache, method)([("a", 1), pair, ("c", 3)])
            assert list(cache.items()) == [("a", 1)]


def test_an_exception_of_the_source_leaves_the_earlier_pairs_stored(backend: ModuleType) -> None:
    def pairs() -> Iterator[tuple[str, int]]:
        yield "a", 1
        raise ZeroDivisionError

    cache = backend.Cache(9)
    with pytest.raises(ZeroDivisionError):
        cache.set_many(pairs())
    assert list(cache.items()) == [("a", 1)]


class HasKeys:
    """What dict.update takes for a mapping."""

    def keys(self) -> list[str]:
        return ["a", "b"]

    def __getitem__(self, key: str) -> int:
        return ord(key)


def test_update_takes_what_dict_takes(backend: ModuleType) -> None:
    sources: list[object] = [
        {"a": 97, "b": 98},
        UserDict(a=97, b=98),
        [("a", 97), ["b", 98]],
        HasKeys(),
        iter({"a": 97, "b": 98}.items()),
    ]
    for source in sources:
        cache = backend.Cache(9)
        cache.update(source, c=99)
        assert list(cache.items()) == [("a", 97), ("b", 98), ("c", 99)]


def test_update_takes_any_name(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache.update(self=1, other=2, ttl=3)
    cache.update()
    cache.update({})
    assert list(cache.items()) == [("self", 1), ("other", 2), ("ttl", 3)]


def test_update_refuses_what_dict_refuses(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    dict_of_anything: Any = {}
    for source in (None, 5, [5], ["abc"]):
        with pytest.raises((TypeError, ValueError)):
            dict_of_anything.update(source)
        with pytest.raises((TypeError, ValueError)):
            cache.update(source)
    assert len(cache) == 0


def test_a_cache_can_be_updated_from_a_cache(backend: ModuleType) -> None:
    source = backend.Cache(9)
    source.update(a=1, b=2)
    cache = backend.Cache(9)
    cache.update(source)
    cache.set_many(source)
    assert cache == source
    assert source.stats().hits == 0
    source.update(source)
    assert list(source.items()) == [("a", 1), ("b", 2)]


def test_each_pair_is_a_set_of_its_own(backend: ModuleType) -> None:
    log: list[object] = []

    def on_evict(*victim: object) -> None:
        log.append((*victim, list(cache)))

    cache = backend.Cache(1, on_evict=on_evict)
    cache.set_many({"a": 1, "b": 2, "c": 3})
    assert log == [("a", 1, "size", ["b"]), ("b", 2, "size", ["c"])]
