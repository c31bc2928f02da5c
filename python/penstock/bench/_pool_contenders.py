"""Contenders of the pool rows: penstock's own and what one makes of the standard library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._flow_contenders import flow

if TYPE_CHECKING:
    from penstock.bench._model import Backend, Contender

__all__ = ["CONNECTIONS", "POOLS"]

#: Connections that a pool has where more want one.
CONNECTIONS: Final = 10

_POOL: Final = f"""\
pool = penstock.Pool(object, max_size={CONNECTIONS})
async def start():
    held = [await pool.acquire() for _ in range({CONNECTIONS})]
    for each in held:
        pool.release(each)
    return pool
async def end():
    await pool.aclose()
"""
_OURS: Final = {
    "use": "async with acquire() as conn:\n    pass",
    "turn": "async with acquire() as conn:\n    await sleep(0)",
}

_QUEUE: Final = f"""\
queue = asyncio.Queue()
async def start():
    for _ in range({CONNECTIONS}):
        queue.put_nowait(object())
    return queue
async def end():
    pass
"""
_THEIRS: Final = {
    "use": "conn = await get()\ntry:\n    pass\nfinally:\n    put(conn)",
    "turn": "conn = await get()\ntry:\n    await sleep(0)\nfinally:\n    put(conn)",
}
#: What a pool does by default.
_IN_TIME: Final = "async with timeout(5):\n    conn = await get()"

_REDIS: Final = f"""\
pool = penstock.redis_pool(url, max_connections={CONNECTIONS}, max_connecting={CONNECTIONS})
async def start():
    return pool.client
async def end():
    await pool.aclose()
"""
_HTTP: Final = """\
pool = penstock.HttpPool()
async def start():
    return pool
async def end():
    await pool.aclose()
"""


def _ours(backend: Backend) -> Contender:
    suffix = "" if backend == "native" else " (pure)"
    bind = "from asyncio import sleep\nacquire = c.acquire"
    return flow(f"penstock Pool{suffix}", "pool", _POOL, _OURS, bind=bind, backend=backend)


POOLS: Final[tuple[Contender, ...]] = (
    _ours("native"),
    _ours("pure"),
    flow(
        "asyncio.Queue of connections",
        "pool",
        _QUEUE,
        _THEIRS,
        bind="from asyncio import sleep\nget, put = c.get, c.put_nowait",
    ),
    flow(
        "asyncio.Queue, nobody waits for ever",
        "pool",
        _QUEUE,
        {op: text.replace("conn = await get()", _IN_TIME) for op, text in _THEIRS.items()},
        bind="from asyncio import sleep, timeout\nget, put = c.get, c.put_nowait",
    ),
    flow(
        "penstock redis_pool",
        "redis-pool",
        _REDIS,
        {"get": "found = await get(b'key')"},
        bind="get = c.get",
        needs="redis",
        backend="native",
    ),
    flow(
        "penstock HttpPool",
        "http",
        _HTTP,
        {"get": "async with get(url) as response:\n    found = await response.read()"},
        bind="get = c.get",
        needs="aiohttp",
        backend="native",
    ),
)
