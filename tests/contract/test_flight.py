"""The protocol by which the asynchronous layer loads: begin, commit, abandon, invalidate."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import ModuleType

import pytest
from tests.clock import Clock


def test_a_committed_flight_is_stored_and_counted(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(9, ttl=10, timer=clock)
    flight = cache._begin("a")
    assert isinstance(flight, backend.Flight)
    assert flight.valid is True
    assert cache._commit(flight, "value", 1.5) is True
    assert cache["a"] == "value"
    assert cache.ttl_of("a") == 10.0
    stats = cache.stats()
    assert (stats.loads, stats.load_seconds, stats.load_failures) == (1, 1.5, 0)


def test_a_commit_can_have_a_ttl_of_its_own(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(9, ttl=10, timer=clock)
    cache._commit(cache._begin("a"), 1, 0.0, ttl=3)
    cache._commit(cache._begin("b"), 1, 0.0, None)
    cache._commit(cache._begin("c"), 1, 0.0, ...)
    assert [cache.ttl_of(key) for key in "abc"] == [3.0, None, 10.0]


def test_an_abandoned_flight_stores_nothing(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    assert cache._abandon(cache._begin("a")) is None
    assert cache.stats() == backend.CacheStats(maxsize=9)
    cache._abandon(cache._begin("a"), 2.5)
    assert cache.stats() == backend.CacheStats(load_failures=1, load_seconds=2.5, maxsize=9)
    assert len(cache) == 0


def test_beginning_counts_no_read(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache._begin("a")
    assert cache.stats() == backend.CacheStats(maxsize=9)


def test_a_registered_flight_is_shared(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    flight = cache._begin(1)
    assert cache._begin(True) is flight
    assert cache._begin(2) is not flight


def test_the_last_user_unregisters_a_flight(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    flight = cache._begin("a")
    cache._begin("a")
    cache._abandon(flight)
    assert cache._begin("a") is flight
    cache._abandon(flight)
    cache._commit(flight, 1, 0.0)
    assert cache._begin("a") is not flight


def test_a_flight_outlives_the_commit_of_another_user(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    flight = cache._begin("a")
    cache._begin("a")
    assert cache._commit(flight, "first", 0.0) is True
    assert flight.valid
    assert cache._commit(flight, "second", 0.0) is True
    assert cache["a"] == "second"


INVALIDATIONS: dict[str, Callable[..., object]] = {
    "set": lambda cache: cache.set("a", "set"),
    "set item": lambda cache: cache.__setitem__("a", "set"),
    "update": lambda cache: cache.update(a="set"),
    "set_many": lambda cache: cache.set_many({"a": "set"}),
    "setdefault": lambda cache: cache.setdefault("a", "set"),
    "pop": lambda cache: cache.pop("a", None),
    "clear": lambda cache: cache.clear(),
    "_invalidate": lambda cache: cache._invalidate("a"),
    "supersede": lambda cache: cache._begin("a", True),
    "supersede by name": lambda cache: cache._begin("a", supersede=True),
}


@pytest.mark.parametrize("name", INVALIDATIONS)
def test_an_invalidated_flight_is_not_stored(backend: ModuleType, name: str) -> None:
    cache = backend.Cache(9)
    flight = cache._begin("a")
    INVALIDATIONS[name](cache)
    assert flight.valid is False
    before = cache.peek("a")
    assert cache._commit(flight, "late", 1.0) is False
    assert cache.peek("a") == before
    assert cache.stats().loads == 1
    assert cache._begin("a") is not flight


def test_a_set_that_is_refused_invalidates_nothing(backend: ModuleType) -> None:
    cache = backend.Cache(9, weigher=lambda key, value: value)
    flight = cache._begin("a")
    refusals: list[Callable[[], object]] = [
        lambda: cache.set("a", 10),
        lambda: cache.set("a", -1),
        lambda: cache.set("a", 1, ttl=0),
    ]
    for refused in refusals:
        with pytest.raises(ValueError):
            refused()
    assert flight.valid is True


def test_looking_and_reading_invalidate_nothing(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache["a"] = 1
    flight = cache._begin("a")
    cache.get("a")
    cache.peek("a")
    cache.touch("a")
    cache.setdefault("a", 2)
    cache.resize(3)
    cache.expire()
    cache.pop("b", None)
    assert flight.valid is True


def test_a_superseded_flight_gives_way_to_a_new_one(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    old = cache._begin("a")
    new = cache._begin("a", supersede=True)
    assert old is not new
    assert (old.valid, new.valid) == (False, True)
    assert cache._begin("a") is new
    assert cache._commit(new, "new", 0.0) is True
    assert cache._commit(old, "old", 0.0) is False
    assert cache["a"] == "new"


def test_releasing_an_old_flight_leaves_the_new_one_registered(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    old = cache._begin("a")
    new = cache._begin("a", supersede=True)
    cache._abandon(old)
    assert cache._begin("a") is new


def test_a_commit_replaces_a_value_as_a_set_does(backend: ModuleType) -> None:
    log: list[object] = []
    cache = backend.Cache(2, on_evict=lambda *victim: log.append(victim))
    cache.update(a=1, b=2)
    cache._commit(cache._begin("a"), 3, 0.0)
    assert list(cache.items()) == [("b", 2), ("a", 3)]
    cache._commit(cache._begin("c"), 4, 0.0)
    assert log == [("a", 1, "replaced"), ("b", 2, "size")]


def test_a_heavy_value_is_not_stored_and_not_an_error(backend: ModuleType) -> None:
    cache = backend.Cache(9, weigher=lambda key, value: value)
    cache["a"] = 1
    flight = cache._begin("a")
    assert cache._commit(flight, 10, 1.0) is False
    assert cache["a"] == 1
    assert cache.stats().loads == 1
    assert cache._begin("a") is not flight


def test_a_commit_that_raises_releases_its_flight(backend: ModuleType) -> None:
    cache = backend.Cache(9, weigher=lambda key, value: value)
    flight = cache._begin("a")
    with pytest.raises(TypeError, match=r"^weigher must return an int, got str$"):
        cache._commit(flight, "x", 1.0)
    assert cache._begin("a") is not flight


def test_invalidate_removes_and_says_whether_there_was_anything(
    backend: ModuleType, clock: Clock
) -> None:
    log: list[object] = []
    cache = backend.Cache(9, timer=clock, on_evict=lambda *victim: log.append(victim))
    cache["a"] = 1
    cache.set("b", 2, ttl=1)
    clock.now = 1.0
    assert cache._invalidate("a") is True
    assert cache._invalidate("b") is False
    assert cache._invalidate("c") is False
    assert log == [("a", 1, "deleted"), ("b", 2, "expired")]
    assert cache.stats().misses == 0


def test_a_thread_leads_beside_a_flight_that_nobody_leads(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    flight = cache._begin("a")
    assert cache.get_or_load("a", lambda key: "thread") == "thread"
    assert flight.valid is True
    assert cache._commit(flight, "task", 0.0) is True
    assert cache["a"] == "task"


def test_valid_cannot_be_written(backend: ModuleType) -> None:
    flight = backend.Cache(9)._begin("a")
    with pytest.raises(AttributeError):
        flight.valid = False


def test_a_cache_does_not_live_on_in_its_flights(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    reference = weakref.ref(cache)
    flight = cache._begin("a")
    del cache
    assert reference() is None
    assert flight.valid is True
