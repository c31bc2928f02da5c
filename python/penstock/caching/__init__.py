"""Caches: the bounded mapping, the decorator over it, and tiers of caches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock import _components
from penstock._backend import Cache, CacheStats, set_named, set_recursive_load
from penstock._lazy import lazy
from penstock.caching._cached import cached
from penstock.caching._families import CACHE_FIELDS
from penstock.caching._types import CachedCoroutineFunction, CachedFunction
from penstock.errors import RecursiveLoad

if TYPE_CHECKING:
    from penstock.caching._function import FunctionStats, TieredFunction
    from penstock.caching._loaded import Loaded
    from penstock.caching._named import tiered_caches
    from penstock.caching._tier_stats import TierStats
    from penstock.caching._tiered import TieredCache
    from penstock.caching._tiered_stats import TieredStats
    from penstock.caching._warmup import WarmupReport, warmup

__all__ = [
    "Cache",
    "CacheStats",
    "CachedCoroutineFunction",
    "CachedFunction",
    "FunctionStats",
    "Loaded",
    "TierStats",
    "TieredCache",
    "TieredFunction",
    "TieredStats",
    "WarmupReport",
    "cached",
    "tiered_caches",
    "warmup",
]

# What needs asyncio is imported when its first name is asked for.
_HOMES = {
    "FunctionStats": "penstock.caching._function",
    "Loaded": "penstock.caching._loaded",
    "TierStats": "penstock.caching._tier_stats",
    "TieredCache": "penstock.caching._tiered",
    "TieredFunction": "penstock.caching._function",
    "TieredStats": "penstock.caching._tiered_stats",
    "WarmupReport": "penstock.caching._warmup",
    "tiered_caches": "penstock.caching._named",
    "warmup": "penstock.caching._warmup",
}

__getattr__, __dir__ = lazy(__name__, _HOMES)

set_recursive_load(RecursiveLoad)

_components.describe("cache", CacheStats, CACHE_FIELDS)
set_named(_components.enter)
