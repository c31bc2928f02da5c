"""The peers of the SQLite pool, as contenders; part of ``peers.py``."""

from __future__ import annotations

from typing import Final

from penstock.bench import SQLITE_TEXTS, Contender, flow

__all__ = ["SQLITE_PEERS"]

_CONNECT: Final = """\
import aiosqlite
db = None
async def start():
    global db
    db = await aiosqlite.connect(path)
    await db.execute("PRAGMA synchronous=NORMAL")
    return db
async def end():
    await db.close()
"""
#: One lock for all tasks: what `bind` makes is a task's own.
_CONNECT_AND_LOCK: Final = (
    _CONNECT.replace("return db", "return db, Lock()") + "from asyncio import Lock\n"
)
_READ: Final = "async with execute(READ, (k,)) as cursor:\n    row = await cursor.fetchone()"

SQLITE_PEERS: Final[tuple[Contender, ...]] = (
    flow(
        # One connection for all: the commit of one task is that of the others as well, so that no
        # task has a transaction of its own.
        "aiosqlite",
        "sqlite",
        _CONNECT,
        {"read": _READ, "write": "await execute(WRITE, (k,))\nawait commit()"},
        bind=f"{SQLITE_TEXTS}execute, commit = c.execute, c.commit",
        needs="aiosqlite",
    ),
    flow(
        "aiosqlite, a lock for each commit",
        "sqlite",
        _CONNECT_AND_LOCK,
        {"write": "async with lock:\n    await execute(WRITE, (k,))\n    await commit()"},
        bind=f"{SQLITE_TEXTS}db, lock = c\nexecute, commit = db.execute, db.commit",
        needs="aiosqlite",
    ),
)
