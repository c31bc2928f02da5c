"""`Recorder`: tables of a day, their retention, and queries that read only what they need."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from tests.recording import DAY, NOON, WallClock, recorder, run_sql, tables_of

from penstock.pools import SqlitePool

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from penstock.recording import Recorder

MIDNIGHT = NOON - DAY / 2
#: The tables of the days around noon.
FRIDAY, SATURDAY, SUNDAY = "events_20260130", "events_20260131", "events_20260201"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


class Traced:
    """A recorder of three days, and the tables that its queries read."""

    def __init__(self, path: Path) -> None:
        self.seen: list[str] = []
        self.pool = SqlitePool(path, on_connect=self._connect)
        self.events: Recorder = recorder(
            path, pool=self.pool, partition_by="day", timer=WallClock()
        )

    def _connect(self, db: sqlite3.Connection) -> None:
        db.set_authorizer(self._authorize)

    def _authorize(self, action: int, one: str | None, *rest: object) -> int:
        # Once for each column of a table that a statement reads.
        reads = action == sqlite3.SQLITE_READ and one is not None and one.startswith("events_")
        if reads and one not in self.seen:
            self.seen.append(str(one))
        return sqlite3.SQLITE_OK

    async def fill(self) -> None:
        for day in (-1, 0, 1):
            for hour in (0, 12):
                moment = MIDNIGHT + day * DAY + hour * 3600
                self.events.put_nowait((moment, f"/{day}", hour))
        await self.events.flush()
        self.seen.clear()

    async def read(self, **asked: object) -> tuple[list[object], list[str]]:
        """Return the times of what is found, in days since midnight, and the tables read."""
        self.seen.clear()
        found = await self.events.query(**asked)  # type: ignore[arg-type]
        return [(row["ts"] - MIDNIGHT) / DAY for row in found], self.seen  # type: ignore[operator]

    async def __aenter__(self) -> Self:
        await self.fill()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.events.aclose()
        await self.pool.aclose()


def test_each_day_has_a_table(path: Path) -> None:
    async def main() -> None:
        async with Traced(path) as traced:
            assert await traced.events.partitions() == [FRIDAY, SATURDAY, SUNDAY]
            assert tables_of(path) == [FRIDAY, SATURDAY, SUNDAY]
            assert run_sql(path, f"SELECT ts, path FROM {SATURDAY}") == [
                (MIDNIGHT, "/0"),
                (NOON, "/0"),
            ]
            assert traced.events.stats().partitions_created == 3

    asyncio.run(main())


@pytest.mark.parametrize(
    ("since", "until", "days", "tables"),
    [
        (None, None, [-1, -0.5, 0, 0.5, 1, 1.5], [FRIDAY, SATURDAY, SUNDAY]),
        (0, 1, [0, 0.5], [SATURDAY]),
        (0, None, [0, 0.5, 1, 1.5], [SATURDAY, SUNDAY]),
        (None, 0, [-1, -0.5], [FRIDAY]),
        (0.5, 1, [0.5], [SATURDAY]),
        (0.5, 1.5, [0.5, 1], [SATURDAY, SUNDAY]),
        (-0.5, 0.5, [-0.5, 0], [FRIDAY, SATURDAY]),
        (0.5, 0.5, [], [SATURDAY]),
        (0.6, 0.9, [], [SATURDAY]),
        (2, None, [], []),
        (None, -1, [], []),
        (1, -1, [], []),
    ],
)
@pytest.mark.parametrize("dated", [False, True])
def test_only_tables_that_can_hold_the_range_are_read(
    path: Path,
    since: float | None,
    until: float | None,
    days: list[float],
    tables: list[str],
    dated: bool,
) -> None:
    def moment(day: float | None) -> float | datetime | None:
        if day is None:
            return None
        seconds = MIDNIGHT + day * DAY
        return datetime.fromtimestamp(seconds, timezone(timedelta(hours=-3))) if dated else seconds

    async def main() -> None:
        async with Traced(path) as traced:
            found, read = await traced.read(since=moment(since), until=moment(until))
            assert (found, read) == (days, tables)
            found, read = await traced.read(since=moment(since), until=moment(until), order="desc")
            assert (found, read) == (days[::-1], tables[::-1])

    asyncio.run(main())


def test_boundary_between_two_floats_is_exact(path: Path) -> None:
    last = MIDNIGHT - 2.0**-22  # the float before

    async def main() -> None:
        async with recorder(path, partition_by="day") as events:
            await asyncio.gather(events.record((last, "/", 0)), events.record((MIDNIGHT, "/", 1)))
            for since, until, found in (
                (last, MIDNIGHT, [0]),
                (MIDNIGHT, None, [1]),
                (None, last, []),
                (last, None, [0, 1]),
            ):
                rows = await events.query(since, until)
                assert [row["status"] for row in rows] == found

    asyncio.run(main())


def test_limit_is_reached_without_the_other_tables(path: Path) -> None:
    async def main() -> None:
        async with Traced(path) as traced:
            assert await traced.read(limit=2) == ([-1, -0.5], [FRIDAY])
            assert await traced.read(limit=3) == ([-1, -0.5, 0], [FRIDAY, SATURDAY])
            assert await traced.read(limit=1, order="desc") == ([1.5], [SUNDAY])
            assert await traced.read(limit=0) == ([], [])

    asyncio.run(main())


def test_condition_has_parameters_by_place_or_by_name(path: Path) -> None:
    async def main() -> None:
        async with Traced(path) as traced:
            since = MIDNIGHT
            found, _ = await traced.read(since=since, where="status = ?", params=[12])
            assert found == [0.5, 1.5]
            found, _ = await traced.read(since=since, where="status IN (?2, ?1)", params=(0, 9))
            assert found == [0, 1]
            found, _ = await traced.read(
                since=since, where="status = :s OR path = :p", params={"s": 12, "p": "/0"}
            )
            assert found == [0, 0.5, 1.5]
            found, _ = await traced.read(since=since, where="status = 12 OR 1 -- all")
            assert found == [0, 0.5, 1, 1.5]

    asyncio.run(main())


def test_recent_rows_are_those_of_the_last_days(path: Path) -> None:
    async def main() -> None:
        async with Traced(path) as traced:
            assert len(await traced.events.recent()) == 6
            traced.seen.clear()
            found = await traced.events.recent(0.5, where="status > ?", params=(0,), limit=1)
            assert [row["ts"] for row in found] == [NOON]
            assert traced.seen == [SATURDAY]
            assert traced.events.stats().queries == 2

    asyncio.run(main())


def test_rows_of_one_moment_keep_their_order(path: Path) -> None:
    async def main() -> None:
        async with recorder(path) as events:
            for number in range(5):
                events.put_nowait((NOON, "/", number))
            await events.flush()
            found = await events.query()
            assert [row["status"] for row in found] == [0, 1, 2, 3, 4]
            found = await events.query(order="desc", limit=2)
            assert [row["status"] for row in found] == [4, 3]

    asyncio.run(main())


def test_database_without_the_table_has_no_rows(path: Path) -> None:
    async def main() -> None:
        events = recorder(path)
        assert await events.query() == []
        assert await events.partitions() == []
        await events.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"since": "now"}, TypeError, "since must be seconds or a datetime, got str"),
        ({"since": datetime(2026, 1, 1)}, ValueError, "since must have a time zone"),  # noqa: DTZ001
        ({"until": float("nan")}, ValueError, "until must be finite, got nan"),
        ({"where": 3}, TypeError, "where must be a str, got int"),
        ({"params": "a"}, TypeError, "params must be a sequence or a mapping, got str"),
        ({"order": "up"}, ValueError, "order must be 'asc' or 'desc', got 'up'"),
        ({"limit": -1}, ValueError, "limit must be >= 0, got -1"),
        ({"limit": 1.5}, TypeError, "limit must be an int, got float"),
        ({"where": "missing = 1"}, sqlite3.OperationalError, "no such column: missing"),
        ({"where": "status = ?"}, sqlite3.ProgrammingError, "bindings"),
    ],
)
def test_wrong_question_is_refused(
    path: Path, asked: dict[str, object], error: type[Exception], message: str
) -> None:
    async def main() -> None:
        async with recorder(path) as events:
            with pytest.raises(error, match=message):
                await events.query(**asked)  # type: ignore[arg-type]

    asyncio.run(main())


def test_query_changes_nothing(path: Path) -> None:
    async def main() -> None:
        async with Traced(path) as traced:
            with pytest.raises(sqlite3.Error):
                await traced.events.query(where="1); DROP TABLE events_20260131; --")
            assert tables_of(path) == [FRIDAY, SATURDAY, SUNDAY]

    asyncio.run(main())
