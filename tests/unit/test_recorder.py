"""`Recorder`: rows that are put, rows that are awaited, and its end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.recording import NOON, WallClock, recorder, rows_of, tables_of, until
from tests.threads import spawn

from penstock.errors import LimitExceeded
from penstock.pools import SqlitePool
from penstock.recording import Recorder

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.recording._recorder import OnFull

FOREVER = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


def test_rows_that_are_put_are_there_after_a_flush(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, linger=FOREVER) as events:
            events.put_nowait((1.5, "/a", 200))
            events.put_nowait([2.5, "/b", 404])
            events.put_nowait({"status": 500, "path": "/c", "ts": 3.5})
            assert rows_of(path) == []
            await events.flush()
            assert rows_of(path) == [(1.5, "/a", 200), (2.5, "/b", 404), (3.5, "/c", 500)]

    asyncio.run(main())


def test_row_that_is_awaited_is_committed(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, linger=FOREVER) as events:
            assert await events.record((1.5, "/a", 200)) is None
            assert rows_of(path) == [(1.5, "/a", 200)]

    asyncio.run(main())


def test_who_waits_does_not_linger_nor_do_those_before_him(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, linger=timedelta(hours=1)) as events:
            events.put_nowait((1, "/put", 200))
            await asyncio.gather(*[events.record((n, "/", 200)) for n in range(2, 5)])
            assert [row[0] for row in rows_of(path)] == [1, 2, 3, 4]
            assert events.stats().commits == 1

    asyncio.run(main())


def test_many_tasks_share_transactions(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, linger=FOREVER) as events:

            async def work(number: int) -> None:
                for turn in range(20):
                    await events.record((number, f"/{turn}", 200))

            await asyncio.gather(*[work(number) for number in range(50)])
            stats = events.stats()
            assert (stats.rows, stats.failed, stats.pending) == (1000, 0, 0)
            assert stats.commits <= 60
        assert sorted(rows_of(path)) == sorted(
            (number, f"/{turn}", 200) for number in range(50) for turn in range(20)
        )

    asyncio.run(main())


def test_rows_keep_their_order(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, max_items=7) as events:
            for number in range(1000):
                events.put_nowait((0, "/", number))
        assert [row[2] for row in rows_of(path)] == list(range(1000))

    asyncio.run(main())


def test_lingering_rows_are_written_in_their_time(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, linger=0.001) as events:
            events.put_nowait((1, "/", 200))
            await until(lambda: events.stats().rows == 1)

    asyncio.run(main())


def test_time_that_is_missing_is_filled_in(path: Path) -> None:
    async def main() -> None:
        clock = WallClock(7.0)
        async with recorder(path, timer=clock) as events:
            events.put_nowait({"path": "/a", "status": 200})
            clock.now = 8.0
            events.put_nowait((None, "/b", 200))
            events.put_nowait({"ts": None, "path": "/c", "status": 200})
            clock.now = 9.0
        assert [row[0] for row in rows_of(path)] == [7.0, 8.0, 8.0]

    asyncio.run(main())


def test_time_is_that_of_the_system_by_default(path: Path) -> None:
    async def main() -> None:
        async with recorder(path) as events:
            await events.record((None, "/a", 200))
            assert len(await events.recent(0.01)) == 1

    asyncio.run(main())


def test_table_without_times_needs_none(path: Path) -> None:
    async def main() -> None:
        async with Recorder(path, "names", {"name": "TEXT"}) as names:
            await names.record(["a"])
            await names.record({"name": "b"})
            assert await names.query(order="desc") == [{"name": "b"}, {"name": "a"}]
            with pytest.raises(ValueError, match="has no column of times"):
                await names.query(since=1)

    asyncio.run(main())


def test_values_of_all_kinds_come_back(path: Path) -> None:
    values = [None, 1, -(2**63), 2**63 - 1, 0.5, "", "ä\0\U0001f600", b"", b"\0\xff", True]

    async def main() -> None:
        async with Recorder(path, "t", {"v": "", "n": "INTEGER"}) as recorder:
            for number, value in enumerate(values):
                recorder.put_nowait((value, number))
            recorder.put_nowait((bytearray(b"ab"), len(values)))
            recorder.put_nowait((memoryview(b"cd"), len(values) + 1))
            await recorder.flush()
            found = [row["v"] for row in await recorder.query()]
            assert found == [*values[:-1], 1, b"ab", b"cd"]

    asyncio.run(main())


def test_row_is_that_of_the_moment_it_was_put(path: Path) -> None:
    async def main() -> None:
        async with recorder(path) as events:
            row: dict[str, object] = {"ts": 1, "path": "/a", "status": 200}
            several: list[object] = [2, "/b", 200]
            events.put_nowait(row)
            events.put_nowait(several)
            row["path"] = several[1] = "changed"
        assert [row[1] for row in rows_of(path)] == ["/a", "/b"]

    asyncio.run(main())


def test_any_thread_may_put(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, linger=0.001) as events:

            def put(first: int) -> None:
                for number in range(first, first + 500):
                    events.put_nowait((0, "/", number))

            threads = [spawn(put, first) for first in range(0, 2000, 500)]
            await asyncio.gather(*[asyncio.to_thread(thread.result) for thread in threads])
        assert sorted(row[2] for row in rows_of(path)) == list(range(2000))

    asyncio.run(main())


def test_rows_may_be_put_before_there_is_a_loop(path: Path) -> None:
    events = recorder(path)
    events.put_nowait((1, "/a", 200))

    async def main() -> None:
        await events.aclose()

    asyncio.run(main())
    assert rows_of(path) == [(1, "/a", 200)]


def test_tables_are_looked_for_once(path: Path) -> None:
    seen: list[str] = []

    async def main() -> None:
        pool = SqlitePool(path, on_connect=lambda db: db.set_trace_callback(seen.append))
        options = {"partition_by": "day", "retention": 1, "timer": WallClock()}
        async with recorder(path, pool=pool, **options) as events:
            await events.record((NOON, "/", 200))
            seen.clear()
            await events.record((NOON, "/", 200))
            words = ["BEGIN", "SAVEPOINT", "INSERT", "RELEASE", "COMMIT"]
            assert [text.split()[0] for text in seen[:5]] == words
            assert not any("sqlite_master" in text or "PRAGMA" in text for text in seen)
        await pool.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("on_full", ["wait", "raise", "drop_newest", "drop_oldest"])
def test_what_happens_when_too_many_wait_is_up_to_the_batcher(path: Path, on_full: OnFull) -> None:
    async def main() -> None:
        events = recorder(path, linger=FOREVER, max_pending=2, on_full=on_full)
        for number in range(2):
            events.put_nowait((number, "/", 200))
        if on_full in {"wait", "raise"}:
            with pytest.raises(LimitExceeded):
                events.put_nowait((2, "/", 200))
        else:
            events.put_nowait((2, "/", 200))
        stats = events.stats()
        assert stats.pending == 2
        assert (stats.rejected, stats.dropped) == ((1, 0) if "drop" not in on_full else (0, 1))
        await events.aclose()
        kept = [1, 2] if on_full == "drop_oldest" else [0, 1]
        assert [row[0] for row in rows_of(path)] == kept

    asyncio.run(main())


def test_tables_are_made_on_entry(path: Path) -> None:
    async def main() -> None:
        async with recorder(path):
            assert tables_of(path) == ["events"]

    asyncio.run(main())
