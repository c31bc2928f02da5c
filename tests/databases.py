"""SQLite databases of tests: pools with a table, and what must be true of a pool at rest."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.threads import LIMIT

from penstock.pools import SqlitePool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["ENDLESS", "assert_clean", "locked", "make_pool", "rows_in", "until"]

#: Never ends, unless it is interrupted.
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

_LOCKER = """
import sqlite3, sys
raw = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
if sys.argv[2] == "EXCLUSIVE":  # in WAL mode nothing else keeps readers out
    raw.execute("PRAGMA locking_mode=EXCLUSIVE")
raw.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
raw.execute("ROLLBACK")
raw.close()
"""


async def until(condition: Callable[[], object]) -> None:
    """Wait for what a thread does."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110  # a thread has no event of the loop
            await asyncio.sleep(0)


def make_pool(directory: Path, **options: Any) -> SqlitePool:
    """Make a pool of ``test.db``, which has a table ``t (id, v)``."""
    path = directory / "test.db"
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v)")
    raw.commit()
    raw.close()
    return SqlitePool(path, **options)


def rows_in(directory: Path, sql: str = "SELECT v FROM t ORDER BY id") -> list[Any]:
    """Read the first column, with a connection that is none of a pool's."""
    raw = sqlite3.connect(directory / "test.db")
    try:
        return [row[0] for row in raw.execute(sql)]
    finally:
        raw.close()


def assert_clean(pool: SqlitePool) -> None:
    """Nobody holds anything, no transaction is open, and whoever comes can read and write."""
    assert asyncio._get_running_loop() is None
    with pool.write() as raw:  # whoever wrote is done then
        raw.execute("SELECT count(*) FROM t").fetchall()
    with pool.read() as raw:
        raw.execute("SELECT count(*) FROM t").fetchall()
    readers = pool._store.reader.line
    readers._block(readers.limit, 0, LIMIT)  # whoever read is done then
    readers.release(readers.limit)
    stats = pool.stats()
    assert (stats.readers_busy, stats.writer_busy, stats.waiting, stats.pending) == (0, 0, 0, 0)
    store = pool._store
    assert not store.uses
    assert not any(link.raw.in_transaction for link in store.links)
    idle = [*store.reader.idle, *store.writer.idle, *store.inline.idle]
    assert len(idle) == len(set(idle)) == len(store.links)


@contextmanager
def locked(directory: Path, mode: str = "IMMEDIATE") -> Iterator[subprocess.Popen[str]]:
    """Have another process lock the database: against writers, or ``"EXCLUSIVE"``: against all."""
    command = [sys.executable, "-c", _LOCKER, str(directory / "test.db"), mode]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        try:
            yield child
        finally:
            child.communicate("\n", timeout=20)
