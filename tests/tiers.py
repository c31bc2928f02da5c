"""What tests of caches over real servers share: caches at both ends of a proxy, and patience."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from penstock import RedisStore, TieredCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["LIMIT", "Loader", "cache_over", "listening", "recovered", "the_tier", "until"]

#: Seconds after which something that should have happened has not.
LIMIT = 15.0


class Loader:
    """
    Gives a key's value from behind the cache, and counts how often it was asked.

    Args:
        value: What it gives.
    """

    def __init__(self, value: object = "loaded") -> None:
        self.value = value
        self.calls = 0

    async def __call__(self, key: str) -> object:
        self.calls += 1
        return self.value


@contextlib.asynccontextmanager
async def cache_over(
    url: str, *, store: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[TieredCache]:
    """
    A cache over a Redis server, for the length of the block.

    Args:
        url: Of the server.
        store: Options of the RedisStore.
        options: Of the cache.
    """
    async with TieredCache(RedisStore(url, **(store or {})), **{"ttl": 60.0, **options}) as cache:
        yield cache


def the_tier(cache: TieredCache) -> Any:
    """Return the statistics of the only store."""
    (tier,) = cache.stats().tiers
    return tier


async def until(true: Callable[[], Awaitable[object] | object]) -> None:
    """Wait until something has come true that only a server or another process can bring about."""
    async with asyncio.timeout(LIMIT):
        while True:
            answer = true()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            await asyncio.sleep(0.01)


async def listening(cache: TieredCache) -> None:
    """Wait until it is told what others change: what came into memory before is looked up anew."""
    await cache.get("nobody has this")
    (tier,) = cache._tiers
    store: Any = tier.store
    await until(lambda: store.stats().listening)


async def recovered(cache: TieredCache) -> None:
    """
    Wait until every store answers again, and has got what it had missed.

    Circuit breakers that are open are closed: their two seconds are the subject of other tests.
    """

    async def whether() -> bool:
        for tier in cache._tiers:
            if tier.stats().state != "closed":
                tier._breaker.reset()
        before = [(tier.stats().errors, tier.stats().reads) for tier in cache._tiers]
        await cache.get(f"nobody has this, {before}")
        return all(
            (tier.stats().errors, tier.stats().reads) == (errors, reads + 1)
            and tier.stats().pending == 0
            for tier, (errors, reads) in zip(cache._tiers, before, strict=True)
        )

    await until(whether)
