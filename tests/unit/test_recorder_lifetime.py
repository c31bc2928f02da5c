"""`Recorder`: who is cancelled, its end, the next loop, and what it tells of itself."""

from __future__ import annotations

import asyncio
import gc
import random
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.loading import settle
from tests.recording import COLUMNS, NOON, WallClock, recorder, rows_of, until

from penstock import _components, deadline
from penstock.errors import ClosedError, DeadlineExceeded, WrongEventLoop
from penstock.recording import RecorderStats

if TYPE_CHECKING:
    from pathlib import Path


FOREVER = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


def test_who_is_cancelled_while_it_waits_records_nothing(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, linger=FOREVER) as events:
            first = events.record((1, "/a", 200))
            second = events.record((2, "/b", 200))
            first.cancel()
            await second
            assert rows_of(path) == [(2, "/b", 200)]

    asyncio.run(main())


def test_what_was_dispatched_is_written_though_nobody_waits(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, linger=FOREVER) as events:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")  # so that it takes as long as we like
                future = events.record((1, "/a", 200))
                await until(lambda: not events.stats().pending)
                future.cancel()
                await settle()
                other.execute("ROLLBACK")
        assert rows_of(path) == [(1, "/a", 200)]

    asyncio.run(main())


def test_what_is_acknowledged_is_there_once_whoever_is_cancelled(path: Path) -> None:
    chance = random.Random("cancel")

    async def main() -> None:
        acknowledged: set[int] = set()
        async with recorder(path, linger=0.001, max_items=5) as events:

            async def work(number: int) -> None:
                await events.record((0, "/", number))
                acknowledged.add(number)

            for first in range(0, 600, 30):
                tasks = [asyncio.create_task(work(first + n)) for n in range(30)]
                for task in chance.sample(tasks, 10):
                    await settle(chance.randrange(4))
                    task.cancel()
                if chance.random() < 0.3:
                    await events.flush()
                await asyncio.wait(tasks)
        found = [row[2] for row in rows_of(path)]
        assert len(found) == len(set(found))
        assert acknowledged <= set(found)
        assert 400 <= len(acknowledged) < 600

    asyncio.run(main())


def test_cancelled_close_goes_on(path: Path) -> None:
    async def main() -> None:
        events = recorder(path, linger=FOREVER)
        events.put_nowait((1, "/a", 200))
        ending = asyncio.create_task(events.aclose())
        await settle(2)
        ending.cancel()
        await asyncio.wait([ending])
        assert ending.cancelled()
        assert (await events.aclose()).completed == 1
        assert rows_of(path) == [(1, "/a", 200)]

    asyncio.run(main())


def test_deadline_ends_the_wait_and_not_the_row(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, linger=FOREVER) as events:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(DeadlineExceeded):
                    async with deadline(0.02):
                        await events.record((1, "/a", 200))
                other.execute("ROLLBACK")
            await events.record((2, "/b", 200))  # its turn comes without the deadline of another
        assert [row[0] for row in rows_of(path)] == [1, 2]

    asyncio.run(main())


def test_close_writes_what_waits(path: Path) -> None:
    async def main() -> None:
        events = recorder(path, linger=FOREVER)
        for number in range(5):
            events.put_nowait((number, "/", 200))
        report, again = await asyncio.gather(events.aclose(), events.aclose())
        assert report == again
        assert (report.completed, report.failed, report.abandoned) == (5, 0, 0)
        assert events.closed
        for refused in (events.put_nowait, events.record):
            with pytest.raises(ClosedError):
                refused((1, "/", 200))
        for question in (events.query, events.recent, events.partitions):
            with pytest.raises(ClosedError):
                await question()
        assert len(rows_of(path)) == 5

    asyncio.run(main())


def test_block_that_fails_writes_its_rows_all_the_same(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, linger=FOREVER) as events:
            events.put_nowait((1, "/a", 200))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(main())
    assert rows_of(path) == [(1, "/a", 200)]


def test_it_goes_on_in_the_next_loop(path: Path) -> None:
    events = recorder(path, linger=FOREVER)

    async def one(number: int) -> None:
        await events.record((number, "/", 200))

    for number in range(3):
        asyncio.run(one(number))
    asyncio.run(events.aclose())  # type: ignore[arg-type]
    assert [row[0] for row in rows_of(path)] == [0, 1, 2]


def test_other_loops_are_refused_and_change_nothing(path: Path) -> None:
    async def main() -> None:
        events = recorder(path, linger=FOREVER)
        await events.record((1, "/", 200))
        events.put_nowait((2, "/", 200))

        async def other() -> None:
            for use in (events.aclose, events.flush, lambda: events.record((0, "/", 200))):
                with pytest.raises(WrongEventLoop, match=r": only put_nowait\(\) is for others$"):
                    await use()
            events.put_nowait((3, "/", 200))

        await asyncio.to_thread(asyncio.run, other())
        assert not events.closed
        events.put_nowait((4, "/", 200))
        assert (await events.aclose()).completed == 3
        assert [row[0] for row in rows_of(path)] == [1, 2, 3, 4]

    asyncio.run(main())


def test_close_that_is_refused_can_be_repeated(path: Path) -> None:
    async def main() -> None:
        async with recorder(path) as events:
            with pytest.raises(ValueError, match="timeout"):
                await events.aclose(timeout=-1)
            assert not events.closed
            await events.record((1, "/", 200))
        assert (await events.aclose(timeout=None)).completed == 0

    asyncio.run(main())
    assert len(rows_of(path)) == 1


def test_close_that_ended_with_its_loop_is_repeated_in_the_next(path: Path) -> None:
    events = recorder(path)

    async def begin(other: sqlite3.Connection) -> None:
        await events.record((1, "/", 200))
        other.execute("BEGIN IMMEDIATE")
        events.put_nowait((2, "/", 200))
        ending = asyncio.create_task(events.aclose())
        await settle()
        ending.cancel()
        await asyncio.wait([ending])

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        asyncio.run(begin(other))  # which cancels what is left of it
    assert events.closed
    report = asyncio.run(events.aclose())  # type: ignore[arg-type]
    assert report == asyncio.run(events.aclose())  # type: ignore[arg-type]
    assert [row[0] for row in rows_of(path)] == [1]


def test_no_thread_is_left(path: Path) -> None:
    before = set(threading.enumerate())

    async def main() -> None:
        async with recorder(path) as events:
            await events.record((1, "/", 200))
            await events.query()

    asyncio.run(main())
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert set(threading.enumerate()) <= before


def test_statistics_are_shown_under_its_name(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, name="requests", partition_by="day", timer=WallClock()) as events:
            events.put_nowait((NOON, "/", 200))
            await events.flush()
            await events.query()
            stats = events.stats()
            assert stats.write_seconds > 0
            assert stats == RecorderStats(
                rows=1,
                commits=1,
                partitions_created=1,
                queries=1,
                write_seconds=stats.write_seconds,
            )
            shown = [entry() for entry in _components.entries() if entry.name == "requests"]
            assert events in shown
            kind, _ = _components.stats_of(events)
            assert kind.name == "recorder"
            assert repr(events) == (
                "Recorder('events', ['ts', 'path', 'status'], partition_by='day', name='requests')"
            )
            assert (events.name, events.table, events.columns) == ("requests", "events", COLUMNS)

    asyncio.run(main())


def test_recorder_of_nobody_is_collected(path: Path) -> None:
    async def main() -> None:
        async with recorder(path, name="gone") as events:
            await events.record((1, "/", 200))

    asyncio.run(main())
    gc.collect()
    assert all(entry.name != "gone" for entry in _components.entries())


def test_nothing_is_made_before_it_is_used(path: Path) -> None:
    recorder(path)
    assert not path.exists()
