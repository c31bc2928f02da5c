"""`on_evict`, weighers, loaders, timers and key functions that raise, or that use the cache."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import asyncio
import sys
from itertools import product
from typing import TYPE_CHECKING, NoReturn

from tests.clock import Clock
from tests.stress.harness import in_child
from tests.stress.hostile import OPERATIONS, WHOLE, Oops, error_of, quietly

from penstock import Cache, RecursiveLoad, cached

if TYPE_CHECKING:
    from collections.abc import Callable

EVERYTHING = OPERATIONS | WHOLE


def fail(*_: object) -> NoReturn:
    raise Oops


def stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def type_of_error(call: Callable[[], object]) -> type[BaseException]:
    return type(error_of(call))


class Guarded:
    """Runs an operation on a cache, but not within itself."""

    def __init__(self, operation: object) -> None:
        self.operation = operation
        self.cache: Cache[object, object] | None = None
        self.calls = 0
        self.busy = False

    def __call__(self, *_: object) -> None:
        self.calls += 1
        if self.cache is not None and not self.busy:
            self.busy = True
            quietly(self.operation, self.cache, "key")
            quietly(self.operation, self.cache, "another")
            self.busy = False


@in_child
def test_on_evict_may_use_the_cache() -> None:
    for (outer_name, outer), (name, inner) in product(EVERYTHING.items(), EVERYTHING.items()):
        print(outer_name, "while", name)
        guarded = Guarded(inner)
        clock = Clock()
        cache: Cache[object, object] = Cache(2, ttl=10, on_evict=guarded, timer=clock)
        cache.update(key=1, other=2)
        guarded.cache = cache
        clock.advance(11)
        quietly(outer, cache, "key")
        cache.update(key=1, other=2, third=3)
        quietly(outer, cache, "third")
        assert guarded.calls
        assert len(cache) == len(list(cache)) == cache.stats().weight <= 4


@in_child
def test_error_of_on_evict_reaches_the_caller_with_the_state_complete() -> None:
    unraisable = []
    sys.unraisablehook = lambda args: unraisable.append(args.exc_type)
    for kind in (fail, stop):
        told = []
        cache: Cache[object, object] = Cache(3, on_evict=lambda *args: (told.append(args), kind()))
        cache.update(a=1, b=2, c=3)
        expected = Oops if kind is fail else KeyboardInterrupt
        assert type_of_error(lambda: cache.set("d", 4)) is expected
        assert told == [("a", 1, "size")]
        assert list(cache) == ["b", "c", "d"]
        assert type_of_error(cache.clear) is expected
        assert [key for key, *_ in told] == ["a", "b", "c", "d"]
        assert unraisable == [expected, expected]
        unraisable.clear()
        assert len(cache) == 0


@in_child
def test_on_evict_that_brings_the_victim_back_ends() -> None:
    def bring_back(key: object, value: object, cause: str) -> None:
        if cause == "size":
            cache.set(key, value)

    cache: Cache[object, object] = Cache(2, on_evict=bring_back)
    cache.update(a=1, b=2)
    error = type_of_error(lambda: cache.set("c", 3))
    assert error is RecursionError
    assert len(cache) == len(list(cache)) == 2


@in_child
def test_weigher_that_fails_changes_nothing() -> None:
    for weigher in (fail, stop, lambda *_: -1, lambda *_: 1.5, lambda *_: 1 << 70, lambda *_: None):
        weighers = [lambda *_: 1]
        cache: Cache[object, object] = Cache(8, weigher=lambda *args: weighers[-1](*args))  # noqa: PLW0108  # a later one
        cache.update(a=1, b=2)
        stats = cache.stats()
        weighers.append(weigher)
        for store in (lambda: cache.set("a", 3), lambda: cache.set("c", 3)):
            assert type_of_error(store) in {Oops, KeyboardInterrupt, ValueError, TypeError}
        assert cache.stats() == stats
        assert dict(cache.items()) == {"a": 1, "b": 2}


@in_child
def test_weigher_may_use_the_cache() -> None:
    for name, inner in EVERYTHING.items():
        print(name)
        guarded = Guarded(inner)
        cache: Cache[object, object] = Cache(4, weigher=lambda *_: guarded() or 1)
        cache.update(key=1, other=2)
        guarded.cache = cache
        cache.set("key", 3)
        cache.set("third", 3)
        assert cache["third"] == 3
        assert len(cache) == len(list(cache)) == cache.stats().weight <= 4


@in_child
def test_loaded_value_whose_weigher_fails_is_an_error_and_not_stored() -> None:
    cache: Cache[object, object] = Cache(4, weigher=fail)
    assert type_of_error(lambda: cache.get_or_load("a", str.upper)) is Oops
    now = cached(weigher=fail)(lambda text: text)
    assert type_of_error(lambda: now("a")) is Oops
    assert [len(cache), len(now.cache)] == [0, 0]

    @cached(weigher=fail)
    async def later(text: str) -> str:
        return text

    for _ in range(2):
        assert type_of_error(lambda: asyncio.run(later("a"))) is Oops
    assert len(later.cache) == 0


@in_child
def test_timer_that_fails_changes_nothing() -> None:
    for timer in (fail, stop, lambda: "now", lambda: float("nan"), lambda: 1e300, lambda: None):
        timers = [lambda: 1.0]
        cache: Cache[object, object] = Cache(8, ttl=10, timer=lambda: timers[-1]())  # noqa: PLW0108  # a later one
        cache.update(key=1, other=2)
        timers.append(timer)
        for name, operation in EVERYTHING.items():
            print(name)
            error = type_of_error(lambda: operation(cache, "key"))
            if name not in {"clear", "reset_stats"}:
                assert error in {Oops, KeyboardInterrupt, TypeError, ValueError}, error
                timers.append(lambda: 1.0)
                assert dict(cache.items()) == {"key": 1, "other": 2}
                timers.pop()
            else:
                assert error is type(None)
                timers.append(lambda: 1.0)
                cache.update(key=1, other=2)
                timers.pop()


@in_child
def test_timer_may_use_the_cache() -> None:
    for (outer_name, outer), (name, inner) in product(EVERYTHING.items(), EVERYTHING.items()):
        print(outer_name, "while", name)
        guarded = Guarded(inner)
        cache: Cache[object, object] = Cache(4, ttl=10, timer=lambda: guarded() or 1.0)
        cache.update(key=1, other=2)
        guarded.cache = cache
        quietly(outer, cache, "key")
        cache["then"] = 1
        assert len(cache) == len(list(cache)) == cache.stats().weight <= 4


@in_child
def test_loader_may_use_the_cache() -> None:
    for name, inner in EVERYTHING.items():
        if name == "get_or_load":
            continue  # the next test
        print(name)
        cache: Cache[object, object] = Cache(4)

        def load(key: object) -> str:
            quietly(inner, cache, key)
            quietly(inner, cache, "another")
            return "loaded"

        value = cache.get_or_load("key", load)
        assert value == "loaded"
        assert len(cache) == len(list(cache)) == cache.stats().weight <= 4
        assert cache.get_or_load("key", lambda _: "again") in {"loaded", "new", "again"}


@in_child
def test_loader_that_asks_for_its_own_key_gets_an_error() -> None:
    cache: Cache[object, object] = Cache(4)

    def load(key: object) -> object:
        return cache.get_or_load(key, load)

    for _ in range(3):
        assert type_of_error(lambda: cache.get_or_load("key", load)) is RecursiveLoad
    assert cache.get_or_load("key", lambda _: 1) == 1


@in_child
def test_loader_that_raises_leaves_nothing_behind() -> None:
    class Bad(BaseException):
        pass

    for error in (Oops, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, Bad):

        def load(key: object) -> NoReturn:
            raise error

        cache: Cache[object, object] = Cache(4)
        now = cached(load)
        for _ in range(3):
            assert type_of_error(lambda: cache.get_or_load("key", load)) is error
            assert type_of_error(lambda: now("key")) is error
        assert cache.stats().load_failures == now.stats().load_failures == 3
        assert cache.get_or_load("key", lambda _: 1) == 1


@in_child
def test_coroutine_that_raises_leaves_nothing_behind() -> None:
    class Bad(BaseException):
        pass

    async def catch(awaitable: object) -> type[BaseException] | None:
        try:
            await awaitable
        except BaseException as error:
            return type(error)
        return None

    for error in (Oops, Bad, asyncio.CancelledError, TimeoutError):
        calls = []

        @cached
        async def load(key: str) -> NoReturn:
            calls.append(key)
            await asyncio.sleep(0)
            raise error

        async def main() -> None:
            waiters = [catch(load("key")) for _ in range(3)]
            assert await asyncio.gather(*waiters) == [error] * 3
            assert await catch(load("key")) is error

        asyncio.run(main())
        assert len(calls) == 2
        assert len(load.cache) == 0


@in_child
def test_interrupt_in_a_load_ends_the_loop_and_poisons_nothing() -> None:
    for error in (KeyboardInterrupt, SystemExit):
        errors = [error]

        @cached
        async def load(key: str) -> str:
            await asyncio.sleep(0)
            if errors:
                raise errors.pop()
            return key

        assert type_of_error(lambda: asyncio.run(load("key"))) is error
        assert asyncio.run(load("key")) == "key"


@in_child
def test_key_function_may_raise_and_may_use_the_function() -> None:
    def key(name: object) -> object:
        if name == "bad":
            raise Oops
        if name == "nested":
            upper("inner")
        return name

    @cached(key=key)
    def upper(name: str) -> str:
        return name.upper()

    assert type_of_error(lambda: upper("bad")) is Oops
    assert type_of_error(lambda: upper.invalidate("bad")) is Oops
    assert [upper("nested"), upper("nested")] == ["NESTED"] * 2
    assert set(upper.cache) == {"inner", "nested"}
    assert type_of_error(lambda: cached(key=lambda _: [])(str)("a")) is TypeError
