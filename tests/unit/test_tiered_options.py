"""`TieredCache`: its options, and what it tells of itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.loading import Source, settle
from tests.steps import now, run
from tests.stores import MemoryStore, Tiers

from penstock import Cache, TieredCache, _components
from penstock.caching import Loaded, TieredStats


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ttl": "1"}, "ttl must be a number of seconds or a timedelta, got str"),
        ({"l1": "1"}, "maxsize must be an int or None, got str"),
        ({"l1_ttl": "1"}, "l1_ttl must be a number"),
        ({"jitter": "1"}, "jitter must be a number, got str"),
        ({"refresh_after": "1"}, "refresh_after must be a number"),
        ({"early_refresh": "1"}, "early_refresh must be a number"),
        ({"stale_for": "1"}, "stale_for must be a number"),
        ({"stale": 1, "stale_for": 1}, "stale and stale_for are the same"),
        ({"throttle": "1"}, "throttle must be a number"),
        ({"soft_timeout": "1"}, "soft_timeout must be a number"),
        ({"hard_timeout": "1"}, "hard_timeout must be a number"),
        ({"completion_timeout": None}, "completion_timeout must be a number"),
        ({"negative_ttl": "1"}, "negative_ttl must be a number"),
        ({"negative_errors": "1"}, "negative_errors must be types of Exception, got '1'"),
        (
            {"negative_errors": (KeyError, KeyboardInterrupt), "negative_ttl": 1},
            "negative_errors must be types of Exception",
        ),
        ({"cache_if": 1}, "cache_if must be callable, got int"),
        ({"cache_if": asyncio.sleep}, "cache_if must be a plain function"),
        ({"lease": "1"}, "lease must be a number"),
        ({"store_timeout": None}, "store_timeout must be a number"),
        ({"timer": 1}, "timer must be callable, got int"),
        ({"name": 1}, "name must be a str, got int"),
        ({"tll": 1}, "unexpected keyword argument 'tll'"),
    ],
)
def test_options_of_wrong_types_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(TypeError, match=error):
        TieredCache(**{"ttl": 1, **options})


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ttl": 0}, "ttl must be > 0, got 0"),
        ({"ttl": float("nan")}, "ttl must be finite"),
        ({"l1": 0}, "maxsize must be >= 1, got 0"),
        ({"l1_ttl": -1}, "l1_ttl must be > 0"),
        ({"jitter": 1.0}, "jitter must be >= 0 and < 1, got 1.0"),
        ({"early_refresh": -1}, "early_refresh must be >= 0"),
        ({"stale_for": -1}, "stale_for must be > 0"),
        ({"throttle": -1}, "throttle must be > 0"),
        ({"negative_errors": KeyError}, "negative_errors needs negative_ttl"),
        ({"lease": 0}, "lease must be > 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        TieredCache(**{"ttl": 1, **options})


def test_ttl_has_to_be_given() -> None:
    cls: Any = TieredCache
    with pytest.raises(TypeError, match="ttl"):
        cls()


def test_stores_are_stores_and_each_is_given_once() -> None:
    cls: Any = TieredCache
    with pytest.raises(TypeError, match="stores must be stores, got str"):
        cls("redis://127.0.0.1", ttl=1)
    store = MemoryStore()
    with pytest.raises(ValueError, match="a store must be given once"):
        TieredCache(store, store, ttl=1)


def test_durations_may_be_timedeltas() -> None:
    cache = TieredCache(
        ttl=timedelta(minutes=1),
        l1_ttl=timedelta(seconds=5),
        stale=timedelta(hours=1),
        throttle=timedelta(),
        refresh_after=timedelta(seconds=30),
    )
    options = cache._options
    assert (options.ttl, options.l1_ttl, options.stale_for) == (60, 5, 3600)
    assert options.throttle == 0


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"ttl": "1"}, TypeError, "ttl must be a number"),
        ({"ttl": 0}, ValueError, "ttl must be > 0"),
        ({"tags": "abc"}, TypeError, "tags must be several str, got the str 'abc'"),
        ({"tags": [None]}, TypeError, "tags must be str, got NoneType"),
        ({"jitter": 1.0}, ValueError, "jitter must be >= 0 and < 1"),
        ({"throttle": -1}, ValueError, "throttle must be > 0"),
        ({"backplane": 1}, TypeError, "there is no option 'backplane', only cache_if, early_"),
        ({"negative_errors": KeyError}, ValueError, "needs negative_ttl"),
    ],
)
def test_wrong_options_of_calls_are_refused(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            with pytest.raises(error, match=text):
                await tiers.cache.get_or_load("k", str, **options)
            with pytest.raises(error, match=text):
                await tiers.cache.get_or_load_many([*"ab"], list, **options)
            assert tiers.cache._loads.flights == {}

    run(main())


def test_lives_are_shortened_by_the_jitter_of_a_call() -> None:
    async def main() -> None:
        async with Tiers(ttl=100) as tiers:
            cache, records = tiers.cache, tiers.shared[0].records
            for number in range(50):
                await cache.set(f"set {number}", 1, jitter=0.5)
                await cache.get_or_load(f"load {number}", str, jitter=0.5)
                await cache.get_or_load(
                    f"own {number}", lambda _: Loaded(1, ttl=50), jitter=0.5, l1_ttl=20
                )
            await cache.set("plain", 1)
            await settle()
            for what, longest in ("set", 100), ("load", 100), ("own", 50):
                ttls = {records[f"{what} {number}"].ttl for number in range(50)}
                assert len(ttls) > 25
                assert all(ttl is not None and longest / 2 <= ttl <= longest for ttl in ttls)
            entries = [cache._local.peek(f"own {number}") for number in range(50)]
            lives = {entry.note.fresh_until for entry in entries if entry is not None}
            assert len(lives) > 25
            assert all(10 <= life - now() <= 20 for life in lives)
            assert records["plain"].ttl == 100

    run(main())


def test_time_in_memory_of_what_a_store_has_is_shortened_too() -> None:
    async def main() -> None:
        async with Tiers(l1_ttl=20, jitter=0.5) as tiers:
            keys = [str(number) for number in range(50)]
            await tiers.cache.set_many(dict.fromkeys(keys, 1))
            tiers.cache._local.clear()
            for key in keys:
                assert await tiers.cache.get(key) == 1
            entries = [tiers.cache._local.peek(key) for key in keys]
            lives = {entry.note.fresh_until for entry in entries if entry is not None}
            assert len(lives) > 25
            assert all(10 <= life - now() <= 20 for life in lives)

    run(main())


def test_throttle_of_a_call() -> None:
    async def main() -> None:
        async with Tiers(ttl=10, stale_for=100, throttle=30) as tiers:
            source = Source()
            await tiers.cache.set("k", "old")
            await asyncio.sleep(11)
            source.fails = True
            for _ in range(3):
                assert await tiers.cache.get_or_load("k", source, throttle=5) == "old"
            assert len(source.calls) == 1
            await asyncio.sleep(6)
            assert await tiers.cache.get_or_load("k", source, throttle=0) == "old"
            assert await tiers.cache.get_or_load("k", source) == "old"
            assert len(source.calls) == 3

    run(main())


def test_loaded_is_checked() -> None:
    assert repr(Loaded(1, ttl=5)) == "Loaded(1)"
    wrong: Any
    for wrong in ({"ttl": "1"}, {"tags": "abc"}, {"tags": [1]}):
        with pytest.raises(TypeError):
            Loaded(1, **wrong)
    for ttl in (float("inf"), float("-inf"), float("nan")):
        with pytest.raises(ValueError, match="ttl must be"):
            Loaded(1, ttl=ttl)


# statistics


def test_statistics_tell_what_happened() -> None:
    async def main() -> None:
        async with Tiers(2, name="users") as tiers:
            cache = tiers.cache
            assert cache.stats().hit_ratio == 0.0
            await cache.set_many({"a": 1, "b": 2})
            assert await cache.get("a") == 1
            tiers.forget()
            assert await cache.get("b") == 2
            assert await cache.get("c") is None
            assert await cache.get_or_load("d", str) == "d"
            assert await cache.get_or_load("d", str) == "d"
            with pytest.raises(ZeroDivisionError):
                await cache.get_or_load("e", lambda _: 1 / 0)
            await cache.delete_many([*"ab"])
            await cache.invalidate_tags("t", "u")
            await settle()
            stats = cache.stats()
            assert isinstance(stats, TieredStats)
            assert (stats.hits, stats.l1_hits, stats.misses) == (3, 2, 3)
            assert stats.hit_ratio == 0.5
            assert (stats.loads, stats.load_failures, stats.loading) == (1, 1, 0)
            assert (stats.sets, stats.deletes, stats.invalidations) == (2, 2, 2)
            assert stats.load_seconds >= 0.0
            assert stats.l1.size == len(cache._local.cache)
            near, far = stats.tiers
            assert (near.name, far.name) == ("store 0", "store 1")
            assert (near.hits, near.misses, near.fills, near.sets) == (1, 3, 1, 2)
            with pytest.raises(AttributeError):
                stats.hits = 1  # type: ignore[misc]

    run(main())


def test_statistics_of_a_value_that_had_to_be_looked_at() -> None:
    async def main() -> None:
        async with Tiers(0, ttl=10, stale_for=100, refresh_after=5) as tiers:
            cache = tiers.cache
            await cache.set("k", 1)
            await asyncio.sleep(6)
            assert await cache.get("k") == 1
            await asyncio.sleep(6)
            assert await cache.get("k") is None
            stats = cache.stats()
            assert (stats.hits, stats.misses) == (1, 1)

    run(main())


def test_named_cache_is_shown_with_its_tiers() -> None:
    cache = TieredCache(MemoryStore(name="redis"), ttl=60, name="users")
    other = TieredCache(MemoryStore(), ttl=60)
    shown = {entry.name: entry() for entry in _components.entries()}
    assert shown["users"] is cache
    assert shown["users.l1"] is cache._local.cache
    assert shown["users.redis"] is cache._tiers[0]
    assert other not in shown.values()
    kind, stats = _components.stats_of(cache)
    assert kind.name == "tiered_cache"
    for field in kind.fields:
        assert isinstance(getattr(stats, field.attribute), int | float), field
    own: Cache[str, Any] = Cache(10)
    assert TieredCache(ttl=1, l1=own)._local.cache is own
