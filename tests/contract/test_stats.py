"""What a cache counts, and the object that shows it."""

from __future__ import annotations

from types import ModuleType

import pytest
from tests.clock import Clock

FIELDS = {
    "hits": 1,
    "misses": 3,
    "loads": 4,
    "load_failures": 5,
    "load_seconds": 1.5,
    "evictions": 6,
    "expirations": 7,
    "size": 8,
    "weight": 9,
    "maxsize": 10,
}


def test_fields_are_what_was_given(backend: ModuleType) -> None:
    stats = backend.CacheStats(**FIELDS)
    for name, value in FIELDS.items():
        assert getattr(stats, name) == value


def test_fields_default_to_zero(backend: ModuleType) -> None:
    stats = backend.CacheStats()
    for name in FIELDS:
        assert getattr(stats, name) == (None if name == "maxsize" else 0)
    assert type(stats.load_seconds) is float


def test_repr_is_that_of_a_dataclass(backend: ModuleType) -> None:
    assert repr(backend.CacheStats(**FIELDS)) == (
        "CacheStats(hits=1, misses=3, loads=4, load_failures=5, load_seconds=1.5, "
        "evictions=6, expirations=7, size=8, weight=9, maxsize=10)"
    )
    assert repr(backend.CacheStats()) == (
        "CacheStats(hits=0, misses=0, loads=0, load_failures=0, load_seconds=0.0, "
        "evictions=0, expirations=0, size=0, weight=0, maxsize=None)"
    )


def test_stats_with_equal_fields_are_equal(backend: ModuleType) -> None:
    stats = backend.CacheStats(**FIELDS)
    assert stats == backend.CacheStats(**FIELDS)
    assert hash(stats) == hash(backend.CacheStats(**FIELDS))
    for name, value in FIELDS.items():
        assert stats != backend.CacheStats(**{**FIELDS, name: value + 1})
    assert stats != tuple(FIELDS.values())
    assert stats != None  # noqa: E711  # the comparison is the subject


def test_stats_are_frozen(backend: ModuleType) -> None:
    stats = backend.CacheStats(hits=1)
    with pytest.raises(AttributeError):
        stats.hits = 2
    with pytest.raises(AttributeError):
        del stats.hits
    assert stats.hits == 1


def test_fields_are_keyword_only(backend: ModuleType) -> None:
    with pytest.raises(TypeError):
        backend.CacheStats(1)
    with pytest.raises(TypeError):
        backend.CacheStats(unknown=1)


def test_the_hit_ratio_is_that_of_all_reads(backend: ModuleType) -> None:
    assert backend.CacheStats().hit_ratio == 0.0
    assert type(backend.CacheStats().hit_ratio) is float
    assert backend.CacheStats(hits=1, misses=3).hit_ratio == 0.25
    assert backend.CacheStats(hits=5).hit_ratio == 1.0
    assert backend.CacheStats(misses=5).hit_ratio == 0.0


def test_the_class_says_where_it_is_imported_from(backend: ModuleType) -> None:
    assert backend.CacheStats.__module__ == "penstock"
    assert backend.CacheStats.__qualname__ == "CacheStats"


def test_reads_are_counted(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache.update(a=1, b=2)
    cache["a"]
    cache.get("a")
    cache.get("x")
    with pytest.raises(KeyError):
        cache["x"]
    cache.get_many(["a", "b", "x"])
    cache.get_or_load("b", str)
    cache.setdefault("a", 1)
    cache.setdefault("y", 1)
    stats = cache.stats()
    assert (stats.hits, stats.misses) == (6, 4)


def test_looking_and_writing_are_not_counted(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache["a"] = 1
    cache.peek("a")
    cache.peek("x")
    assert "a" in cache
    assert "x" not in cache
    cache.touch("a")
    cache.touch("x")
    cache.ttl_of("a")
    cache.pop("x", None)
    cache.pop("a")
    list(cache)
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.hit_ratio) == (0, 0, 0.0)


def test_loads_are_counted_and_timed(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(9, timer=clock)

    def load(key: float) -> float:
        clock.advance(abs(key))
        return 1 / max(key, 0)

    cache.get_or_load(2.0, load)
    cache.get_or_load(2.0, load)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_load(-0.5, load)
    assert cache.stats() == backend.CacheStats(
        hits=1, misses=2, loads=1, load_failures=1, load_seconds=2.5, size=1, weight=1, maxsize=9
    )


def test_only_leaving_for_room_or_age_is_counted(backend: ModuleType, clock: Clock) -> None:
    cache = backend.Cache(2, timer=clock)
    cache.update(a=1, b=2, c=3)
    cache["b"] = 4
    cache.set("d", 1, ttl=1)
    clock.now = 1.0
    cache.expire()
    cache.pop("b")
    cache.clear()
    stats = cache.stats()
    assert (stats.evictions, stats.expirations) == (2, 1)


def test_reset_zeroes_what_happened_but_not_what_is_there(
    backend: ModuleType, clock: Clock
) -> None:
    cache = backend.Cache(2, timer=clock)
    cache.set("x", 1, ttl=1)
    clock.now = 1.0
    cache.update(a=1, b=2, c=3)
    cache.get("c")
    cache.get("x")
    cache.get_or_load("d", lambda key: clock.advance(1))
    with pytest.raises(ZeroDivisionError):
        cache.get_or_load("e", lambda key: 1 / 0)
    stats = cache.stats()
    assert 0 not in (
        stats.hits,
        stats.misses,
        stats.loads,
        stats.load_failures,
        stats.load_seconds,
        stats.evictions,
        stats.expirations,
    )
    assert cache.reset_stats() is None
    assert cache.stats() == backend.CacheStats(size=2, weight=2, maxsize=2)
    assert stats.hits == 1


def test_both_backends_say_how_they_were_built(backend: ModuleType) -> None:
    info = backend.build_info()
    assert set(info) == {"version", "profile", "abi3"}
    assert info["profile"] in {"release", "debug", "pure"}
    assert type(info["abi3"]) is bool


def test_figures_for_a_scrape_reclaim_nothing(backend: ModuleType) -> None:
    clock, gone = Clock(), []
    cache = backend.Cache(10, ttl=1, timer=clock, on_evict=lambda *entry: gone.append(entry))
    cache["a"] = cache["b"] = 1
    clock.advance(2)
    figures = cache._figures()
    assert (figures.size, figures.weight, figures.expirations, gone) == (2, 2, 0, [])
    assert (cache.stats().size, len(gone)) == (0, 2)
