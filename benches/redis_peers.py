"""The peers of caches over Redis, as contenders; part of ``peers.py``."""

from __future__ import annotations

from typing import Final

from penstock.bench import REDIS_OPS, Contender, flow

__all__ = ["REDIS_PEERS"]

_REDIS_PY: Final = """\
import redis.asyncio
# More callers than connections wait for one: its usual pool fails then.
pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections={connections}{options})
client = redis.asyncio.Redis(connection_pool=pool)
async def start():
    async def put(key, value):
        await client.set(f"{{name}}:{{key}}", value, ex=3600)
    async def get(key):
        return await client.get(f"{{name}}:{{key}}")
    return get, put
async def end():
    await client.aclose()
    await pool.disconnect()
"""

_CASHEWS: Final = """\
from cashews import Cache
cache = Cache()
cache.setup(url, pickle_type="null", socket_timeout=None)
async def start():
    await cache.init()
    async def put(key, value):
        await cache.set(f"{name}:{key}", value, expire=3600)
    async def get(key):
        return await cache.get(f"{name}:{key}")
    return get, put
async def end():
    await cache.close()
"""

_AIOCACHE: Final = """\
from aiocache import RedisCache
from aiocache.serializers import NullSerializer
port = int(url.rsplit(":", 1)[1].split("/")[0])
cache = RedisCache(endpoint="127.0.0.1", port=port, namespace=name, serializer=NullSerializer())
async def start():
    async def put(key, value):
        await cache.set(key, value, ttl=3600)
    async def get(key):
        # Whatever the serializer, it is text that comes back.
        return (await cache.get(key)).encode()
    return get, put
async def end():
    await cache.close()
"""


def _redis_py(name: str, options: str = "", connections: int = 50) -> Contender:
    make = _REDIS_PY.format(options=options, connections=connections)
    return flow(name, "redis", make, REDIS_OPS, bind="get, put = c", needs="redis")


REDIS_PEERS: Final[tuple[Contender, ...]] = (
    _redis_py("redis-py"),
    _redis_py("redis-py, socket_timeout=None", ", socket_timeout=None"),
    _redis_py("redis-py, 10 connections", connections=10),
    flow("cashews", "redis", _CASHEWS, REDIS_OPS, bind="get, put = c", needs="cashews"),
    # Its pool refuses what comes all at once: MaxConnectionsError.
    flow(
        "aiocache",
        "redis",
        _AIOCACHE,
        {name: text for name, text in REDIS_OPS.items() if name != "sets"},
        bind="get, put = c",
        needs="aiocache",
    ),
)
