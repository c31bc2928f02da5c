"""Contenders of the rows of caches in tiers: penstock's own, and what awaiting costs at least."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._flow_contenders import flow
from penstock.bench._redis_contenders import REDIS_OPS

if TYPE_CHECKING:
    from penstock.bench._model import Backend, Contender

__all__ = ["HYBRID_OPS", "TIERS", "TIERS_KEY"]

#: What all have in memory when they are asked for it, with the value 17.
TIERS_KEY: Final = "user:17"

_MEMORY: Final = f"""\
c = penstock.TieredCache(ttl=3600)
c.set("{TIERS_KEY}", 17)
async def load(key):
    return 0
"""
_NOTHING: Final = """\
async def c(key):
    return 17
"""
#: Every value in both; none in memory, so that each read goes to Redis.
_HYBRID: Final = """\
import tempfile
folder = tempfile.TemporaryDirectory()
near = penstock.RedisStore(url, namespace=name)
far = penstock.SqliteStore(folder.name + "/values.sqlite")
cache = penstock.TieredCache(near, far, ttl=None, l1=None)
async def start():
    return cache
async def end():
    await cache.aclose()
    folder.cleanup()
"""
#: It tells *seen* of each key that leaves its memory.
_LISTENING: Final = """\
def left(key, value, cause):
    seen(key)
store = penstock.RedisStore(url, namespace=name)
cache = penstock.TieredCache(store, ttl=3600, l1=penstock.Cache(1000, on_evict=left))
async def keep(key):
    assert await cache.set(key, key)
    assert await cache.get(key) == key
async def start():
    await cache.get("nothing")  # it listens from then on
    return keep, cache.delete
async def end():
    await cache.aclose()
"""
#: It may wait *timeout* seconds for Redis.
_PATIENT: Final = """store = penstock.RedisStore(url, namespace=name, timeout=timeout)
cache = penstock.TieredCache(store, ttl=3600, store_timeout=timeout)
async def start():
    await cache.get("nothing")  # it is connected from then on
    return cache.get_or_load, lambda: cache.stats().tiers[0].state == "closed"
async def end():
    await cache.aclose()
"""
_LOADER: Final = """async def call(key, load):
    return await load(key)
async def start():
    return call, lambda: False
async def end():
    pass
"""
#: What all do: one after another in each task.
HYBRID_OPS: Final = {name: REDIS_OPS[name] for name in ("get", "set")}


def _ours(backend: Backend) -> tuple[Contender, ...]:
    suffix = "" if backend == "native" else " (pure)"
    return (
        flow(
            f"penstock TieredCache{suffix}",
            "tiers",
            _MEMORY,
            {"get": "found = await get(key)", "load": "found = await get_or_load(key, load)"},
            bind="get, get_or_load = c.get, c.get_or_load",
            backend=backend,
        ),
        flow(
            f"penstock TieredCache, SQLite and Redis{suffix}",
            "hybrid",
            _HYBRID,
            HYBRID_OPS,
            bind="get, put = c.get, c.set",
            backend=backend,
        ),
        flow(f"penstock TieredCache{suffix}", "told", _LISTENING, {}, backend=backend),
        flow(f"penstock TieredCache{suffix}", "frozen", _PATIENT, {}, backend=backend),
    )


TIERS: Final[tuple[Contender, ...]] = (
    *_ours("native"),
    *_ours("pure"),
    flow(
        "trivial async def",
        "tiers",
        _NOTHING,
        dict.fromkeys(("get", "load"), "found = await c(key)"),
    ),
    flow("the loader alone", "frozen", _LOADER, {}),
)
