"""Caches: the bounded mapping, and the decorator over it."""

from __future__ import annotations

from penstock import _components
from penstock._backend import Cache, CacheStats, set_named, set_recursive_load
from penstock.caching._cached import cached
from penstock.caching._families import CACHE_FIELDS
from penstock.caching._types import CachedCoroutineFunction, CachedFunction
from penstock.errors import RecursiveLoad

__all__ = ["Cache", "CacheStats", "CachedCoroutineFunction", "CachedFunction", "cached"]

set_recursive_load(RecursiveLoad)

_components.describe("cache", CacheStats, CACHE_FIELDS)
set_named(_components.enter)
