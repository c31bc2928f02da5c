"""Contenders of the rows of stores in a file: penstock's own and the standard library's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._flow_contenders import flow

if TYPE_CHECKING:
    from penstock.bench._model import Backend, Contender

__all__ = ["STORES", "STORE_TEXTS"]

#: What those do who bring nothing of the kind: a table of JSON by key, each set committed.
STORE_TEXTS: Final = """\
import json
CREATE = "CREATE TABLE store (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
READ = "SELECT value FROM store WHERE key = ?"
WRITE = "INSERT OR REPLACE INTO store VALUES (?, ?)"
"""

_STORE: Final = """\
store = penstock.SqliteStore(path)
async def start():
    return store
async def end():
    await store.aclose()
"""

_IN_A_THREAD: Final = f"""\
import sqlite3
from concurrent.futures import ThreadPoolExecutor
{STORE_TEXTS}
db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=NORMAL")
db.execute(CREATE)
thread = ThreadPoolExecutor(1)
def get_one(key):
    return json.loads(db.execute(READ, (key,)).fetchone()[0])
def set_one(key, value):
    db.execute("BEGIN IMMEDIATE")
    db.execute(WRITE, (key, json.dumps(value)))
    db.execute("COMMIT")
async def start():
    call = asyncio.get_running_loop().run_in_executor
    return (
        lambda key: call(thread, get_one, key),
        lambda key, value: call(thread, set_one, key, value),
    )
async def end():
    thread.shutdown()
    db.close()
"""


def _ours(backend: Backend) -> Contender:
    suffix = "" if backend == "native" else " (pure)"
    return flow(
        f"penstock SqliteStore{suffix}",
        "stores",
        _STORE,
        {"get": "found = await get(key)", "set": "await put(key, value)"},
        bind="get, put = c.get, c.set",
        backend=backend,
    )


STORES: Final[tuple[Contender, ...]] = (
    _ours("native"),
    _ours("pure"),
    flow(
        "sqlite3 and json in a thread",
        "stores",
        _IN_A_THREAD,
        {"get": "found = await get(key)", "set": "await put(key, value)"},
        bind="get, put = c",
    ),
)
