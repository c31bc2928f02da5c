"""The peers of the recorder, as contenders; part of ``peers.py``."""

from __future__ import annotations

from typing import Final

from penstock.bench import INSERT, SETUP, Contender, flow

__all__ = ["RECORDER_PEERS"]

_CONNECT: Final = f"""\
import aiosqlite
{SETUP}{INSERT}
db = None
async def start():
    global db
    db = await aiosqlite.connect(path)
    for statement in SETUP:
        await db.execute(statement)
    await db.commit()
    return db, asyncio.Lock()
async def end():
    await db.close()
"""

RECORDER_PEERS: Final[tuple[Contender, ...]] = (
    flow(
        # One connection: a commit of one task is that of all others as well.
        "aiosqlite",
        "recorder",
        _CONNECT,
        {
            "await": "await execute(INSERT, row)\nawait commit()",
            "put": "await executemany(INSERT, rows)\nawait commit()",
        },
        bind="execute, executemany, commit = c[0].execute, c[0].executemany, c[0].commit\n"
        + INSERT.rstrip(),
        needs="aiosqlite",
    ),
    flow(
        "aiosqlite, a lock for each commit",
        "recorder",
        _CONNECT,
        {"await": "async with lock:\n    await execute(INSERT, row)\n    await commit()"},
        bind="execute, commit, lock = c[0].execute, c[0].commit, c[1]\n" + INSERT.rstrip(),
        needs="aiosqlite",
    ),
)
