"""Contenders of the SQLite rows: penstock's own and the standard library's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._flow_contenders import flow

if TYPE_CHECKING:
    from penstock.bench._model import Backend, Contender

__all__ = ["SQLITES", "SQLITE_TEXTS"]

#: What all do: read one row by its key, and insert one, which is committed.
SQLITE_TEXTS: Final = """\
READ = "SELECT name FROM users WHERE id = ?"
WRITE = "INSERT INTO log (user) VALUES (?)"
"""

_POOL: Final = """\
pool = penstock.SqlitePool(path)
async def start():
    return pool
async def end():
    await pool.aclose()
"""
_OURS: Final = {"read": "row = await fetchone(READ, (k,))", "write": "await execute(WRITE, (k,))"}

_IN_A_THREAD: Final = f"""\
import sqlite3
from concurrent.futures import ThreadPoolExecutor
{SQLITE_TEXTS}
db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
db.execute("PRAGMA synchronous=NORMAL")
thread = ThreadPoolExecutor(1)
def fetch_one(key):
    return db.execute(READ, (key,)).fetchone()
def insert_one(key):
    db.execute("BEGIN IMMEDIATE")
    db.execute(WRITE, (key,))
    db.execute("COMMIT")
async def start():
    call = asyncio.get_running_loop().run_in_executor
    return (lambda key: call(thread, fetch_one, key)), (lambda key: call(thread, insert_one, key))
async def end():
    thread.shutdown()
    db.close()
"""


def _ours(backend: Backend) -> Contender:
    suffix = "" if backend == "native" else " (pure)"
    return flow(
        f"penstock SqlitePool{suffix}",
        "sqlite",
        _POOL,
        _OURS,
        bind=f"{SQLITE_TEXTS}fetchone, execute = c.fetchone, c.execute",
        backend=backend,
    )


SQLITES: Final[tuple[Contender, ...]] = (
    _ours("native"),
    _ours("pure"),
    flow(
        "sqlite3 in a thread",
        "sqlite",
        _IN_A_THREAD,
        {"read": "row = await fetch(k)", "write": "await insert(k)"},
        bind="fetch, insert = c",
    ),
)
