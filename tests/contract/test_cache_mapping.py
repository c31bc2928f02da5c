"""A cache is a mutable mapping."""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from types import MappingProxyType, ModuleType

import pytest


def test_a_stored_value_is_returned(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache["a"] = 1
    cache.set("b", None)
    assert cache["a"] == 1
    assert cache.get("a") == 1
    assert cache["b"] is None


def test_an_absent_key_raises_key_error_with_the_key(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    for read in (cache.__getitem__, cache.__delitem__, cache.pop, cache.ttl_of):
        with pytest.raises(KeyError) as caught:
            read(("a", 1))
        assert caught.value.args == (("a", 1),)


def test_get_and_peek_return_the_default_for_an_absent_key(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    assert cache.get("a") is None
    assert cache.get("a", 5) == 5
    assert cache.get("a", default=6) == 6
    assert cache.peek("a") is None
    assert cache.peek("a", 5) == 5


def test_none_is_a_value_like_any_other(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache["a"] = None
    assert "a" in cache
    assert cache.get("a", 5) is None
    assert cache.peek("a", 5) is None
    assert cache.pop("a", 5) is None
    assert cache.get_or_load("b", lambda key: None) is None
    assert cache.get_or_load("b", lambda key: 1) is None


def test_equal_keys_of_different_types_are_one_key(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache[1] = "one"
    cache[1.0] = "float"
    cache[True] = "true"
    assert len(cache) == 1
    assert cache[1] == cache[1.0] == cache[True] == "true"


def test_the_stored_key_object_stays_when_a_value_is_replaced(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache[1] = "one"
    cache[True] = "true"
    assert [type(key) for key in cache] == [int]


def test_a_nan_is_found_by_identity(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    nan = float("nan")
    cache[nan] = 1
    cache[(nan, 2)] = 3
    assert cache[nan] == 1
    assert cache[(nan, 2)] == 3
    assert float("nan") not in cache


def test_an_unhashable_key_raises_type_error(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    operations: list[Callable[[], object]] = [
        lambda: cache[[]],
        lambda: cache.get([]),
        lambda: cache.set([], 1),
        lambda: cache.pop([], None),
        lambda: [] in cache,
        lambda: cache.peek([]),
        lambda: cache.touch([]),
        lambda: cache.ttl_of([]),
        lambda: cache.setdefault([], 1),
        lambda: cache.get_or_load([], str),
        lambda: cache._begin([]),
    ]
    for operation in operations:
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            operation()
    assert cache.stats() == backend.CacheStats(maxsize=3)


def test_a_key_is_hashed_once_per_operation(backend: ModuleType) -> None:
    class Key:
        hashed = 0

        def __hash__(self) -> int:
            Key.hashed += 1
            return 7

    cache = backend.Cache(3)
    key = Key()
    operations: list[Callable[[], object]] = [
        lambda: cache.get_or_load(key, lambda key: 1),
        lambda: cache.set(key, 2),
        lambda: cache.get(key),
        lambda: cache.peek(key),
        lambda: key in cache,
        lambda: cache.touch(key),
        lambda: cache.ttl_of(key),
        lambda: cache.pop(key),
        lambda: cache.setdefault(key, 1),
    ]
    for number, operation in enumerate(operations, 1):
        operation()
        assert Key.hashed == number


def test_pop_removes_and_returns(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache["a"] = 1
    assert cache.pop("a") == 1
    assert "a" not in cache
    assert cache.pop("a", 2) == 2


def test_delete_removes(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache["a"] = 1
    del cache["a"]
    assert len(cache) == 0


def test_popitem_of_an_empty_cache_raises_key_error(backend: ModuleType) -> None:
    with pytest.raises(KeyError) as caught:
        backend.Cache(3).popitem()
    assert caught.value.args == ("popitem(): cache is empty",)


def test_setdefault_stores_only_what_is_absent(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    assert cache.setdefault("a", 1) == 1
    assert cache.setdefault("a", 2) == 1
    assert cache.setdefault("b") is None
    assert dict(cache.items()) == {"a": 1, "b": None}


def test_a_cache_is_a_mutable_mapping(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    assert isinstance(cache, MutableMapping)
    assert issubclass(backend.Cache, Mapping)
    cache["a"] = 1
    assert dict(cache) == {"a": 1}
    assert bool(cache)
    cache.clear()
    assert not cache


def test_a_cache_equals_a_mapping_with_the_same_content(backend: ModuleType) -> None:
    cache = backend.Cache(3)
    cache.update(a=1, b=2)
    other = backend.Cache(9)
    other.update(b=2, a=1)
    for same in (
        other,
        {"a": 1, "b": 2},
        OrderedDict(b=2, a=1),
        MappingProxyType({"a": 1, "b": 2}),
    ):
        assert cache == same
        assert same == cache
        assert not cache != same
    other["a"] = 3
    for different in (other, {"a": 1}, {}, [("a", 1), ("b", 2)], None):
        assert cache != different
        assert not cache == different


def test_comparing_uses_neither_cache(backend: ModuleType) -> None:
    one, other = backend.Cache(3), backend.Cache(3)
    for cache in (one, other):
        cache.update(a=1, b=2)
    assert one == other
    assert one == {"a": 1, "b": 2}
    for cache in (one, other):
        assert list(cache) == ["a", "b"]
        assert cache.stats() == backend.CacheStats(size=2, weight=2, maxsize=3)


def test_a_cache_has_no_hash(backend: ModuleType) -> None:
    assert backend.Cache.__hash__ is None
    with pytest.raises(TypeError, match=r"unhashable type: '(penstock\.)?Cache'"):
        hash(backend.Cache(1))


def test_repr_names_size_and_limits(backend: ModuleType) -> None:
    cache = backend.Cache(10)
    cache.update(a=1, b=2, c=3)
    assert repr(cache) == "Cache(maxsize=10, size=3, policy='lru')"
    assert repr(backend.Cache(None)) == "Cache(maxsize=None, size=0, policy='lru')"
    assert repr(backend.Cache(1, name="it's")) == (
        "Cache(maxsize=1, size=0, policy='lru', name=\"it's\")"
    )


def test_options_can_be_read_and_not_written(backend: ModuleType) -> None:
    cache = backend.Cache(10, ttl=60, tti=2, name="users")
    options = {"maxsize": 10, "ttl": 60.0, "tti": 2.0, "policy": "lru", "name": "users"}
    for name, value in options.items():
        assert getattr(cache, name) == value
        with pytest.raises(AttributeError):
            setattr(cache, name, value)
    assert isinstance(cache.ttl, float)
    assert isinstance(cache.tti, float)
    plain = backend.Cache(None)
    assert (plain.maxsize, plain.ttl, plain.tti, plain.name) == (None, None, None, None)


def test_the_class_can_be_subscripted_but_not_subclassed(backend: ModuleType) -> None:
    assert backend.Cache[str, int] is not None
    with pytest.raises(TypeError, match=r"type 'penstock\.Cache' is not an acceptable base type"):
        type("Sub", (backend.Cache,), {})


def test_the_class_says_where_it_is_imported_from(backend: ModuleType) -> None:
    assert backend.Cache.__module__ == "penstock"
    assert backend.Cache.__qualname__ == "Cache"


def test_a_cache_can_be_weakly_referenced(backend: ModuleType) -> None:
    cache = backend.Cache(1)
    reference = weakref.ref(cache)
    assert reference() is cache
    del cache
    assert reference() is None


def test_unknown_attributes_are_refused(backend: ModuleType) -> None:
    with pytest.raises(AttributeError):
        backend.Cache(1).nickname = "x"


def test_a_view_can_be_copied_but_not_the_cache(backend: ModuleType) -> None:
    cache = backend.Cache(1)
    cache["a"] = [1]
    kept = copy.deepcopy(dict(cache.items()))
    assert kept == {"a": [1]}
    with pytest.raises(TypeError):
        copy.copy(cache)
