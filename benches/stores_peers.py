"""The peers of stores in a file, as contenders; part of ``peers.py``."""

from __future__ import annotations

from typing import Final

from penstock.bench import STORE_TEXTS, Contender, flow

__all__ = ["STORES_PEERS"]

_OPS: Final = {"get": "found = await get(key)", "set": "await put(key, value)"}

#: In threads, since it blocks: as many as asyncio has by itself.
_DISKCACHE: Final = """\
import diskcache
cache = diskcache.Cache(path, disk_min_file_size=2**20)
async def start():
    call = asyncio.get_running_loop().run_in_executor
    return (
        lambda key: call(None, cache.get, key),
        lambda key, value: call(None, cache.set, key, value),
    )
async def end():
    await asyncio.get_running_loop().shutdown_default_executor()
    cache.close()
"""

_AIOSQLITE: Final = f"""\
import aiosqlite
{STORE_TEXTS}
db = None
async def start():
    global db
    db = await aiosqlite.connect(path)
    await db.execute("PRAGMA journal_mode=WAL")
    await db.execute("PRAGMA synchronous=NORMAL")
    await db.execute(CREATE)
    async def get(key):
        async with db.execute(READ, (key,)) as cursor:
            return json.loads((await cursor.fetchone())[0])
    async def put(key, value):
        # One connection for all: the commit of one task is that of the others as well.
        await db.execute(WRITE, (key, json.dumps(value)))
        await db.commit()
    return get, put
async def end():
    await db.close()
"""

STORES_PEERS: Final[tuple[Contender, ...]] = (
    flow(
        "diskcache in threads",
        "stores",
        _DISKCACHE,
        _OPS,
        bind="get, put = c",
        needs="diskcache",
    ),
    flow("aiosqlite and json", "stores", _AIOSQLITE, _OPS, bind="get, put = c", needs="aiosqlite"),
)
