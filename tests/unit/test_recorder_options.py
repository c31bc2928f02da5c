"""`Recorder`: options that are refused, and tables that fit or do not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.recording import (
    COLUMNS,
    NOON,
    recorder,
    rows_of,
    run_sql,
    tables_of,
)

from penstock.pools import SqlitePool
from penstock.recording import Recorder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"table": ""}, ValueError, "table must not be empty"),
        ({"table": 3}, TypeError, "table must be a str, got int"),
        ({"table": "a\0b"}, ValueError, "table must be printable"),
        ({"table": "SQLite_x"}, ValueError, "table must not begin with 'sqlite_'"),
        ({"table": "Penstock_Imports"}, ValueError, "table must not be 'penstock_imports'"),
        ({"columns": {}}, ValueError, "columns must not be empty"),
        ({"columns": ["a"]}, TypeError, "columns must map names to SQL types, got list"),
        ({"columns": {"a": 1}}, TypeError, "the type of column 'a' must be a str, got int"),
        ({"columns": {"": "TEXT"}}, ValueError, "a column must not be empty"),
        ({"columns": {"a": "", "A": ""}}, ValueError, "columns 'a' and 'A' are the same to SQLite"),
        ({"columns": {"a": "TEXT, b"}}, ValueError, "the type of column 'a' is not understood"),
        ({"columns": {"a": "TEXT); --"}}, ValueError, "the type of column 'a' is not understood"),
        ({"columns": {"a": "TEXT /* x"}}, ValueError, "the type of column 'a' is not understood"),
        ({"columns": {"a": "DEFAULT (1)"}}, ValueError, "the type of column 'a' is not understood"),
        ({"partition_by": "week"}, ValueError, "partition_by must be None or 'day', got 'week'"),
        (
            {"partition_by": "day", "timestamp": "at"},
            ValueError,
            "partition_by='day' needs the column 'at'",
        ),
        (
            {"timestamp": "path"},
            ValueError,
            "timestamp must name a column of numbers, 'path' is TEXT",
        ),
        ({"columns": {"ts": "VarChar(9) NOT NULL"}}, ValueError, "a column of numbers, 'ts' is"),
        ({"timestamp": None}, TypeError, "timestamp must be a str, got NoneType"),
        ({"retention": 7}, ValueError, "retention needs partition_by='day'"),
        ({"partition_by": "day", "retention": 0}, ValueError, "retention must be >= 1, got 0"),
        ({"partition_by": "day", "retention": 1.5}, TypeError, "retention must be an int"),
        ({"indexes": "ts"}, TypeError, "indexes must be a sequence, got str"),
        ({"indexes": [1]}, TypeError, "an index must be a column or a tuple of columns, got int"),
        ({"indexes": ["at"]}, ValueError, "an index names 'at', which is no column"),
        ({"indexes": [()]}, ValueError, "an index must have a column"),
        ({"timer": 3}, TypeError, "timer must be callable, got int"),
        ({"name": 3}, TypeError, "name must be a str, got int"),
        ({"max_items": 0}, ValueError, "max_items must be >= 1, got 0"),
        ({"synchronous": "maybe"}, ValueError, "synchronous must be one of"),
        ({"path": ":memory:"}, ValueError, "path must be that of a file"),
    ],
)
def test_wrong_option_is_refused(
    path: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    given: dict[str, object] = {"path": path, "table": "events", "columns": COLUMNS, **options}
    with pytest.raises(error, match=message):
        Recorder(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of_pool", "of_recorder", "message"),
    [
        (
            {},
            {"path": "other.sqlite"},
            "path must be that of the pool, '.*events.sqlite', got",
        ),
        ({}, {"synchronous": "FULL"}, "the pool is only synchronous='NORMAL', got 'FULL'"),
        ({"synchronous": "OFF"}, {}, "the pool is only synchronous='OFF', got 'NORMAL'"),
        ({}, {"synchronous": "maybe"}, "synchronous must be one of"),
    ],
)
def test_pool_that_is_not_what_is_asked_for_is_refused(
    path: Path, of_pool: dict[str, object], of_recorder: dict[str, object], message: str
) -> None:
    pool = SqlitePool(path, **of_pool)  # type: ignore[arg-type]
    given: dict[str, object] = {"path": path, "table": "t", "columns": COLUMNS, **of_recorder}
    with pytest.raises(ValueError, match=message):
        Recorder(pool=pool, **given)  # type: ignore[arg-type]


def test_pool_that_keeps_more_than_is_asked_for_will_do(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)

    async def main() -> None:
        async with SqlitePool(path, synchronous="FULL") as pool:
            async with Recorder("./events.sqlite", "events", COLUMNS, pool=pool) as events:
                await events.record((1, "/", 200))
            assert not pool.closed

    asyncio.run(main())


@pytest.mark.parametrize(
    "declared",
    [
        "", "TEXT", "varchar(20)", "DECIMAL(10, 2) NOT NULL", "INTEGER PRIMARY KEY AUTOINCREMENT",
        "TEXT DEFAULT 'it''s; -- fine' COLLATE NOCASE", "UNSIGNED BIG INT DEFAULT -1.5 UNIQUE",
        "TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP",
    ],
)  # fmt: skip
def test_declaration_is_understood_and_found_again(path: Path, declared: str) -> None:
    async def main() -> None:
        columns = {"odd \"name'": declared, "b": "INT"}
        for number in range(2):
            async with Recorder(path, "t", columns) as odd:
                await odd.record((str(number), 2))
                assert len(await odd.query()) == number + 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        ("CREATE TABLE events (ts REAL, path TEXT)", "it has no column 'status'"),
        ("CREATE TABLE events (ts, path TEXT, status INT)", "column 'ts' is untyped, not REAL"),
        (
            "CREATE TABLE events (ts INTEGER, path BLOB, status INTEGER)",
            "column 'ts' is INTEGER, not REAL; column 'path' is BLOB, not TEXT",
        ),
        (
            "CREATE TABLE events (ts REAL, path TEXT, status INTEGER, who TEXT NOT NULL)",
            "its column 'who' has no default, and is not among the columns",
        ),
        (
            "CREATE TABLE events (ts REAL, path TEXT, status INTEGER AS (1))",
            "column 'status' is generated",
        ),
        (
            "CREATE TABLE events (ts REAL PRIMARY KEY, path TEXT, status INTEGER) WITHOUT ROWID",
            "it is WITHOUT ROWID",
        ),
        ("CREATE VIEW events AS SELECT 1 AS ts", "'events' is a view"),
    ],
)
@pytest.mark.parametrize("by_day", [False, True])
def test_table_that_does_not_fit_is_refused(
    path: Path, made: str, problem: str, by_day: bool
) -> None:
    name = "events"
    if by_day:
        name = "events_20260131"
        made = made.replace("events", name)
    run_sql(path, made)

    async def main() -> None:
        events = recorder(path, partition_by="day" if by_day else None)
        with pytest.raises(ValueError, match=name) as caught:
            await events.record((NOON, "/", 200))
        assert problem.replace("events", name) in str(caught.value)
        if "VIEW" not in made:
            with pytest.raises(ValueError, match=name):
                await events.query()
        await events.aclose()
        if not (by_day and "VIEW" in made):
            with pytest.raises(ValueError, match=name):
                await recorder(path, partition_by="day" if by_day else None).__aenter__()

    asyncio.run(main())
    assert tables_of(path) == ([] if "VIEW" in made else [name])


def test_table_with_more_than_is_needed_fits(path: Path) -> None:
    more = "id INTEGER PRIMARY KEY, who TEXT NOT NULL DEFAULT 'x', note"
    run_sql(path, f"CREATE TABLE EVENTS ({more}, Status integer, PATH text, TS real)")

    async def main() -> None:
        async with recorder(path) as events:
            await events.record((1.5, "/", 200))
            assert await events.query() == [{"ts": 1.5, "path": "/", "status": 200}]
        assert rows_of(path) == [(1, "x", None, 200, "/", 1.5)]

    asyncio.run(main())


def test_indexes_are_made(path: Path) -> None:
    async def main() -> None:
        indexes = ["ts", ("path", "status")]
        for _ in range(2):
            async with recorder(path, indexes=indexes, partition_by="day") as events:
                await events.record((NOON, "/", 200))

    asyncio.run(main())
    found = run_sql(path, "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name")
    table = "events_20260131"
    assert found == [(f'{table}("path", "status")',), (f'{table}("ts")',)]


def test_indexes_of_similar_names_are_made_too(path: Path) -> None:
    columns = dict.fromkeys(["a", "b", "a_b", "a, b", 'a", "b'], "INTEGER")
    indexes = ["a_b", ("a", "b"), "a, b", 'a", "b', "b"]

    async def main() -> None:
        for table in ("t", "t_a"):
            async with Recorder(path, table, columns, indexes=indexes):
                pass

    asyncio.run(main())
    for table in ("t", "t_a"):
        assert len(run_sql(path, f"PRAGMA index_list({table})")) == len(indexes)
