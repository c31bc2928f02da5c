"""Iteration over a cache that changes meanwhile."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import sys
import threading
from itertools import product

from tests.clock import Clock
from tests.stress.harness import in_child, rounds
from tests.stress.hostile import OPERATIONS, WHOLE, Key, quietly
from tests.threads import spawn

from penstock import Cache

#: Ways to go through a cache of strings and ints.
WALKS = {
    "iter": list,
    "keys": lambda cache: list(cache.keys()),
    "values": lambda cache: list(cache.values()),
    "items": lambda cache: list(cache.items()),
    "dict": lambda cache: dict(cache.items()),
    "equality": lambda cache: [cache == {}],
    "update of another": lambda cache: [Cache(9).update(cache)],
}


@in_child
def test_change_between_two_steps_is_no_error_and_is_not_seen() -> None:
    for name, operation in (OPERATIONS | WHOLE).items():
        print(name)
        cache: Cache[object, object] = Cache(8)
        cache.update({"a": 1, "b": 2, "key": 3})
        walks = [iter(cache), iter(cache.keys()), iter(cache.items())]
        for walk in walks:
            next(walk)
        quietly(operation, cache, "key")
        quietly(operation, cache, "new one")
        assert [list(walk) for walk in walks] == [
            ["b", "key"],
            ["b", "key"],
            [("b", 2), ("key", 3)],
        ]


@in_child
def test_every_walk_works_while_threads_change_the_cache() -> None:
    sys.setswitchinterval(1e-5)
    cache: Cache[object, object] = Cache(50)
    done = threading.Event()

    def change(offset: int) -> None:
        number = offset
        while not done.is_set():
            number += 1
            cache[str(number % 90)] = number
            cache.pop(str((number * 7) % 90), None)
            if number % 1000 == 0:
                cache.clear()

    changers = [spawn(change, offset) for offset in range(3)]
    try:
        for _, (name, walk) in product(range(rounds(60)), WALKS.items()):
            print(name)
            assert len(walk(cache)) <= 50
    finally:
        done.set()
    for changer in changers:
        changer.result()


@in_child
def test_snapshot_taken_while_entries_expire_holds_live_ones_only() -> None:
    clock = Clock()
    cache: Cache[int, int] = Cache(None, timer=clock)
    for number in range(100):
        cache.set(number, number, ttl=number + 1)
    walk = iter(cache)
    assert next(walk) == 0
    clock.advance(50)
    assert list(walk) == list(range(1, 100))
    assert list(cache) == list(range(50, 100))


@in_child
def test_keys_that_change_the_cache_while_a_view_is_made() -> None:
    for name, operation in (OPERATIONS | WHOLE).items():
        print(name)
        cache: Cache[object, object] = Cache(8)
        busy = []

        def change() -> None:
            if not busy:
                busy.append(1)
                quietly(operation, cache, "key")
                busy.clear()

        for number in range(4):
            # A view is a dict of its own: making it hashes the keys again, and compares them.
            cache[Key(number, on_hash=change)] = number
        for walk in WALKS.values():
            walk(cache)
        assert len(cache) == len(list(cache)) == cache.stats().weight <= 8


@in_child
def test_cache_may_be_dropped_while_it_is_iterated_over() -> None:
    cache: Cache[int, list[int]] = Cache(None)
    for number in range(10):
        cache[number] = [number]
    walk, items = iter(cache), iter(cache.items())
    del cache
    assert list(walk) == list(range(10))
    assert list(items) == [(number, [number]) for number in range(10)]
