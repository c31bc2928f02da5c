"""Entries live for their ttl, to the nanosecond."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock


def test_expired_entry_is_not_returned(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=10, timer=clock)
    cache["a"] = 1
    clock.now = 9.999999999
    assert cache["a"] == 1
    clock.now = 10.0
    assert "a" not in cache
    assert cache.peek("a") is None
    assert cache.get("a") is None
    with pytest.raises(KeyError):
        cache["a"]


def test_a_read_does_not_prolong_the_ttl(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=10, timer=clock)
    cache["a"] = 1
    clock.now = 9.0
    assert cache["a"] == 1
    assert cache.ttl_of("a") == 1.0
    clock.now = 10.0
    assert "a" not in cache


def test_a_hit_on_an_expired_entry_removes_it_and_is_a_miss(
    backend: ModuleType, clock: Clock
) -> None:
    log: list[tuple[object, ...]] = []
    cache = backend.Cache(3, ttl=10, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache["a"] = 1
    clock.now = 10.0
    assert cache.get("a", 5) == 5
    assert log == [("a", 1, "expired")]
    assert cache.stats() == backend.CacheStats(misses=1, expirations=1, maxsize=3)


def test_looking_at_an_expired_entry_does_not_remove_it(backend: ModuleType, clock: Clock) -> None:
    log: list[tuple[object, ...]] = []
    cache = backend.Cache(3, ttl=10, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache["a"] = 1
    clock.now = 10.0
    assert "a" not in cache
    assert cache.peek("a", 5) == 5
    with pytest.raises(KeyError):
        cache.ttl_of("a")
    assert log == []
    assert cache.expire() == 1


def test_a_reading_operation_leaves_other_expired_entries(
    backend: ModuleType, clock: Clock
) -> None:
    log: list[object] = []
    cache = backend.Cache(9, timer=clock, on_evict=lambda *victim: log.append(victim[0]))
    cache.set("a", 1, ttl=1)
    cache.set("b", 2)
    clock.now = 1.0
    cache.get("b")
    cache.get("c")
    cache.pop("b")
    cache.touch("c")
    assert log == ["b"]


@pytest.mark.parametrize("ttl", [5, 5.0, timedelta(seconds=5)])
def test_an_entry_can_have_its_own_ttl(backend: ModuleType, clock: Clock, ttl: object) -> None:
    cache = backend.Cache(3, ttl=10, timer=clock)
    cache.set("own", 1, ttl=ttl)
    cache.set("cache's", 2)
    cache.set("ellipsis", 3, ttl=...)
    assert cache.ttl_of("own") == 5.0
    assert cache.ttl_of("cache's") == 10.0
    assert cache.ttl_of("ellipsis") == 10.0
    clock.now = 5.0
    assert list(cache) == ["cache's", "ellipsis"]


def test_a_ttl_of_none_means_no_ttl(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=10, timer=clock)
    cache.set("a", 1, ttl=None)
    assert cache.ttl_of("a") is None
    clock.now = 1e9
    assert cache["a"] == 1


def test_a_replaced_value_gets_a_new_life(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=10, timer=clock)
    cache.set("a", 1, ttl=1)
    cache.set("b", 1, ttl=None)
    cache.set("c", 1)
    clock.now = 0.5
    for key in "abc":
        cache[key] = 2
    assert [cache.ttl_of(key) for key in "abc"] == [10.0] * 3
    clock.now = 10.0
    assert len(cache) == 3
    clock.now = 10.5
    assert len(cache) == 0


def test_a_shorter_ttl_replaces_a_longer_one(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=10, timer=clock)
    cache["a"] = 1
    cache.set("a", 2, ttl=1)
    clock.now = 1.0
    assert cache.expire() == 1


def test_the_shortest_ttl_is_a_nanosecond(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, timer=clock)
    cache.set("a", 1, ttl=1e-30)
    assert cache.ttl_of("a") == 1e-9
    clock.now = 1e-9
    assert "a" not in cache


def test_the_longest_ttl_is_accepted(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=9_000_000_000, timer=clock)
    clock.now = 9e9
    cache["a"] = 1
    assert cache.ttl_of("a") == 9e9


def test_touch_restarts_the_life_of_an_entry(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(3, ttl=10, timer=clock)
    cache["a"] = 1
    clock.now = 9.0
    assert cache.touch("a") is True
    assert cache.ttl_of("a") == 10.0
    assert cache.touch("a", ttl=3) is True
    assert cache.ttl_of("a") == 3.0
    assert cache.touch("a", ttl=None) is True
    assert cache.ttl_of("a") is None
    assert cache.touch("a", ttl=...) is True
    assert cache.ttl_of("a") == 10.0
    assert cache["a"] == 1
    assert cache.stats().hits == 1


def test_touching_an_expired_entry_removes_it(backend: ModuleType, clock: Clock) -> None:
    log: list[tuple[object, ...]] = []
    cache = backend.Cache(3, ttl=10, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache["a"] = 1
    clock.now = 10.0
    assert cache.touch("a") is False
    assert log == [("a", 1, "expired")]
    assert cache.stats() == backend.CacheStats(expirations=1, maxsize=3)


def test_popping_an_expired_entry_finds_nothing(backend: ModuleType, clock: Clock) -> None:
    log: list[tuple[object, ...]] = []
    cache = backend.Cache(3, ttl=10, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache.update(a=1, b=2, c=3)
    clock.now = 10.0
    assert cache.pop("a", 5) == 5
    with pytest.raises(KeyError):
        cache.pop("b")
    with pytest.raises(KeyError):
        del cache["c"]
    assert log == [("a", 1, "expired"), ("b", 2, "expired"), ("c", 3, "expired")]
    assert cache.stats() == backend.CacheStats(expirations=3, maxsize=3)


def test_popitem_returns_only_live_entries(backend: ModuleType, clock: Clock) -> None:
    log: list[tuple[object, ...]] = []
    cache = backend.Cache(9, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache.set("a", 1, ttl=2)
    cache.set("b", 2)
    cache.set("c", 3, ttl=1)
    clock.now = 2.0
    assert cache.popitem() == ("b", 2)
    assert log == [("c", 3, "expired"), ("a", 1, "expired"), ("b", 2, "deleted")]
    with pytest.raises(KeyError):
        cache.popitem()


def test_expire_removes_what_is_due_in_the_order_of_the_deadlines(
    backend: ModuleType, clock: Clock
) -> None:
    log: list[object] = []
    cache = backend.Cache(99, timer=clock, on_evict=lambda *victim: log.append(victim[0]))
    for key, ttl in [("c", 3), ("a", 1), ("d", 4), ("b", 2), ("e", 5), ("a2", 1)]:
        cache.set(key, key, ttl=ttl)
    clock.now = 4.0
    assert cache.expire() == 5
    assert log == ["a", "a2", "b", "c", "d"]
    assert cache.expire() == 0
    assert cache.stats().expirations == 5


def test_equal_deadlines_come_due_in_the_order_of_their_assignment(
    backend: ModuleType, clock: Clock
) -> None:
    log: list[object] = []
    cache = backend.Cache(99, ttl=10, timer=clock, on_evict=lambda *victim: log.append(victim[0]))
    for key in "abcd":
        cache[key] = key
    cache.touch("b")
    cache.get("a")
    log.clear()
    clock.now = 10.0
    cache.expire()
    assert log == ["a", "c", "d", "b"]


def test_setting_an_expired_key_is_an_insertion(backend: ModuleType, clock: Clock) -> None:
    log: list[tuple[object, ...]] = []
    cache = backend.Cache(3, ttl=10, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache[1] = "old"
    clock.now = 10.0
    cache[True] = "new"
    assert log == [(1, "old", "expired")]
    assert [type(key) for key in cache] == [bool]
    assert cache.stats().expirations == 1


def test_expired_entries_make_room_before_live_ones(backend: ModuleType, clock: Clock) -> None:
    log: list[tuple[object, ...]] = []
    cache = backend.Cache(3, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache.set("live", 1)
    cache.set("due", 2, ttl=1)
    cache.set("later", 3, ttl=9)
    clock.now = 1.0
    cache.set("new", 4)
    assert log == [("due", 2, "expired")]
    assert list(cache) == ["live", "later", "new"]
    assert cache.stats().evictions == 0


def test_a_write_reclaims_up_to_eight_due_entries(backend: ModuleType, clock: Clock) -> None:
    log: list[object] = []
    cache = backend.Cache(99, timer=clock, on_evict=lambda *victim: log.append(victim[0]))
    for number in range(20):
        cache.set(number, number, ttl=1 + number)
    clock.now = 100.0
    cache.set("new", 1)
    assert log == list(range(8))
    cache.set("new", 2)
    assert log[8:] == [*range(8, 16), "new"]
    assert len(cache) == 1
    assert cache.stats().expirations == 20


def test_counting_and_iterating_reclaim_everything_due(backend: ModuleType, clock: Clock) -> None:
    sweeps: list[Callable[[Any], object]] = [
        len,
        list,
        lambda cache: cache.keys(),
        lambda cache: cache.values(),
        lambda cache: cache.items(),
        lambda cache: cache.stats(),
        lambda cache: cache.resize(50),
        lambda cache: cache.expire(),
    ]
    for sweep in sweeps:
        log: list[object] = []
        cache = backend.Cache(99, timer=clock, on_evict=lambda *victim: log.append(victim[0]))  # noqa: B023
        for number in range(20):
            cache.set(number, number, ttl=1)
        cache.set("live", 1)
        clock.advance(1)
        sweep(cache)
        assert log == list(range(20))
        assert list(cache) == ["live"]


def test_clear_does_not_tell_expired_entries_apart(backend: ModuleType, clock: Clock) -> None:
    log: list[tuple[object, ...]] = []
    cache = backend.Cache(9, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache.set("a", 1)
    cache.set("b", 2, ttl=1)
    cache.set("c", 3)
    cache.get("a")
    clock.now = 1.0
    cache.clear()
    assert log == [("b", 2, "deleted"), ("c", 3, "deleted"), ("a", 1, "deleted")]
    assert cache.stats().expirations == 0
