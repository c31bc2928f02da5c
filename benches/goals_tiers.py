"""The goals of caches in tiers, and of what they stand on."""

from __future__ import annotations

from typing import Final

from goal import Goal, ratio, value, worst

__all__ = ["TIERS_GOALS"]

_TIERED: Final = "penstock TieredCache"
_HYBRID: Final = "penstock TieredCache, SQLite and Redis"
_STORE: Final = "penstock SqliteStore"


def _at_least(claim: str, row: str, ours: str, theirs: str, limit: float) -> Goal:
    return Goal(claim, row, ratio(ours, theirs), limit, at_least=True)


TIERS_GOALS: Final[tuple[Goal, ...]] = (
    Goal(
        "await of a hit in memory, TieredCache / a trivial async def",
        "tiers.get",
        ratio(_TIERED, "trivial async def"),
        1.0,
    ),
    *(
        _at_least(
            f"await of a hit in memory, {peer} / TieredCache", "tiers.get", peer, _TIERED, 100
        )
        for peer in ("cashews, mem://", "aiocache SimpleMemoryCache")
    ),
    _at_least(
        "a file of 10 KB read / the tool call from the cache",
        "functions.tool",
        "no cache, the file is read",
        "penstock TieredCache.cached",
        10,
    ),
    Goal(
        "one caller's read from Redis, TieredCache / redis-py",
        "redis.get",
        ratio(_TIERED, "redis-py"),
        1.0,
    ),
    _at_least(
        "50 callers read from Redis, TieredCache / redis-py", "redis.gets", _TIERED, "redis-py", 8
    ),
    _at_least(
        "1,000 values set in Redis, TieredCache / redis-py", "redis.sets", _TIERED, "redis-py", 8
    ),
    Goal(
        "values saved in SQLite and Redis",
        "hybrid.save",
        value(_HYBRID),
        20_000,
        "values/s",
        at_least=True,
    ),
    Goal("the same read", "hybrid.read", value(_HYBRID), 50_000, "values/s", at_least=True),
    Goal("a delete seen by another process, p99", "tiers.told", value(_TIERED), 10, "ms"),
    # What is above the 100 ms is the loader's, and that of a machine that others use as well.
    Goal(
        "a load while Redis is frozen, 100 ms for Redis, longest of the first",
        "tiers.frozen",
        worst(_TIERED),
        120,
        "ms",
    ),
    Goal(
        "the same with the circuit breaker open, p99 / the loader alone",
        "tiers.open",
        ratio(_TIERED, "the loader alone"),
        1.25,
    ),
    *(
        _at_least(
            f"50 tasks read from a file, SqliteStore / {peer}", "stores.gets", _STORE, peer, limit
        )
        for peer, limit in (("diskcache in threads", 1.5), ("aiosqlite and json", 2.5))
    ),
)
