"""`Recorder`: tables of a day, and their retention."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recording import DAY, NOON, WallClock, recorder, run_sql, tables_of

from penstock.recording import Recorder
from penstock.recording._days import day_of, name_of_day, parse_day

if TYPE_CHECKING:
    from pathlib import Path


MIDNIGHT = NOON - DAY / 2
#: The tables of the days around noon.
FRIDAY, SATURDAY, SUNDAY = "events_20260130", "events_20260131", "events_20260201"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


def test_day_is_that_of_utc_to_the_last_moment(path: Path) -> None:
    before = MIDNIGHT - 1e-6

    async def main() -> None:
        async with recorder(path, partition_by="day") as events:
            zone = timezone(timedelta(hours=5))
            moments = [before, MIDNIGHT, int(MIDNIGHT) - 1, datetime.fromtimestamp(before, zone)]
            await asyncio.gather(*[events.record((moment, "/", 0)) for moment in moments])
            assert await events.partitions() == [FRIDAY, SATURDAY]
        assert len(run_sql(path, f"SELECT * FROM {FRIDAY}")) == 3

    asyncio.run(main())


def test_rows_of_many_days_in_one_batch_go_where_they_belong(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, partition_by="day", linger=60) as events:
            bad = 2**63
            rows = [(NOON + n % 5 * DAY, "/", bad if n == 33 else n) for n in range(200)]
            results = await asyncio.gather(*map(events.record, rows), return_exceptions=True)
            assert [n for n, error in enumerate(results) if error is not None] == [33]
            assert events.stats().commits == 1
            assert len(await events.partitions()) == 5
            found = await events.query()
            assert [row["status"] for row in found] == [
                n for day in range(5) for n in range(day, 200, 5) if n != 33
            ]

    asyncio.run(main())


def test_days_before_1970_and_after_2038_are_days(path: Path) -> None:
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, tzinfo=UTC),
        datetime(2100, 2, 28, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, tzinfo=UTC),
    ]

    async def main() -> None:
        async with recorder(path, partition_by="day") as events:
            for moment in moments:
                await events.record((moment, "/", 0))
            days = ["00010101", "19691231", "21000228", "99991231"]
            assert await events.partitions() == [f"events_{day}" for day in days]
            assert len(await events.query(since=moments[1], until=moments[3])) == 2

    asyncio.run(main())


@given(st.floats(-62135596800, 253402300799))
def test_name_of_a_day_is_that_of_the_calendar(seconds: float) -> None:
    day = day_of(seconds)
    assert day * DAY <= seconds < (day + 1) * DAY
    assert parse_day(name_of_day(day)) == day
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    assert name_of_day(day) == moment.date().isoformat().replace("-", "")


@pytest.mark.parametrize(
    "name",
    ["events_2026013", "events_20260132", "events_20261301", "events_x0260131", "other_20260131",
     "events_20260131_old", "events_٢٠٢٦٠١٣١"],
)  # fmt: skip
def test_other_tables_are_no_partitions(path: Path, name: str) -> None:
    run_sql(path, f'CREATE TABLE "{name}" (ts REAL, path TEXT, status INTEGER)')

    async def main() -> None:
        options = {"partition_by": "day", "retention": 1}
        async with recorder(path, **options) as events:
            assert await events.partitions() == []
            assert await events.query() == []
        assert tables_of(path) == [name]

    asyncio.run(main())


@pytest.mark.parametrize("table", ["Événements", "ÜBER_Ä", "\u212aelvin", "İ"])
def test_case_is_that_of_ascii_as_in_sqlite(path: Path, table: str) -> None:
    columns = {"ts": "REAL", "Ä": "INTEGER", "ä": "INTEGER"}

    async def main() -> None:
        options = {"partition_by": "day", "timer": WallClock()}
        async with Recorder(path, table, columns, **options) as events:  # type: ignore[arg-type]
            await events.record((NOON - 9 * DAY, 1, 2))
            await events.record((None, 3, 4))
        ascii_lower = "".join(c.lower() if c.isascii() else c for c in table)
        options["retention"] = 1
        async with Recorder(path, ascii_lower, columns, **options) as events:  # type: ignore[arg-type]
            assert await events.partitions() == [f"{ascii_lower}_20260131"]
            assert await events.query() == [{"ts": NOON, "Ä": 3, "ä": 4}]

    asyncio.run(main())


def test_two_recorders_share_a_database(path: Path) -> None:
    async def main() -> None:
        async with (
            recorder(path, partition_by="day") as one,
            recorder(path, partition_by="day") as two,
        ):
            for number in range(10):
                await asyncio.gather(
                    one.record((NOON, "/one", number)), two.record((NOON, "/two", number))
                )
            assert len(await one.query()) == len(await two.query()) == 20

    asyncio.run(main())


def test_old_days_are_dropped_when_a_new_one_begins(path: Path) -> None:
    async def main() -> None:
        clock = WallClock()
        options = {"partition_by": "day", "retention": 2, "timer": clock}
        async with recorder(path, **options) as events:
            for day in (2, 1, 0):
                await events.record((NOON - day * DAY, "/", day))
            assert len(await events.partitions()) == 3
            clock.now = MIDNIGHT + DAY - 0.001
            await events.record((None, "/", 0))
            assert len(await events.partitions()) == 3
            clock.now = MIDNIGHT + DAY
            await events.record((None, "/", 0))
            assert await events.partitions() == [FRIDAY, SATURDAY, SUNDAY]
            assert events.stats().partitions_dropped == 1
            clock.now += 30 * DAY
            await events.record((None, "/", 0))
            assert await events.partitions() == ["events_20260303"]
            assert events.stats().partitions_dropped == 4

    asyncio.run(main())


def test_old_days_are_dropped_on_entry(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, partition_by="day") as events:
            for day in range(5):
                await events.record((NOON - day * DAY, "/", day))
        options = {"partition_by": "day", "retention": 1, "timer": WallClock()}
        async with recorder(path, **options) as events:
            assert await events.partitions() == [FRIDAY, SATURDAY]

    asyncio.run(main())


def test_table_that_does_not_fit_is_never_dropped(path: Path) -> None:
    old = "events_20200101"

    async def main() -> None:
        clock = WallClock()
        options = {"partition_by": "day", "retention": 1, "timer": clock}
        async with recorder(path, **options) as events:
            await events.record((None, "/", 0))
            run_sql(path, f"CREATE TABLE {old} (customer TEXT)")
            clock.now += 9 * DAY
            await events.record((None, "/", 0))
            assert events.stats().partitions_dropped == 1
        assert old in tables_of(path)
        for _ in range(2):
            with pytest.raises(ValueError, match=f"^table '{old}' does not fit: it has no column"):
                await recorder(path, **options).__aenter__()
        assert old in tables_of(path)

    asyncio.run(main())


def test_row_that_is_too_old_is_refused(path: Path) -> None:
    async def main() -> None:
        clock = WallClock()
        options = {"partition_by": "day", "retention": 1, "timer": clock}
        async with recorder(path, **options) as events:
            await events.record((MIDNIGHT - DAY, "/", 0))
            message = "^column 'ts' is of 20260129, which is older than the retention$"
            with pytest.raises(ValueError, match=message):
                events.put_nowait((MIDNIGHT - DAY - 1, "/", 0))
            clock.now += DAY
            await events.record((None, "/", 0))
            with pytest.raises(ValueError, match="of 20260130"):
                events.record((MIDNIGHT - DAY, "/", 0))

    asyncio.run(main())


def test_clock_that_goes_back_drops_nothing_that_is_kept(path: Path) -> None:
    async def main() -> None:
        clock = WallClock()
        options = {"partition_by": "day", "retention": 1, "timer": clock}
        async with recorder(path, **options) as events:
            await events.record((None, "/", 0))
            clock.now -= 3 * DAY
            await events.record((None, "/", 0))
            assert await events.partitions() == ["events_20260128", SATURDAY]

    asyncio.run(main())
