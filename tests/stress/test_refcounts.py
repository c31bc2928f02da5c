"""Every reference that a call takes is given back: counts before and after many rounds agree."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from functools import partial
from typing import TYPE_CHECKING

from tests.stress.harness import in_child, rounds
from tests.stress.hostile import Key, Oops

from penstock import Cache, _backend, cached

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = rounds(1000)

#: What the interpreter itself takes and gives references to all the time.
SHARED = (None, True, False, "size", "deleted", "replaced", 0, 1, ())


class Text(str):
    """A key with a count of its own."""

    __slots__ = ()


def check(action: Callable[[], object], *watched: object) -> None:
    """Assert that *action* neither keeps nor loses references."""
    for _ in range(10):
        action()
    # What is caught refers to the frames that it came through, and they to it.
    gc.collect()
    before = [sys.getrefcount(thing) for thing in (*watched, *SHARED)]
    for _ in range(ROUNDS):
        action()
    gc.collect()
    after = [sys.getrefcount(thing) for thing in (*watched, *SHARED)]
    changes = [now - then for now, then in zip(after, before, strict=True)]
    assert changes[: len(watched)] == [0] * len(watched), changes
    assert all(abs(change) < ROUNDS // 4 for change in changes), changes


def fresh(number: int) -> list[object]:
    """Keys of every kind that is looked up in its own way."""
    return [
        f"key {number}",
        10**20 + number,
        (number, f"{number}"),
        f"{number}".encode(),
        Key(number),
    ]


@in_child
def test_reference_that_is_kept_or_lost_is_noticed() -> None:
    thing, kept = object(), []
    for action in (lambda: kept.append(thing), kept.pop):
        try:
            check(action, thing)
        except AssertionError:
            continue
        raise AssertionError("it was not noticed")


@in_child
def test_lookups_of_the_cache() -> None:
    for stored, equal in zip(fresh(1), fresh(1), strict=True):
        print(stored)
        cache: Cache[object, object] = Cache(8)
        value, default = object(), object()
        cache[stored] = value
        watched = (stored, equal, value, default, cache)
        for key in (stored, equal, "absent"):
            check(lambda: cache.get(key), *watched)
            check(lambda: cache.get(key, default), *watched)
            check(lambda: cache.get(key, default=default), *watched)
            check(lambda: cache.get(key=key, default=default), *watched)
            check(lambda: cache.peek(key, default), *watched)
            check(lambda: key in cache, *watched)
            check(lambda: cache.get_many([key]), *watched)
            check(lambda: cache.touch(key), *watched)
        check(lambda: cache[equal], *watched)
        check(lambda: cache.ttl_of(equal), *watched)
        check(lambda: cache.setdefault(equal, default), *watched)
        check(lambda: cache.get_or_load(equal, str), *watched)


@in_child
def test_changes_of_the_cache() -> None:
    told: list[object] = []
    for on_evict in (None, lambda *args: told.append(args) or told.clear()):
        for stored, equal in zip(fresh(1), fresh(1), strict=True):
            print(stored)
            cache: Cache[object, object] = Cache(2, on_evict=on_evict)
            value, other = object(), object()
            watched = (stored, equal, value, other, cache)
            check(lambda: (cache.set(stored, value), cache.clear()), *watched)
            check(
                lambda: (cache.set(stored, value), cache.set(equal, other), cache.clear()), *watched
            )
            check(lambda: (cache.set(stored, value), cache.pop(equal)), *watched)
            check(lambda: (cache.set(stored, value), cache.popitem()), *watched)
            check(lambda: (cache.set(stored, value), cache.__delitem__(equal)), *watched)
            check(lambda: cache.pop(equal, value), *watched)
            check(
                lambda: (cache.update({stored: value, 1: other, 2: other}), cache.clear()), *watched
            )
            check(
                lambda: (cache.set_many([(stored, value)]), cache.resize(2), cache.clear()),
                *watched,
            )
            check(lambda: (cache.get_or_load(stored, lambda _: value), cache.clear()), *watched)
            check(lambda: (cache.setdefault(stored, value), cache.clear()), *watched)
            check(lambda: (cache.set(stored, value, ttl=60), cache.clear()), *watched)


@in_child
def test_whole_cache_operations() -> None:
    key, value = Text("key"), object()
    cache: Cache[object, object] = Cache(8, name="name")
    cache[key] = value
    for action in (
        lambda: list(cache),
        lambda: list(cache.items()),
        lambda: cache == {},
        lambda: cache == cache,
        lambda: repr(cache),
        lambda: len(cache),
        lambda: (cache.stats(), cache.maxsize, cache.ttl, cache.tti, cache.policy, cache.name),
        lambda: cache.stats() == cache.stats(),
    ):
        check(action, key, value, cache)


@in_child
def test_calls_that_fail() -> None:
    key, value, error = Text("key"), object(), Oops()

    def fail(*_: object) -> None:
        raise error

    cache: Cache[object, object] = Cache(8)
    watched = (key, value, cache)

    def failing(call: Callable[[], object]) -> Callable[[], None]:
        def action() -> None:
            with contextlib.suppress(Oops, KeyError, TypeError, ValueError):
                call()
            error.__traceback__ = None

        return action

    check(failing(lambda: cache[key]), *watched)
    check(failing(lambda: cache.pop(key)), *watched)
    check(failing(lambda: cache.set(key, value, ttl=-1)), *watched)
    check(failing(lambda: cache.set(key, value, value)), *watched)
    check(failing(lambda: cache.get(key, value, value)), *watched)
    check(failing(lambda: cache.get(key, nonsense=value)), *watched)
    check(failing(lambda: cache.get([key])), *watched)
    check(failing(lambda: cache.get(Key(key, on_hash=fail))), *watched, error)
    check(failing(lambda: cache.get_or_load(key, fail)), *watched, error)
    check(failing(lambda: cached(fail)(key, option=value)), *watched, error)
    heavy: Cache[object, object] = Cache(8, weigher=lambda *_: 9)
    check(failing(lambda: heavy.set(key, value)), *watched, heavy)


@in_child
def test_flights() -> None:
    key, value = Key("key"), object()
    cache: Cache[object, object] = Cache(8)
    watched = (key, value, cache)
    check(lambda: cache._abandon(cache._begin(key)), *watched)
    check(lambda: cache._abandon(cache._begin(key), 1.0), *watched)
    check(lambda: (cache._commit(cache._begin(key), value, 1.0), cache.clear()), *watched)
    check(lambda: (cache._begin(key, True), cache._invalidate(key)), *watched)
    check(lambda: (cache._begin(key), cache.clear()), *watched)


@in_child
def test_cached_calls() -> None:
    value = object()
    for options in ({}, {"typed": True}, {"key": lambda *args, **kwargs: (args, *kwargs)}):
        print(options)

        @cached(maxsize=4, **options)
        def function(*args: object, **kwargs: object) -> object:
            return value

        class Service:
            method = function

        service = Service()
        one, two = Text("one"), object()
        watched = (value, one, two, function, service)
        for call in (function, service.method, partial(function, one)):
            check(lambda: call(one), *watched)
            check(lambda: call(one, two, one), *watched)
            check(lambda: call(one, option=two), *watched)
            check(lambda: call(*[one] * 20, option=two, other=one), *watched)
            check(lambda: call(*[], option=two), *watched)
            check(lambda: call("text"), *watched)
            check(lambda: call(10**20), *watched)
            check(call, *watched)
            function.cache_clear()
        check(lambda: (function(one, two), function.cache_clear()), *watched)
        check(lambda: (function.refresh(one, two), function.invalidate(one, two)), *watched)
        check(lambda: function.make_key(one, two, option=one), *watched)
        check(lambda: (service.method.invalidate(two), service.method(two)), *watched)
        check(lambda: (service.method == service.method, hash(service.method)), *watched)


@in_child
def test_ready_awaitables_however_they_end() -> None:
    value = object()
    ready = _backend.Ready

    async def wait(thing: object) -> object:
        return await thing

    def step(thing: object) -> None:
        with contextlib.suppress(StopIteration, Oops, RuntimeError):
            thing.send(None)

    def throw(thing: object, *error: object) -> None:
        with contextlib.suppress(Oops):
            thing.throw(*error)

    def twice() -> None:
        thing = ready(value)
        step(thing)
        step(thing)
        thing.close()
        thing.close()

    check(lambda: ready(value), value)
    check(lambda: step(ready(value)), value)
    check(lambda: step(wait(ready(value))), value)
    check(lambda: throw(ready(value), Oops), value)
    check(lambda: throw(ready(value), Oops()), value)
    check(lambda: throw(ready(value), Oops, Oops(value)), value)
    check(lambda: throw(ready(value), Oops, None, None), value)
    check(lambda: ready(value).close(), value)
    check(lambda: ready(value).__await__(), value)
    check(lambda: next(ready(value).__await__(), None), value)
    check(twice, value)


@in_child
def test_cached_coroutine_functions() -> None:
    value, key = object(), Text("key")

    @cached(maxsize=2)
    async def load(*args: object, **kwargs: object) -> object:
        return value

    async def hit() -> None:
        await load(key)
        await load(key, option=key)
        await asyncio.gather(load(key), load(key))

    async def miss() -> None:
        load.invalidate(key)
        await asyncio.gather(load(key), load(key))

    async def refresh() -> None:
        await load.refresh(key)

    async def main() -> None:
        for action in (hit, miss, refresh):
            print(action.__name__)
            for _ in range(10):
                await action()
            gc.collect()
            before = [sys.getrefcount(thing) for thing in (value, key)]
            for _ in range(ROUNDS):
                await action()
            gc.collect()
            assert [sys.getrefcount(thing) for thing in (value, key)] == before

    asyncio.run(main())
