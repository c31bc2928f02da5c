"""What cached functions are for: results of tools, and queries dropped when data change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.steps import run

from penstock import TieredCache

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.caching import TieredFunction


class Tools:
    """Tools by name; only results of those that change nothing are kept."""

    def __init__(self, cache: TieredCache) -> None:
        self.files = {"a.txt": "old", "b.txt": "b"}
        self.reads: list[str] = []
        self.read = cache.cached(self._read, prefix="tool:read_file", key=lambda path: path)
        self.search = cache.cached(self._search, prefix="tool:search")
        self.write = self._write

    async def _read(self, path: str) -> str:
        self.reads.append(path)
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    async def _search(self, text: str, limit: int = 10) -> list[str]:
        self.reads.append(f"? {text}")
        return [path for path, content in self.files.items() if text in content][:limit]

    async def _write(self, path: str, text: str) -> None:
        self.files[path] = text
        await self.read.invalidate(path)
        await self.search.invalidate_all()


def test_tool_results_are_kept_per_tool_and_forgotten_when_a_tool_writes() -> None:
    async def main() -> None:
        cache = TieredCache(ttl=3600)
        tools = Tools(cache)
        for _ in range(3):
            assert await tools.read("a.txt") == "old"
            assert await tools.read("b.txt") == "b"
            assert await tools.search("b") == ["b.txt"]
            assert await tools.search("b", limit=5) == ["b.txt"]
        assert tools.reads == ["a.txt", "b.txt", "? b", "? b"]
        await tools.write("a.txt", "b too")
        assert await tools.read("a.txt") == "b too"
        assert await tools.read("b.txt") == "b"
        assert await tools.search("b") == ["a.txt", "b.txt"]
        assert tools.reads[4:] == ["a.txt", "? b"]
        read, search = tools.read.stats(), tools.search.stats()
        assert (read.calls, read.hits, read.misses) == (8, 5, 3)
        assert (search.calls, search.hits, search.misses) == (7, 4, 3)

    run(main())


def test_tool_results_are_forgotten_by_pattern() -> None:
    async def main() -> None:
        cache = TieredCache(ttl=3600)
        tools = Tools(cache)

        async def use() -> int:
            tools.reads.clear()
            for path in ("a.txt", "b.txt"):
                await tools.read(path)
            await tools.search("b")
            return len(tools.reads)

        assert [await use(), await use()] == [3, 0]
        for pattern, gone in [("tool:read_file:*.txt", 2), ("tool:*:a*", 1), ("tool:*", 3)]:
            assert await cache.invalidate_glob(pattern)
            assert [await use(), await use()] == [gone, 0]

    run(main())


def test_failed_tool_calls_are_not_kept() -> None:
    async def main() -> None:
        tools = Tools(TieredCache(ttl=3600))
        with pytest.raises(FileNotFoundError):
            await tools.read("new.txt")
        tools.files["new.txt"] = "new"
        assert await tools.read("new.txt") == "new"
        assert tools.read.stats().failures == 1

    run(main())


class Database:
    """Tables, and a query that is cached until one of its tables changes."""

    def __init__(self, cache: TieredCache) -> None:
        self.rows: dict[str, list[object]] = {"users": ["Ada"], "orders": [1, 2]}
        self.asked: list[str] = []
        self._cache = cache
        self.pause: Callable[[], Awaitable[object]] | None = None
        self.query: TieredFunction[..., list[object]] = cache.cached(
            self._query, tags=lambda sql, *params, tables: [f"table:{table}" for table in tables]
        )

    async def _query(self, sql: str, *params: Any, tables: tuple[str, ...]) -> list[object]:
        self.asked.append(sql)
        found = [row for table in tables for row in self.rows[table]]
        if self.pause is not None:
            await self.pause()
        return found

    async def insert(self, table: str, row: object) -> None:
        self.rows[table].append(row)
        await self._cache.invalidate_tags(f"table:{table}")


def test_queries_are_dropped_when_their_data_change() -> None:
    async def main() -> None:
        db = Database(TieredCache(ttl=600))

        async def ask() -> list[list[object]]:
            return [
                await db.query("users", tables=("users",)),
                await db.query("orders", tables=("orders",)),
                await db.query("both", 1, "x", tables=("users", "orders")),
            ]

        assert await ask() == await ask() == [["Ada"], [1, 2], ["Ada", 1, 2]]
        await db.insert("users", "Bob")
        assert await ask() == [["Ada", "Bob"], [1, 2], ["Ada", "Bob", 1, 2]]
        assert db.asked == ["users", "orders", "both", "users", "both"]

    run(main())


def test_a_query_that_ran_while_its_data_changed_is_not_kept() -> None:
    async def main() -> None:
        db = Database(TieredCache(ttl=600))

        async def pause() -> None:
            db.pause = None
            await db.insert("users", "Bob")

        db.pause = pause
        assert await db.query("users", tables=("users",)) == ["Ada"]
        assert await db.query("users", tables=("users",)) == ["Ada", "Bob"]

    run(main())
