"""What is between the service and its database: nothing, `cached`, or a `TieredCache`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from penstock import TieredCache, cached
from penstock.metrics import track

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from penstock import CacheStats
    from penstock.stores import Store

    Read = Callable[[int], Coroutine[object, object, bytes | None]]
    Fetch = Callable[[int], Awaitable[bytes | None]]

__all__ = ["CacheCounts", "Caching", "NoCache", "OneTier", "Tiers"]

_TTL: Final = 300.0
_NAME: Final = "documents"


class CacheCounts(NamedTuple):
    """What the service tells of its cache."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    l2_hits: int = 0


class Caching(Protocol):
    """What the service needs of either."""

    def wrap(self, read: Read) -> Fetch:
        """Return what the service calls in the place of *read*."""
        ...

    def counts(self) -> CacheCounts:
        """Return its figures."""
        ...

    async def close(self) -> None:
        """Let go of what it has open."""


class NoCache:
    """
    Every request is served from the database.
    """

    __slots__ = ()

    def wrap(self, read: Read) -> Fetch:
        """
        Return *read* itself.
        """
        return read

    def counts(self) -> CacheCounts:
        """
        Return zeros.
        """
        return CacheCounts()

    async def close(self) -> None:
        """
        Do nothing.
        """


class OneTier:
    """
    The results are kept in memory.

    Args:
        maxsize: How many.
    """

    __slots__ = ("_maxsize", "_stats")

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._stats: Callable[[], CacheStats] | None = None

    def wrap(self, read: Read) -> Fetch:
        """
        Return *read* under ``cached``.
        """
        memo = track(cached(maxsize=self._maxsize, ttl=_TTL)(read), _NAME)
        self._stats = memo.stats
        return memo

    def counts(self) -> CacheCounts:
        """
        Return its figures.
        """
        if self._stats is None:
            return CacheCounts()
        stats = self._stats()
        return CacheCounts(stats.hits, stats.misses, stats.evictions)

    async def close(self) -> None:
        """
        Do nothing.
        """


class Tiers:
    """
    The results are kept in memory and, if there is a store, in that as well.

    Args:
        maxsize: How many in memory.
        stores: At most one.
    """

    __slots__ = ("_cache",)

    def __init__(self, maxsize: int, *stores: Store) -> None:
        self._cache = TieredCache(*stores, l1=maxsize, ttl=_TTL, store_timeout=2.0, name=_NAME)

    def wrap(self, read: Read) -> Fetch:
        """
        Return *read* under ``cache.cached``.
        """
        return self._cache.cached(read, prefix=_NAME)

    def counts(self) -> CacheCounts:
        """
        Return its figures.
        """
        stats = self._cache.stats()
        l2_hits = sum(tier.hits for tier in stats.tiers)
        return CacheCounts(stats.hits, stats.misses, stats.l1.evictions, l2_hits)

    async def close(self) -> None:
        """
        Wait for what is being stored, and close the store.
        """
        await self._cache.aclose()
