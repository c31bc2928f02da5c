"""Entries that nobody uses die after the tti."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from tests.clock import Clock


def test_an_idle_entry_expires(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, tti=5, timer=clock)
    cache["a"] = 1
    assert cache.ttl_of("a") == 5.0
    clock.now = 5.0
    assert "a" not in cache


def test_reads_reset_the_idle_time(backend: ModuleType, clock: Clock) -> None:
    reads: list[Callable[[Any], object]] = [
        lambda cache: cache["a"],
        lambda cache: cache.get("a"),
        lambda cache: cache.get_many(["a"]),
        lambda cache: cache.get_or_load("a", str),
        lambda cache: cache.setdefault("a", 1),
        lambda cache: cache.touch("a"),
        lambda cache: cache.set("a", 1),
    ]
    for read in reads:
        cache = backend.Cache(3, tti=5, timer=clock)
        cache["a"] = 1
        clock.advance(4)
        read(cache)
        clock.advance(4)
        assert cache.ttl_of("a") == 1.0


def test_looking_does_not_reset_the_idle_time(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, tti=5, timer=clock)
    cache["a"] = 1
    clock.now = 4.0
    assert cache.peek("a") == 1
    assert "a" in cache
    assert list(cache.items()) == [("a", 1)]
    cache.stats()
    assert cache.ttl_of("a") == 1.0


def test_the_nearer_of_ttl_and_tti_counts(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=10, tti=6, timer=clock)
    cache["a"] = 1
    assert cache.ttl_of("a") == 6.0
    clock.now = 5.0
    assert cache["a"] == 1
    assert cache.ttl_of("a") == 5.0
    clock.now = 9.0
    assert cache["a"] == 1
    assert cache.ttl_of("a") == 1.0
    clock.now = 10.0
    assert "a" not in cache


def test_an_entry_without_ttl_still_has_the_idle_time(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=10, tti=6, timer=clock)
    cache.set("a", 1, ttl=None)
    cache.set("b", 1, ttl=2)
    assert cache.ttl_of("a") == 6.0
    assert cache.ttl_of("b") == 2.0


def test_touch_restarts_both_lives(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=10, tti=6, timer=clock)
    cache["a"] = 1
    clock.now = 5.0
    cache.touch("a")
    clock.now = 10.0
    assert cache.get("a") == 1
    assert cache.ttl_of("a") == 5.0


def test_a_read_assigns_the_deadline_anew(backend: ModuleType, clock: Clock) -> None:
    log: list[object] = []
    cache = backend.Cache(9, tti=5, timer=clock, on_evict=lambda *victim: log.append(victim[0]))
    cache.update(a=1, b=2, c=3)
    cache.get("a")
    clock.now = 5.0
    assert cache.expire() == 3
    assert log == ["b", "c", "a"]


def test_a_read_leaves_a_ttl_that_is_nearer_its_place(backend: ModuleType, clock: Clock) -> None:
    log: list[object] = []
    cache = backend.Cache(
        9, ttl=2, tti=5, timer=clock, on_evict=lambda *victim: log.append(victim[0])
    )
    cache.update(a=1, b=2)
    clock.now = 1.0
    cache["c"] = 3
    cache.get("b")
    clock.now = 3.0
    assert cache.expire() == 3
    assert log == ["a", "b", "c"]


def test_a_miss_on_an_idle_entry_counts_as_an_expiration(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(9, tti=5, timer=clock)
    cache["a"] = 1
    clock.now = 5.0
    assert cache.get("a") is None
    assert cache.stats() == backend.CacheStats(misses=1, expirations=1, maxsize=9)
