"""The peers of caches in tiers, as contenders; part of ``peers.py``."""

from __future__ import annotations

from typing import Final

from penstock.bench import HYBRID_OPS, TIERS_KEY, Contender, flow

__all__ = ["TIERS_PEERS"]

_GET: Final = {"get": "found = await get(key)"}
_CASHEWS: Final = f"""\
from cashews import Cache
cache = Cache()
cache.setup("mem://")
async def load():
    return 0
async def filled():
    await cache.init()
    await cache.set("{TIERS_KEY}", 17, expire=3600)
asyncio.get_event_loop().create_task(filled())
c = cache
end = cache.close
"""
_AIOCACHE: Final = f"""\
from aiocache import SimpleMemoryCache
c = SimpleMemoryCache(ttl=3600)
asyncio.get_event_loop().create_task(c.set("{TIERS_KEY}", 17))
"""
# As the teams did it by hand: each save a transaction in a thread and a SET, one after the other.
_BY_HAND: Final = """\
import sqlite3, tempfile
from concurrent.futures import ThreadPoolExecutor
from redis.asyncio import Redis
folder = tempfile.TemporaryDirectory()
thread = ThreadPoolExecutor(1)
db = sqlite3.connect(folder.name + "/values.sqlite", isolation_level=None, check_same_thread=False)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=NORMAL")
db.execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB)")
redis = Redis.from_url(url)
def write(key, value):
    db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (key, value))
def find(key):
    row = db.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
    return None if row is None else row[0]
async def put(key, value):
    await asyncio.get_running_loop().run_in_executor(thread, write, key, value)
    await redis.set(f"{name}:{key}", value)
async def get(key):
    value = await redis.get(f"{name}:{key}")
    if value is None:
        value = await asyncio.get_running_loop().run_in_executor(thread, find, key)
    return value
async def start():
    return get, put
async def end():
    await redis.aclose()
    thread.shutdown()
    db.close()
    folder.cleanup()
"""

#: The message and nothing else, of which a cache is told as well.
_PUBSUB: Final = """\
import asyncio
from redis.asyncio import Redis
client = Redis.from_url(url)
pubsub = client.pubsub()
subscribed = asyncio.Event()
async def listen():
    async for message in pubsub.listen():
        subscribed.set()
        if message["type"] == "message":
            seen(message["data"].decode())
async def keep(key):
    pass
async def tell(key):
    await client.publish(name, key)
async def start():
    global task
    await pubsub.subscribe(name)
    task = asyncio.create_task(listen())
    await subscribed.wait()
    return keep, tell
async def end():
    task.cancel()
    await asyncio.wait([task])
    await pubsub.aclose()
    await client.aclose()
"""
# What Redis says of keys it understands in the older protocol alone: else it is never told.
_CLIENT_SIDE: Final = """\
from cashews import Cache
from cashews.backends.memory import Memory
class Listening(Memory):
    async def delete(self, key):
        found = await super().delete(key)
        seen(key)
        return found
cache = Cache()
cache.setup(
    url + "?protocol=2",
    client_side=True,
    client_side_prefix=f"{name}:",
    local_cache=Listening(size=1000),
    pickle_type="null",
    socket_timeout=None,
)
async def keep(key):
    await cache.set(key, key.encode(), expire=3600)
    assert await cache.get(key) == key.encode()
async def start():
    await cache.init()
    return keep, cache.delete
async def end():
    await cache.close()
"""

TIERS_PEERS: Final[tuple[Contender, ...]] = (
    flow(
        "cashews, mem://",
        "tiers",
        _CASHEWS,
        {**_GET, "load": "found = await get_or_set(key, load, expire=3600)"},
        bind="get, get_or_set = c.get, c.get_or_set",
        needs="cashews",
    ),
    flow(
        "aiocache SimpleMemoryCache", "tiers", _AIOCACHE, _GET, bind="get = c.get", needs="aiocache"
    ),
    flow(
        "redis-py and sqlite3 by hand",
        "hybrid",
        _BY_HAND,
        HYBRID_OPS,
        bind="get, put = c",
        needs="redis",
    ),
    flow("redis-py, the message alone", "told", _PUBSUB, {}, needs="redis"),
    flow("cashews, client_side=True", "told", _CLIENT_SIDE, {}, needs="cashews"),
)
