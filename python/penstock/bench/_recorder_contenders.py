"""Contenders of the recorder rows: penstock's own and the standard library's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._flow_contenders import flow

if TYPE_CHECKING:
    from penstock.bench._model import Backend, Contender

__all__ = ["INSERT", "RECORDERS", "SETUP"]

#: The table that all write to, with what SQLite is told in all cases: durable if the process dies.
SETUP: Final = """\
SETUP = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "CREATE TABLE requests (ts REAL, path TEXT, status INTEGER, seconds REAL)",
)
"""
INSERT: Final = 'INSERT = "INSERT INTO requests VALUES (?, ?, ?, ?)"\n'

_RECORDER: Final = """\
recorder = penstock.Recorder(
    path, "requests", {"ts": "REAL", "path": "TEXT", "status": "INTEGER", "seconds": "REAL"}
)
async def start():
    await recorder.__aenter__()
    return recorder
async def end():
    await recorder.aclose()
"""
_OURS: Final = {
    "await": "await record(row)",
    "put": "for row in rows:\n    put(row)\nawait flush()",
}

_SQLITE: Final = """\
import sqlite3
db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
for statement in SETUP:
    db.execute(statement)
def commit_one(row):
    db.execute("BEGIN IMMEDIATE")
    db.execute(INSERT, row)
    db.execute("COMMIT")
def commit_all(rows):
    db.execute("BEGIN IMMEDIATE")
    db.executemany(INSERT, rows)
    db.execute("COMMIT")
async def end():
    db.close()
"""
_IN_A_THREAD: Final = """\
from concurrent.futures import ThreadPoolExecutor
thread = ThreadPoolExecutor(1)
async def start():
    async def record(row):
        await asyncio.get_running_loop().run_in_executor(thread, commit_one, row)
    return record
"""


def _ours(backend: Backend) -> Contender:
    suffix = "" if backend == "native" else " (pure)"
    return flow(
        f"penstock Recorder{suffix}",
        "recorder",
        _RECORDER,
        _OURS,
        bind="record, put, flush = c.record, c.put_nowait, c.flush",
        backend=backend,
    )


RECORDERS: Final[tuple[Contender, ...]] = (
    _ours("native"),
    _ours("pure"),
    flow(
        "sqlite3 in a thread, a commit for each",
        "recorder",
        SETUP + INSERT + _SQLITE + _IN_A_THREAD,
        {"await": "await record(row)"},
        bind="record = c",
    ),
    flow(
        "sqlite3 on the loop, all at once",
        "recorder",
        SETUP + INSERT + _SQLITE + "async def start():\n    return commit_all\n",
        {"put": "commit_all(rows)"},
        bind="commit_all = c",
    ),
)
