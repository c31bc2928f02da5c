"""The peers of the pools, as contenders; part of ``peers.py``."""

from __future__ import annotations

from typing import Final

from penstock.bench import Contender, flow

__all__ = ["POOL_PEERS"]

_CONNECTIONS: Final = 10

#: The pool of redis-py with connections that are always there and cost nothing.
_NOTHING: Final = f"""\
from redis.asyncio import BlockingConnectionPool
class Nothing:
    def __init__(self, **options):
        pass
    async def connect(self):
        pass
    async def disconnect(self):
        pass
    async def can_read(self):
        return False
    can_read_destructive = can_read
    def should_reconnect(self):
        return False
    def set_re_auth_token(self, token):
        pass
    async def re_auth(self):
        pass
pool = BlockingConnectionPool(max_connections={_CONNECTIONS}, connection_class=Nothing)
async def start():
    held = [await pool.get_connection() for _ in range({_CONNECTIONS})]
    for each in held:
        await pool.release(each)
    return pool
async def end():
    pass
"""
_REDIS: Final = f"""\
from redis.asyncio import BlockingConnectionPool, Redis
pool = BlockingConnectionPool.from_url(url, max_connections={_CONNECTIONS})
async def start():
    return Redis(connection_pool=pool)
async def end():
    await pool.aclose()
"""
_SESSION: Final = """\
import aiohttp
session = None
async def start():
    global session
    # The limits of HttpPool.
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100, limit_per_host=30))
    return session
async def end():
    await session.close()
"""
_NO_SESSION: Final = """\
import aiohttp
async def start():
    return aiohttp.ClientSession
async def end():
    pass
"""

POOL_PEERS: Final[tuple[Contender, ...]] = (
    flow(
        "redis-py BlockingConnectionPool",
        "pool",
        _NOTHING,
        {
            "use": "conn = await get()\ntry:\n    pass\nfinally:\n    await put(conn)",
            "turn": "conn = await get()\ntry:\n    await sleep(0)\nfinally:\n    await put(conn)",
        },
        bind="from asyncio import sleep\nget, put = c.get_connection, c.release",
        needs="redis",
    ),
    flow(
        "redis-py BlockingConnectionPool, Redis",
        "redis-pool",
        _REDIS,
        {"get": "found = await get(b'key')"},
        bind="get = c.get",
        needs="redis",
    ),
    flow(
        "aiohttp, one session for all",
        "http",
        _SESSION,
        {"get": "async with get(url) as response:\n    found = await response.read()"},
        bind="get = c.get",
        needs="aiohttp",
    ),
    flow(
        "aiohttp, a session for each request",
        "http",
        _NO_SESSION,
        {
            "get": "async with session() as own, own.get(url) as response:\n"
            "    found = await response.read()"
        },
        bind="session = c",
        needs="aiohttp",
    ),
)
