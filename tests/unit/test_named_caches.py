"""`tiered_caches`: settings become caches, or a message that says what is wrong with them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from penstock import RedisStore, SqliteStore
from penstock.caching import tiered_caches

if TYPE_CHECKING:
    from pathlib import Path


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    async def main() -> None:
        where = f"sqlite:{tmp_path / 'caches.db'}"
        settings = {
            "embedding": {"maxsize": 5_000},
            "memory_results": {"maxsize": 2_000, "ttl": 600},
            "canvas_files": {
                "maxsize": 200,
                "ttl": 3_600,
                "l1_ttl": 60,
                "store": where,
                "store_timeout": 10,
            },
        }
        caches = tiered_caches(settings)
        assert list(caches) == list(settings)
        assert [cache.name for cache in caches.values()] == list(settings)
        assert [cache._options.ttl for cache in caches.values()] == [None, 600.0, 3_600.0]
        assert caches["canvas_files"]._options.l1_ttl == 60.0
        assert [cache.stats().l1.maxsize for cache in caches.values()] == [5_000, 2_000, 200]
        for cache in caches.values():
            assert await cache.set("k", cache.name)
            await cache.aclose()
        again = tiered_caches(settings)
        assert [await cache.get("k") for cache in again.values()] == [None, None, "canvas_files"]
        for cache in again.values():
            await cache.aclose()

    asyncio.run(main())


def test_no_maxsize_is_a_memory_without_limit() -> None:
    async def main() -> None:
        cache = tiered_caches({"a": {"maxsize": None}})["a"]
        assert await cache.set_many(dict.fromkeys(map(str, range(20_000)), 1))
        assert await cache.get("0") == 1
        assert cache.stats().l1.maxsize is None
        assert cache._local.cache.name == "a.l1"
        await cache.aclose()

    asyncio.run(main())


def test_caches_in_one_file_do_not_see_each_other(tmp_path: Path) -> None:
    async def main() -> None:
        where = f"sqlite:{tmp_path / 'caches.db'}"
        settings = {name: {"store": where, "ttl": 60, "store_timeout": 10} for name in ("a", "b")}
        caches = tiered_caches(settings)
        await caches["a"].set("k", 1)
        await caches["b"].set("k", 2)
        await caches["a"].clear()
        for cache in caches.values():
            await cache.aclose()
        caches = tiered_caches(settings)  # with nothing in memory
        assert await caches["a"].get("k") is None
        assert await caches["b"].get("k") == 2
        for cache in caches.values():
            await cache.aclose()

    asyncio.run(main())


def test_stores_can_be_several_and_given(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    given = SqliteStore(tmp_path / "given.db")
    made = tiered_caches(
        {"a": {"store": ["redis://127.0.0.1:9/0", "file"]}, "b": {}}, stores={"file": given}
    )
    tiers = [tier.store for tier in made["a"]._tiers]
    assert [type(store) for store in tiers] == [RedisStore, SqliteStore]
    assert tiers[1] is given
    assert list(made["b"]._tiers) == []


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ([], TypeError, "settings must be a mapping, got list"),
        ({"a": []}, TypeError, "cache 'a': settings must be a mapping, got list"),
        ({1: {}}, TypeError, "a cache has a str as its name, got 1"),
        ({"": {}}, TypeError, "a cache has a str as its name, got ''"),
        ({"a": {"max_size": 5}}, ValueError, "cache 'a': unknown setting 'max_size' .did you mean"),
        ({"a": {"x": 5}}, ValueError, "unknown setting 'x'; there are 'early_refresh', .*'ttl'$"),
        ({"a": {"maxsize": 0}}, ValueError, "cache 'a': .*maxsize.*0"),
        ({"a": {"maxsize": "5"}}, TypeError, "cache 'a': "),
        ({"a": {"ttl": -1}}, ValueError, "cache 'a': ttl"),
        ({"a": {"store": "oracle:x"}}, ValueError, "cache 'a': unknown store 'oracle:x': 'sqlite:"),
        ({"a": {"store": "sqlite:"}}, ValueError, "unknown store 'sqlite:'"),
        ({"a": {"store": 5}}, TypeError, "store must be a str or a list of them, got int"),
        ({"a": {"store": [5]}}, TypeError, "store must be a str or a list of them, got int"),
    ],
)
def test_wrong_settings_are_refused(settings: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tiered_caches(settings)


def test_one_store_does_not_serve_two_caches(tmp_path: Path) -> None:
    stores = {"file": SqliteStore(tmp_path / "one.db")}
    with pytest.raises(ValueError, match="cache 'b': store 'file' is that of cache 'a' already"):
        tiered_caches({"a": {"store": "file"}, "b": {"store": "file"}}, stores=stores)
