"""What other caches get wrong, one test for each trap."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from itertools import product

from tests.stress.harness import collect, in_child
from tests.stress.hostile import OPERATIONS, WHOLE, Key, Oops, Value, error_of, quietly
from tests.threads import spawn

from penstock import Cache, cached


def with_key(on_eq: object) -> Cache[object, object]:
    """A cache with one key that does something when it is compared."""
    cache: Cache[object, object] = Cache(8)
    cache.set(Key(on_eq=on_eq), "old")
    return cache


@in_child
def test_eq_that_uses_the_same_cache_does_not_hang() -> None:
    for (name, outer), (inner_name, inner) in product(
        OPERATIONS.items(), (OPERATIONS | WHOLE).items()
    ):
        print(name, "while", inner_name)
        uses = []

        def use() -> None:
            if not uses:
                uses.append(1)
                quietly(inner, cache, Key())

        cache = with_key(use)
        quietly(outer, cache, Key())
        assert uses
        cache.set("then", 1)
        assert cache["then"] == 1


@in_child
def test_del_that_uses_the_cache_during_eviction_does_not_hang() -> None:
    for name, operation in (OPERATIONS | WHOLE).items():
        print(name)
        cache: Cache[object, object] = Cache(1)
        deaths = []

        def use() -> None:
            deaths.append(1)
            quietly(operation, cache, "other")

        cache["first"] = Value(use)
        cache["second"] = 2
        assert deaths == [1]


@in_child
def test_del_that_uses_the_cache_during_clear_does_not_hang() -> None:
    for name, operation in (OPERATIONS | WHOLE).items():
        print(name)
        cache: Cache[object, object] = Cache(8)
        deaths = []

        def use() -> None:
            deaths.append(1)
            quietly(operation, cache, "other")

        for key in range(5):
            cache[key] = Value(use)
        cache.clear()
        assert deaths == [1] * 5


@in_child
def test_error_of_eq_is_not_swallowed() -> None:
    for name, operation in OPERATIONS.items():
        print(name)
        key = Key()
        cache: Cache[object, object] = Cache(8)
        cache.set(key, "old")

        def fail() -> None:
            raise Oops

        key.on_eq = fail
        assert isinstance(error_of(lambda: operation(cache, Key())), Oops)
        assert list(cache.items()) == [(key, "old")]


@in_child
def test_keys_of_one_hash_do_not_replace_each_other() -> None:
    cache: Cache[object, object] = Cache(100)
    for number in range(50):
        cache[Key(number)] = number
    assert [cache[Key(number)] for number in range(50)] == list(range(50))


@in_child
def test_eq_that_releases_the_gil_does_not_hang_other_threads() -> None:
    cache = with_key(lambda: time.sleep(0))

    def work() -> None:
        for number in range(300):
            cache.get(Key())
            cache.set(Key(number % 3), "new")
            cache.get(Key(number % 5))

    for thread in [spawn(work) for _ in range(4)]:
        thread.result()


@in_child
def test_collection_of_garbage_during_a_comparison_does_not_hang() -> None:
    for name, operation in OPERATIONS.items():
        print(name)
        cache = with_key(gc.collect)
        cache["itself"] = cache
        quietly(operation, cache, Key())


@in_child
def test_cycle_through_the_cache_does_not_leak() -> None:
    cache: Cache[object, object] = Cache(8)
    cache["itself"] = cache
    died = weakref.ref(cache)
    del cache
    collect()
    assert died() is None


@in_child
def test_value_is_freed_at_once_after_remove_replace_and_clear() -> None:
    gc.disable()
    cache: Cache[object, object] = Cache(1)
    for name, leave in {
        "remove": lambda: cache.__delitem__("key"),
        "pop": lambda: cache.pop("key"),
        "replace": lambda: cache.set("key", 1),
        "evict": lambda: cache.set("other", 1),
        "clear": cache.clear,
    }.items():
        cache.set("key", Value())
        died = weakref.ref(cache["key"])
        leave()
        assert died() is None, name


@in_child
def test_none_is_cached() -> None:
    calls = []

    def find(key: str) -> None:
        calls.append(key)

    async def find_later(key: str) -> None:
        calls.append(key)

    now, later = cached(find), cached(find_later)
    assert [now("a") for _ in range(3)] == [None] * 3
    assert [asyncio.run(later("b")) for _ in range(3)] == [None] * 3
    assert calls == ["a", "b"]
    cache: Cache[str, None] = Cache(1)
    cache["a"] = None
    assert cache.get("a", 1) is None
    assert cache.get_or_load("a", calls.append) is None
    assert calls == ["a", "b"]


@in_child
def test_one_and_its_text_have_entries_of_their_own() -> None:
    @cached
    def name(value: object) -> str:
        return type(value).__name__

    assert [name(1), name("1"), name(b"1"), name((1,)), name(("1",))] == [
        "int",
        "str",
        "bytes",
        "tuple",
        "tuple",
    ]
    assert name.cache_info().currsize == 5


@in_child
def test_a_cache_starts_no_thread() -> None:
    cache: Cache[int, int] = Cache(8, ttl=60)
    for number in range(100):
        cache[number] = number
    assert threading.active_count() == 1
