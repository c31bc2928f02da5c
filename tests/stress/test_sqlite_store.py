"""Processes that share a `SqliteStore`, and some of them are killed: no cache is stale for good."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stress.harness import in_child, rounds

from penstock.errors import StoreError
from penstock.stores import Record, SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

_KEYS = 8
_WRITES = 150
_READERS = 2
_WRITERS = 2


def _fork(work: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> int:
    """Run a program in a forked process, which has opened nothing before."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.alarm(40)
        asyncio.run(work(*arguments))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(pids: Sequence[int], code: int) -> None:
    for pid in pids:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code


def _truth(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "truth.db", timeout=20, isolation_level=None)


def _read(db: sqlite3.Connection, key: int) -> int:
    value: int = db.execute("SELECT value FROM truth WHERE key = ?", (key,)).fetchone()[0]
    return value


async def _load(store: SqliteStore, db: sqlite3.Connection, key: int, pause: float) -> int:
    """Return the value of a key as a cache does: what is missing is loaded, and filled in."""
    name = f"k{key}"
    (found,), base = await store.get_many([name])
    if found is not None:
        assert isinstance(found.value, int)
        return found.value
    value = _read(db, key)
    await asyncio.sleep(pause)
    record = Record(value, time.time(), None, tags=(f"t{key}",))
    await store.set_many([(name, record)], base=base)
    return value


async def _reader(folder: Path, seed: int) -> None:
    """Load at random for as long as it lives; it is killed."""
    chance = random.Random(seed)
    with closing(_truth(folder)) as db:
        async with SqliteStore(folder / "cache.db", timeout=20) as store:
            while True:
                await asyncio.gather(
                    *(
                        _load(store, db, chance.randrange(_KEYS), chance.random() / 200)
                        for _ in range(5)
                    )
                )


async def _writer(folder: Path, seed: int) -> None:
    """Change the truth, then have the caches forget what it was: nobody is to be told it again."""
    chance = random.Random(seed)
    least = [0] * _KEYS
    with closing(_truth(folder)) as db:
        async with SqliteStore(folder / "cache.db", timeout=20) as store:
            for _ in range(_WRITES):
                key = chance.randrange(_KEYS)
                db.execute("UPDATE truth SET value = value + 1 WHERE key = ?", (key,))
                known = _read(db, key)
                how = chance.randrange(3)
                if how == 0:
                    await store.delete_many([f"k{key}"])
                elif how == 1:
                    await store.invalidate(tags=[f"t{key}"])
                else:
                    await store.invalidate(patterns=[f"k{key}*"])
                least[key] = max(least[key], known)
                await asyncio.sleep(chance.random() / 500)
                found = (await store.get_many([f"k{key}" for key in range(_KEYS)])).records
                for key, record in enumerate(found):
                    assert record is None or record.value >= least[key], key  # type: ignore[operator]


async def _compare(folder: Path) -> None:
    with closing(_truth(folder)) as db:
        async with SqliteStore(folder / "cache.db", timeout=20) as store:
            for key in range(_KEYS):
                cached = (await store.get_many([f"k{key}"])).records[0]
                assert cached is None or cached.value == _read(db, key), key
                assert await _load(store, db, key, 0) == _read(db, key)
    with closing(sqlite3.connect(folder / "cache.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        sums = db.execute("SELECT entries, bytes FROM penstock_spaces").fetchall()
        counted = "SELECT count(*), sum(size) FROM penstock_entries"
        assert sums == db.execute(counted).fetchall()


@in_child(limit=45)
def test_no_process_leaves_a_stale_value_though_some_are_killed() -> None:
    for turn in range(rounds(2)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with closing(_truth(folder)) as db:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("CREATE TABLE truth (key INTEGER PRIMARY KEY, value INTEGER)")
                db.executemany("INSERT INTO truth VALUES (?, 0)", [(key,) for key in range(_KEYS)])
            seeds = [turn * 100 + number for number in range(_READERS + _WRITERS + 1)]
            readers = [_fork(_reader, folder, seed) for seed in seeds[:_READERS]]
            writers = [_fork(_writer, folder, seed) for seed in seeds[_READERS:-1]]
            _wait(writers[:1], 0)
            os.kill(readers[0], signal.SIGKILL)
            readers.append(_fork(_reader, folder, seeds[-1]))
            _wait(writers[1:], 0)
            for pid in readers[1:]:
                os.kill(pid, signal.SIGKILL)
            _wait(readers, -signal.SIGKILL)
            _wait([_fork(_compare, folder)], 0)


@in_child(limit=45)
def test_processes_that_find_a_corrupt_file_agree_on_a_new_one() -> None:
    async def use(path: Path, key: str) -> None:
        async with SqliteStore(path, recover=True, timeout=20) as store:
            for _ in range(200):
                try:
                    await store.set(key, key)
                    if await store.get(key) == key:
                        return
                except StoreError:
                    await asyncio.sleep(0.001)
            raise AssertionError("it does not recover")

    for _ in range(rounds(3)):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "cache.db"
            path.write_bytes(b"no database" * 1000)
            _wait([_fork(use, path, f"k{k}") for k in range(4)], 0)
            with closing(sqlite3.connect(path)) as db:
                rows = db.execute("SELECT key FROM penstock_entries").fetchall()
                assert {key for (key,) in rows} == {b"k0", b"k1", b"k2", b"k3"}
