"""`Recorder`: rows and schemas that do not fit, databases that cannot be written."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.recording import (
    DAY,
    NOON,
    WallClock,
    recorder,
    rows_of,
    run_sql,
    until,
)

from penstock.pools import SqlitePool
from penstock.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


class Seconds(float):
    """As numpy has them."""


# rows


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ((1, "/"), ValueError, "a row must have 3 values, got 2"),
        ([1, "/", 2, 3], ValueError, "a row must have 3 values, got 4"),
        ({"ts": 1, "status": 2}, ValueError, "a row lacks 'path'"),
        ({}, ValueError, "a row lacks 'path', 'status'"),
        (
            {"ts": 1, "path": "/", "status": 2, "more": 3},
            ValueError,
            "a row has 'more', which the table has not",
        ),
        ("abc", TypeError, "a row must be a mapping or a sequence, got str"),
        (b"abc", TypeError, "a row must be a mapping or a sequence, got bytes"),
        (None, TypeError, "a row must be a mapping or a sequence, got NoneType"),
        ({1, 2, 3}, TypeError, "a row must be a mapping or a sequence, got set"),
        ((1, {"a": 1}, 2), TypeError, "column 'path' cannot hold dict"),
        ((1, "/", 2j), TypeError, "column 'status' cannot hold complex"),
        ((1, datetime(2026, 1, 1, tzinfo=UTC), 2), TypeError, "column 'path' cannot hold datetime"),
        ((datetime(2026, 1, 1), "/", 2), ValueError, "column 'ts' must have a time zone"),  # noqa: DTZ001
    ],
)
@pytest.mark.parametrize("method", ["put_nowait", "record"])
def test_row_of_the_wrong_shape_is_refused_where_it_is_handed_in(
    path: Path, method: str, row: object, error: type[Exception], message: str
) -> None:
    async def main() -> None:
        async with recorder(path) as events:
            with pytest.raises(error, match=f"^{message}"):
                getattr(events, method)(row)
            await events.record((1, "/", 200))
            assert events.stats().rows == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    "moment", ["2026", True, float("nan"), float("inf"), float("-inf"), b"1", ""]
)
def test_time_that_is_no_number_is_refused_where_it_is_handed_in(
    path: Path, moment: object
) -> None:
    async def main() -> None:
        async with recorder(path) as events:
            for method in (events.put_nowait, events.record):
                with pytest.raises((TypeError, ValueError), match=r"^column 'ts' must be"):
                    method((moment, "/", 200))
            moments = [-1e300, 10**18, None, Seconds(2.5)]
            for each in moments:
                await events.record((each, "/", 200))
            assert events.stats().rows == len(moments)

    asyncio.run(main())


@pytest.mark.parametrize("moment", ["2026", True, float("nan"), float("inf"), 1e12, -1e12, b"1"])
def test_partition_of_no_day_is_refused(path: Path, moment: object) -> None:
    async def main() -> None:
        async with recorder(path, partition_by="day") as events:
            with pytest.raises((TypeError, ValueError), match=r"^column 'ts' must be"):
                events.put_nowait((moment, "/", 200))

    asyncio.run(main())


@pytest.mark.parametrize("bad", [2**63, -(2**63) - 1, "\ud800"])
@pytest.mark.parametrize("place", [0, 30, 99])
def test_value_that_only_the_database_refuses_fails_alone(
    path: Path, bad: object, place: int
) -> None:
    async def main() -> None:
        async with recorder(path) as events:
            rows: list[tuple[object, ...]] = [(n, "/", 200) for n in range(100)]
            rows[place] = (place, bad, 200)
            results = await asyncio.gather(*map(events.record, rows), return_exceptions=True)
            errors = {n: error for n, error in enumerate(results) if error is not None}
            assert errors.keys() == {place}
            assert isinstance(errors[place], OverflowError | UnicodeEncodeError)
            stats = events.stats()
            assert (stats.rows, stats.failed, stats.commits) == (99, 1, 1)
        assert [row[0] for row in rows_of(path)] == [n for n in range(100) if n != place]

    asyncio.run(main())


def test_constraint_fails_the_rows_that_break_it(path: Path) -> None:
    async def main() -> None:
        columns = {"id": "INTEGER PRIMARY KEY", "name": "TEXT NOT NULL UNIQUE"}
        async with Recorder(path, "names", columns) as names:
            rows = [(1, "a"), (2, None), (3, "a"), (1, "b"), (None, "c")]
            rows += [(n, str(n)) for n in range(10, 90)] + [(50, "twice")]
            results = await asyncio.gather(*map(names.record, rows), return_exceptions=True)
            failed = {n: type(error) for n, error in enumerate(results) if error is not None}
            assert failed == dict.fromkeys([1, 2, 3, 85], sqlite3.IntegrityError)
        assert len(rows_of(path, "names")) == len(rows) - 4

    asyncio.run(main())


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE names (name TEXT NOT NULL ON CONFLICT FAIL)",
        "CREATE TABLE names (name TEXT);"
        "CREATE TRIGGER after_it AFTER INSERT ON names WHEN new.name IS NULL"
        " BEGIN SELECT RAISE(FAIL, 'NOT NULL'); END",
    ],
)
@pytest.mark.parametrize("count", [1, 3, 40, 90])
def test_row_that_fails_in_the_midst_leaves_each_of_the_others_once(
    path: Path, made: str, count: int
) -> None:
    run_sql(path, *made.split(";", 1))

    async def main() -> None:
        async with Recorder(path, "names", {"name": "TEXT"}, linger=60) as names:
            rows = [(str(number),) for number in range(count)]
            rows.insert(count // 2, (None,))  # type: ignore[arg-type]
            results = await asyncio.gather(*map(names.record, rows), return_exceptions=True)
            failed = {n: type(error) for n, error in enumerate(results) if error is not None}
            assert failed == {count // 2: sqlite3.IntegrityError}
            assert names.stats().commits == 1
        assert rows_of(path, "names") == [(str(number),) for number in range(count)]

    asyncio.run(main())


def test_table_that_rolls_back_fails_the_batch_and_keeps_nothing_of_it(path: Path) -> None:
    run_sql(path, "CREATE TABLE names (name TEXT NOT NULL ON CONFLICT ROLLBACK)")

    async def main() -> None:
        async with Recorder(path, "names", {"name": "TEXT"}, linger=60) as names:
            rows = [("a",), (None,), ("b",)]
            results = await asyncio.gather(*map(names.record, rows), return_exceptions=True)
            assert [type(error) for error in results] == [sqlite3.IntegrityError] * 3
            await names.record(("c",))
        assert rows_of(path, "names") == [("c",)]

    asyncio.run(main())


def test_put_row_that_fails_is_told_to_the_loop(path: Path) -> None:
    async def main() -> None:
        told: list[Mapping[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with recorder(path) as events:
            events.put_nowait((1, 2**63, 200))
            events.put_nowait((2, "/", 200))
            await events.flush()
            assert events.stats().failed == 1
        assert [type(context["exception"]) for context in told] == [OverflowError]
        assert [row[0] for row in rows_of(path)] == [2]

    asyncio.run(main())


def test_locked_database_is_waited_for(path: Path) -> None:
    async def main() -> None:
        pool = SqlitePool(path, busy_timeout=0.02)
        async with recorder(path, pool=pool) as events:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                waiting = events.record((1, "/", 200))
                await until(lambda: events.stats().retries >= 2)
                other.execute("COMMIT")
            await waiting
            assert rows_of(path) == [(1, "/", 200)]
            assert events.stats().failed == 0
        await pool.aclose()

    asyncio.run(main())


def test_database_that_stays_locked_is_an_error_and_then_goes_on(path: Path) -> None:
    async def main() -> None:
        pool = SqlitePool(path, busy_timeout=0)
        async with recorder(path, pool=pool) as events:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    await events.record((1, "/", 200))
                other.execute("ROLLBACK")
            assert (events.stats().retries, events.stats().failed) == (5, 1)
            await events.record((2, "/", 200))
            assert rows_of(path) == [(2, "/", 200)]
        await pool.aclose()

    asyncio.run(main())


def test_pool_of_somebody_else_stays_open(path: Path) -> None:
    async def main() -> None:
        async with SqlitePool(path) as pool:
            async with recorder(path, pool=pool) as events:
                await events.record((1, "/", 200))
            assert await pool.fetchval("SELECT count(*) FROM events") == 1

    asyncio.run(main())


def test_missing_directory_is_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
            async with recorder(tmp_path / "nowhere" / "events.sqlite"):
                pass
        events = recorder(tmp_path / "nowhere" / "events.sqlite")
        with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
            await events.record((1, "/", 200))
        assert events.stats().failed == 1
        await events.aclose()

    asyncio.run(main())


def test_read_only_database_is_an_error(path: Path) -> None:
    async def main() -> None:
        # Not by the permissions of the file, which do not stop root.
        pool = SqlitePool(path, on_connect=lambda db: db.execute("PRAGMA query_only=1").close())
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            async with recorder(path, pool=pool):
                pass
        await pool.aclose()

    asyncio.run(main())


def test_directory_is_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
            async with recorder(tmp_path):
                pass

    asyncio.run(main())


def test_corrupt_file_is_an_error(path: Path) -> None:
    path.write_bytes(b"This is no database, though it is long enough. " * 100)

    async def main() -> None:
        with pytest.raises(sqlite3.DatabaseError, match="not a database"):
            async with recorder(path):
                pass

    asyncio.run(main())


def test_full_disk_loses_nothing_that_was_acknowledged(path: Path) -> None:
    async def main() -> None:
        run_sql(path, "PRAGMA page_size = 4096", "CREATE TABLE a (a)")
        pool = SqlitePool(path, pragmas={"max_page_count": 20})
        acknowledged = []
        async with recorder(path, pool=pool) as events:

            async def fill() -> None:
                for number in range(1000):
                    await events.record((number, "x" * 1000, 200))
                    acknowledged.append(number)

            with pytest.raises(sqlite3.OperationalError, match="full"):
                await fill()
            assert 10 < len(acknowledged) < 100
            assert [row[0] for row in rows_of(path)] == acknowledged
            await events.query()
            stats = events.stats()
            assert (stats.rows, stats.failed) == (len(acknowledged), 1)
        await pool.aclose()
        async with recorder(path) as events:
            await events.record((-1, "there is room again", 200))
        assert [row[0] for row in rows_of(path)] == [*acknowledged, -1]

    asyncio.run(main())


def test_batch_of_which_one_row_fills_the_disk_is_rolled_back_whole(path: Path) -> None:
    async def main() -> None:
        run_sql(path, "PRAGMA page_size = 4096", "CREATE TABLE a (a)")
        async with (
            SqlitePool(path, pragmas={"max_page_count": 20}) as pool,
            recorder(path, pool=pool) as events,
        ):
            rows = [(1, "/", 200), (2, "x" * 100_000, 200), (3, "/", 200)]
            results = await asyncio.gather(*map(events.record, rows), return_exceptions=True)
            assert [type(result) for result in results] == [sqlite3.OperationalError] * 3
            assert rows_of(path) == []
            await events.record(rows[0])
            assert rows_of(path) == [(1, "/", 200)]

    asyncio.run(main())


def test_table_that_another_process_dropped_is_made_again(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, partition_by="day", timer=WallClock()) as events:
            await events.record((NOON, "/a", 200))
            await events.record((NOON - DAY, "/b", 200))
            run_sql(path, "DROP TABLE events_20260131")
            await events.record((NOON, "/c", 200))
            assert [row["path"] for row in await events.query()] == ["/b", "/c"]

    asyncio.run(main())
