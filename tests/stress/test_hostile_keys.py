"""Keys whose `__hash__` and `__eq__` raise, re-enter, change the cache or let other threads in."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import asyncio
import gc
import sys
import time
from itertools import product
from typing import TYPE_CHECKING

from tests.stress.harness import in_child, rounds
from tests.stress.hostile import OPERATIONS, WHOLE, Key, Oops, error_of, nothing, quietly
from tests.threads import spawn

from penstock import Cache, cached

if TYPE_CHECKING:
    from collections.abc import Callable


def fail() -> None:
    raise Oops


def raises_oops(call: Callable[[], object]) -> bool:
    return isinstance(error_of(call), Oops)


def once(action: Callable[[], object]) -> Callable[[], object]:
    """Only the first time."""
    left = [action]
    return lambda: left.pop()() if left else None


def check_usable(cache: Cache[object, object]) -> None:
    cache.clear()
    assert len(cache) == 0
    cache["a"], cache[Key("b")] = 1, 2
    assert cache["a"] == 1
    assert cache[Key("b")] == 2
    assert cache.stats().weight == 2


@in_child
def test_error_of_hash_reaches_the_caller_and_changes_nothing() -> None:
    for name, operation in OPERATIONS.items():
        print(name)
        cache: Cache[object, object] = Cache(8)
        cache["there"] = 1
        stats = cache.stats()
        assert raises_oops(lambda: operation(cache, Key(on_hash=fail)))
        assert cache.stats() == stats
        assert list(cache.items()) == [("there", 1)]


@in_child
def test_unhashable_key_is_refused_by_every_operation() -> None:
    for name, operation in OPERATIONS.items():
        print(name)
        cache: Cache[object, object] = Cache(8)
        error = error_of(lambda: operation(cache, []))
        assert repr(error) == "TypeError(\"unhashable type: 'list'\")"


@in_child
def test_key_is_hashed_once_per_operation() -> None:
    for name, operation in OPERATIONS.items():
        cache: Cache[object, object] = Cache(8)
        hashes = []
        key = Key(on_hash=lambda: hashes.append(1))
        for _ in range(2):
            cache.set(Key(), "old")
            hashes.clear()
            quietly(operation, cache, key)
            if name == "get_many":
                hashes.pop()  # the dict that it returns hashes, too
            assert len(hashes) == 1, name
            cache.clear()


@in_child
def test_hash_that_uses_the_cache_does_not_hang() -> None:
    everything = OPERATIONS | WHOLE
    for (name, outer), (inner_name, inner) in product(OPERATIONS.items(), everything.items()):
        print(name, "while", inner_name)
        cache: Cache[object, object] = Cache(8)
        cache.set(Key(), "old")
        key = Key(on_hash=once(lambda: quietly(inner, cache, Key())))
        quietly(outer, cache, key)
        check_usable(cache)


@in_child
def test_eq_that_clears_and_fills_the_cache_again_leaves_it_consistent() -> None:
    for name, operation in OPERATIONS.items():
        print(name)
        cache: Cache[object, object] = Cache(3)

        def churn() -> None:
            cache.clear()
            for number in range(5):
                cache.set(Key(number, on_eq=nothing), number)

        cache.set(Key("old", on_eq=once(churn)), "old")
        quietly(operation, cache, Key("asked"))
        assert len(cache) <= 3
        assert len(cache) == len(list(cache)) == cache.stats().weight
        check_usable(cache)


@in_child
def test_eq_that_removes_the_key_it_compares_leaves_no_ghost() -> None:
    for name, operation in OPERATIONS.items():
        print(name)
        cache: Cache[object, object] = Cache(8)
        cache.set(Key(on_eq=once(lambda: cache.pop(Key()))), "old")
        quietly(operation, cache, Key())
        assert cache.peek(Key()) in {None, "new"}
        assert len(cache) == len(list(cache)) <= 1
        check_usable(cache)


@in_child
def test_keys_that_grow_while_they_are_compared_end_in_an_error() -> None:
    for name in ("get", "set", "get_or_load"):
        print(name)
        cache: Cache[object, object] = Cache(None)

        def grow() -> None:
            # Comparing the newest key adds another one, but not while that is being added.
            if not busy:
                busy.append(1)
                cache.set(Key(cache.stats().size, on_eq=once(grow)), 1)
                busy.clear()

        busy: list[int] = []
        cache.set(Key("first", on_eq=once(grow)), 1)
        error = error_of(lambda: OPERATIONS[name](cache, Key("asked")))
        assert type(error) is RuntimeError
        assert "compared" in str(error)
        assert cache.stats().size == 1001
        check_usable(cache)


@in_child
def test_eq_that_returns_no_bool_is_asked_for_its_truth() -> None:
    class Odd:
        def __init__(self, answer: object) -> None:
            self.answer = answer

        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> object:
            return self.answer

    class Undecided:
        def __bool__(self) -> bool:
            raise Oops

    for answer, found in (([1], True), ([], False), ("", False), (NotImplemented, False)):
        cache: Cache[object, object] = Cache(8)
        cache[Odd(answer)] = 1
        assert (Odd([]) in cache) is found, answer
    cache = Cache(8)
    cache[Odd(Undecided())] = 1
    assert raises_oops(lambda: cache.get(Odd([])))


@in_child
def test_garbage_collected_during_hash_and_eq_does_no_harm() -> None:
    gc.set_threshold(1, 1, 1)
    for name, operation in OPERATIONS.items():
        print(name)
        cache: Cache[object, object] = Cache(8)
        cache["cycle"] = [cache, Key()]
        cache.set(Key(on_eq=gc.collect, on_hash=gc.collect), cache)
        quietly(operation, cache, Key(on_eq=gc.collect, on_hash=gc.collect))
        check_usable(cache)


@in_child
def test_threads_that_meet_in_eq_keep_the_cache_consistent() -> None:
    sys.setswitchinterval(1e-5)
    cache: Cache[object, object] = Cache(4)

    def work(offset: int) -> None:
        for number in range(rounds(150)):
            key = Key((number + offset) % 7, on_eq=lambda: time.sleep(0))
            for operation in OPERATIONS.values():
                quietly(operation, cache, key)

    for thread in [spawn(work, offset) for offset in range(4)]:
        thread.result()
    assert len(cache) == len(list(cache)) == cache.stats().weight <= 4
    names = [key.name for key in cache]
    assert len(set(names)) == len(names)
    check_usable(cache)


@in_child
def test_cached_function_with_hostile_arguments() -> None:
    @cached(maxsize=8)
    def name(key: Key, *more: object, option: object = None) -> str:
        return str(key.name)

    for arguments in (lambda key: ((key,), {}), lambda key: ((key, 1), {"option": key})):
        for inner_name, inner in (OPERATIONS | WHOLE).items():
            print(inner_name)
            args, kwargs = arguments(Key())
            assert name(*args, **kwargs) == "key"
            args[0].on_eq = once(lambda: quietly(inner, name.cache, Key()))
            args[0].on_hash = once(lambda: quietly(inner, name.cache, Key()))
            again, kwargs = arguments(Key())
            assert name(*again, **kwargs) == "key"
            name.cache_clear()
        args, kwargs = arguments(Key())
        assert name(*args, **kwargs) == "key"
        args[0].on_eq = fail
        again, kwargs = arguments(Key())
        assert raises_oops(lambda: name(*again, **kwargs))
        args[0].on_eq = nothing
        assert raises_oops(lambda: name(Key(on_hash=fail), option=1))
        assert raises_oops(lambda: name(Key(), option=Key(on_hash=fail)))


@in_child
def test_cached_coroutine_function_with_hostile_arguments() -> None:
    @cached(maxsize=8)
    async def name(key: Key) -> str:
        await asyncio.sleep(0)
        return str(key.name)

    async def main() -> None:
        for inner_name, inner in (OPERATIONS | WHOLE).items():
            print(inner_name)
            stored = Key()
            assert await name(stored) == "key"
            stored.on_eq = once(lambda: quietly(inner, name.cache, Key()))
            assert await name(Key()) == "key"
            name.cache_clear()
        stored = Key()
        assert await name(stored) == "key"
        stored.on_eq = fail
        assert raises_oops(lambda: name(Key()))
        stored.on_eq = nothing
        name.cache_clear()
        # Here it is the table of loads in progress that compares.
        loading = Key()
        first = asyncio.ensure_future(name(loading))
        await asyncio.sleep(0)
        loading.on_eq = fail
        try:
            await name(Key())
        except Oops:
            pass
        else:
            raise AssertionError("the error was swallowed")
        loading.on_eq = nothing
        assert await first == "key"

    asyncio.run(main())
