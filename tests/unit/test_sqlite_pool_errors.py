"""`SqlitePool` with databases that cannot be opened, read or written, and with wrong arguments."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.databases import assert_clean, locked, make_pool, rows_in
from tests.forks import in_child
from tests.threads import LIMIT

from penstock import SqlitePool
from penstock.pools import _sqlite_connection

INSERT = "INSERT INTO t (v) VALUES (?)"


async def each_way(pool: SqlitePool) -> list[BaseException | object]:
    """Use the pool in each way there is; return what was raised."""

    async def block(lease: Any) -> None:
        async with lease as conn:
            await conn.fetchall("SELECT * FROM t")

    return await asyncio.gather(
        pool.fetchone("SELECT * FROM t"),
        pool.run(lambda raw: raw.execute("SELECT * FROM t").fetchall()),
        block(pool.read()),
        pool.execute(INSERT, (1,)),
        pool.executemany(INSERT, [(1,)]),
        pool.run(lambda raw: raw.execute(INSERT, (1,)).fetchall(), write=True),
        block(pool.write()),
        return_exceptions=True,
    )


def all_fail(pool: SqlitePool, message: str, noted: bool = True) -> None:
    for error in asyncio.run(each_way(pool)):
        assert isinstance(error, sqlite3.Error), error
        assert re.search(message, str(error))
        notes = getattr(error, "__notes__", [])
        assert notes == ([f"while opening the SQLite database {pool.path!r}"] if noted else [])
    stats = pool.stats()
    assert (stats.readers_busy, stats.writer_busy, stats.waiting, stats.pending) == (0, 0, 0, 0)
    assert not pool._store.uses


# files


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    pool = SqlitePool(tmp_path / "missing" / "test.db")
    all_fail(pool, "unable to open database file")
    # It is there later.
    (tmp_path / "missing").mkdir()
    asyncio.run(pool.execute("CREATE TABLE t (v)"))
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_a_directory_as_the_path(tmp_path: Path) -> None:
    pool = SqlitePool(tmp_path)
    all_fail(pool, "unable to open database file")
    asyncio.run(pool.aclose())


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "test.db").write_bytes(b"no database " * 1000)
    pool = SqlitePool(tmp_path / "test.db")
    all_fail(pool, "file is not a database")
    assert pool._store.links == {}
    asyncio.run(pool.aclose())
    assert (tmp_path / "test.db").read_bytes() == b"no database " * 1000


def test_a_connection_that_met_corruption_is_not_used_again(tmp_path: Path) -> None:
    make_pool(tmp_path)
    raw = sqlite3.connect(tmp_path / "test.db")
    raw.executemany(INSERT, [("x" * 500,) for _ in range(500)])
    raw.commit()
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    sound = (tmp_path / "test.db").read_bytes()
    with open(tmp_path / "test.db", "r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 20 * 4096)
    pool = SqlitePool(tmp_path / "test.db")

    async def main() -> None:
        read = "SELECT count(v) FROM t"
        await pool.fetchval("SELECT 1")
        for _ in range(2):  # on the loop, and in a thread
            with pytest.raises(sqlite3.DatabaseError, match="malformed"):
                await pool.fetchval(read)
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            async with pool.read() as conn:
                await conn.fetchval(read)
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            await pool.execute("UPDATE t SET v = v || 'y'")
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            await pool.run(lambda raw: raw.execute("DELETE FROM t WHERE v > 'a'"), write=True)
        stats = pool.stats()
        assert stats.closed == stats.opened
        (tmp_path / "test.db").write_bytes(sound)
        assert await pool.fetchval(read) == 500

    asyncio.run(main())
    assert_clean(pool)
    asyncio.run(pool.aclose())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs another user")
def test_a_file_that_may_only_be_read() -> None:
    directory = Path(tempfile.mkdtemp())
    try:
        directory.chmod(0o755)
        asyncio.run(make_pool(directory).aclose())
        raw = sqlite3.connect(directory / "test.db")
        raw.execute("PRAGMA journal_mode=DELETE")
        raw.execute(INSERT, ("a",))
        raw.commit()
        raw.close()
        (directory / "test.db").chmod(0o444)

        def check() -> None:
            if os.geteuid() == 0:
                os.setuid(65534)  # nobody: root may do everything
            pool = SqlitePool(directory / "test.db")
            for error in asyncio.run(each_way(pool))[3:6]:
                assert isinstance(error, sqlite3.OperationalError)
                assert "readonly" in str(error)
            for _ in range(2):
                assert asyncio.run(pool.fetchall("SELECT v FROM t")) == [("a",)]

        assert in_child(check)
    finally:
        shutil.rmtree(directory)


# locks


def test_a_writer_of_another_process_is_waited_for(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def main() -> None:
        with locked(tmp_path) as child:
            writes = asyncio.gather(
                pool.execute(INSERT, ("a",)),
                pool.run(lambda raw: raw.execute(INSERT, ("b",)).rowcount, write=True),
            )
            await asyncio.sleep(0.02)
            assert not writes.done()
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
            await writes

    asyncio.run(main())
    assert_clean(pool)
    assert sorted(rows_in(tmp_path)) == ["a", "b"]
    asyncio.run(pool.aclose())


def test_but_not_for_ever(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, busy_timeout=0.02)
    with locked(tmp_path):
        errors = asyncio.run(each_way(pool))
        assert errors[:3] == [None, [], None]
        for error in errors[3:]:
            assert isinstance(error, sqlite3.OperationalError)
            assert error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            assert str(error) == "database is locked"
        assert len(set(map(id, errors))) > 4  # each has his own
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_one_that_nobody_may_even_read(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, busy_timeout=0.02)
    with locked(tmp_path, "EXCLUSIVE"):
        all_fail(pool, "database is locked")
    assert asyncio.run(pool.fetchval("SELECT count(*) FROM t")) == 0
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_no_waiting_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_connection, "sleep", pytest.fail)
    pool = make_pool(tmp_path, busy_timeout=0)
    with locked(tmp_path), pytest.raises(sqlite3.OperationalError, match="locked"):
        asyncio.run(pool.execute(INSERT, ("a",)))
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_who_waits_for_a_lock_can_be_cancelled(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, busy_timeout=60)

    async def main() -> None:
        task = asyncio.ensure_future(pool.write().__aenter__())
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task], timeout=1)
        assert task.cancelled()

    with locked(tmp_path):
        asyncio.run(main())
    assert_clean(pool)
    asyncio.run(pool.aclose())


def test_what_on_connect_raises_reaches_the_caller(tmp_path: Path) -> None:
    def fail(_: sqlite3.Connection) -> None:
        raise KeyError("mine")

    pool = make_pool(tmp_path, on_connect=fail)
    for error in asyncio.run(each_way(pool)):
        assert isinstance(error, KeyError)
    assert pool._store.links == {}
    asyncio.run(pool.aclose())


# arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": 5}, "path must be a str or a path, got int"),
        ({"path": b"x"}, "path must be a str or a path, got bytes"),
        ({"readers": "4"}, "readers must be an int, got str"),
        ({"readers": True}, "readers must be an int, got bool"),
        ({"busy_timeout": "5"}, "busy_timeout"),
        ({"busy_timeout": None}, "busy_timeout"),
        ({"acquire_timeout": "5"}, "acquire_timeout"),
        ({"inline_limit": False}, "inline_limit"),
        ({"max_idle": "1"}, "max_idle"),
        ({"max_lifetime": []}, "max_lifetime"),
        ({"synchronous": 1}, "synchronous must be a str, got int"),
        ({"pragmas": [("a", 1)]}, "pragmas must be a mapping, got list"),
        ({"pragmas": {5: 1}}, "pragmas must have names of str, got int"),
        ({"pragmas": {"cache_size": None}}, "pragma cache_size must be a str or a number"),
        ({"on_connect": 5}, "on_connect must be callable, got int"),
        ({"timer": 5}, "timer must be callable, got int"),
        ({"name": 5}, "name must be a str, got int"),
    ],
)
def test_wrong_types(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        SqlitePool(**{"path": "test.db", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": ":memory:"}, "path must be that of a file, got ':memory:'"),
        ({"path": ""}, "path must be that of a file, got ''"),
        ({"path": "file:test.db?mode=memory"}, "not a URI"),
        ({"path": "te\0st.db"}, "null character"),
        ({"readers": 0}, "readers must be >= 1, got 0"),
        ({"busy_timeout": -1}, "busy_timeout"),
        ({"busy_timeout": float("nan")}, "busy_timeout"),
        ({"acquire_timeout": float("inf")}, "acquire_timeout"),
        ({"inline_limit": 0}, "inline_limit"),
        ({"max_idle": 0}, "max_idle"),
        ({"max_lifetime": -5}, "max_lifetime"),
        ({"synchronous": "SOMETIMES"}, "synchronous must be one of OFF, NORMAL, FULL, EXTRA"),
        ({"pragmas": {"a; DROP TABLE t": 1}}, "pragmas must have names of letters"),
        ({"pragmas": {"cache_size": "1; DROP TABLE t"}}, "must be a word or a number"),
        ({"pragmas": {"Query_Only": 0}}, "pragma Query_Only is set by the pool"),
        ({"pragmas": {"synchronous": 0}}, "synchronous="),
    ],
)
def test_values_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        SqlitePool(**{"path": "test.db", **options})


def test_durations_may_be_timedeltas(tmp_path: Path) -> None:
    pool = make_pool(
        tmp_path,
        busy_timeout=timedelta(0),
        acquire_timeout=timedelta(seconds=1),
        inline_limit=timedelta(milliseconds=2),
        max_idle=timedelta(minutes=1),
        max_lifetime=timedelta(hours=1),
    )
    options = pool._store.options
    assert (options.busy_timeout, options.acquire_timeout, options.inline_limit) == (0, 1, 0.002)
    assert (options.max_idle, options.max_lifetime) == (60, 3600)
    asyncio.run(pool.aclose())


def test_what_is_no_statement_or_function(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)

    async def coroutine(_: object) -> None:
        pytest.fail("it was called")

    async def main() -> None:
        wrong: Any
        for wrong in (5, None, b"SELECT 1", ["SELECT 1"]):
            calls = (pool.fetchone, pool.fetchall, pool.fetchval, pool.execute)
            for call in calls:
                with pytest.raises(TypeError, match="sql must be a str"):
                    await call(wrong)
            with pytest.raises(TypeError, match="sql must be a str"):
                await pool.executemany(wrong, [])
        for wrong in (5, None, coroutine):
            with pytest.raises(TypeError, match="fn must be a function"):
                await pool.run(wrong)
        with pytest.raises(TypeError):
            await pool.executemany(INSERT, 5)  # type: ignore[arg-type]
        async with pool.read() as conn:
            with pytest.raises(ValueError, match="size must be >= 1, got 0"):
                await anext(conn.iterate("SELECT 1", size=0))
        with pytest.raises(ValueError, match=r"timeout|deadline"):
            await pool.aclose(float("nan"))

    asyncio.run(main())
    asyncio.run(pool.aclose())


def test_error_that_cannot_be_copied_reaches_all_the_same(tmp_path: Path) -> None:
    class Uncopied(Exception):
        def __copy__(self) -> Any:
            raise RuntimeError("no copies")

    def on_connect(_: object) -> None:
        raise Uncopied

    pool = make_pool(tmp_path, on_connect=on_connect, inline_limit=None)

    async def main() -> None:
        reads = [pool.fetchone("SELECT 1") for _ in range(3)]
        writes = [pool.execute(INSERT, (1,)) for _ in range(3)]
        async with asyncio.timeout(LIMIT):
            ends = await asyncio.gather(*reads, *writes, return_exceptions=True)
        assert [type(error) for error in ends] == [Uncopied] * 6
        await pool.aclose()

    asyncio.run(main())
