"""Contenders of the Redis rows: penstock's own; all others are peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._flow_contenders import flow

if TYPE_CHECKING:
    from penstock.bench._model import Backend, Contender

__all__ = ["REDIS", "REDIS_OPS"]

#: What all do: get a value by its key, set one, and set many at once.
REDIS_OPS: Final = {
    "get": "found = await get(key)",
    "set": "await put(key, value)",
    "sets": "await gather(*[put(key, value) for key, value in items])",
}

#: The memory in front of the store is left out: each get goes to Redis.
_TIERED: Final = """\
cache = penstock.TieredCache(penstock.RedisStore(url, namespace=name), ttl=3600, l1=None)
async def start():
    return cache
async def end():
    await cache.aclose()
"""


def _ours(backend: Backend) -> Contender:
    suffix = "" if backend == "native" else " (pure)"
    return flow(
        f"penstock TieredCache{suffix}",
        "redis",
        _TIERED,
        REDIS_OPS,
        bind="get, put = c.get, c.set",
        backend=backend,
    )


REDIS: Final[tuple[Contender, ...]] = (_ours("native"), _ours("pure"))
