"""`SqliteStore`: what others write between the steps of a read, or while a write waits for them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.clock import Clock

from penstock.stores import Change, Record, SqliteStore
from penstock.stores import _sqlite_writing as writing
from penstock.stores._sqlite_reading import Reader

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("waits", [False, True])
def test_what_waits_to_be_made_up_for_gets_no_younger(tmp_path: Path, waits: bool) -> None:
    clock, timer, path = Clock(1_000_000.0), Clock(500.0), tmp_path / "cache.db"

    def advance(seconds: float) -> None:
        clock.advance(seconds)
        timer.advance(seconds)

    async def main() -> None:
        async with (
            SqliteStore(path, clock=clock, timer=timer) as store,
            SqliteStore(path, clock=clock, timer=timer) as other,
        ):
            await other.set_many([("k", Record("old", clock(), None))])
            advance(1.0)
            missed = Change("set", ("k",), Record("missed", clock(), None), timer())
            gone = Change("delete", ("gone",), None, timer())
            advance(0.5)
            await other.delete_many(["k"])
            await other.set_many([("gone", Record("newer", clock(), None))])
            advance(0.1)
            with closing(sqlite3.connect(path, isolation_level=None)) as another:
                another.execute("BEGIN IMMEDIATE")
                replay = asyncio.create_task(store.replay([missed, gone]))
                await asyncio.sleep(0)
                if waits:
                    advance(2.0)
                # As whoever writes something.
                another.execute("UPDATE penstock_spaces SET clock = ?", (int(clock() * 1e6),))
                another.execute("COMMIT")
                await replay
            found = (await other.get_many(["k", "gone"])).records
            assert [each and each.value for each in found] == [None, "newer"]

    asyncio.run(main())


def test_what_is_missed_can_be_older_than_a_wait(tmp_path: Path) -> None:
    """A wait makes it no older either: what it is to remove would stay."""
    clock, timer, path = Clock(1_000_000.0), Clock(500.0), tmp_path / "cache.db"

    async def main() -> None:
        async with SqliteStore(path, clock=clock, timer=timer) as store:
            await store.set_many([("k", Record("old", clock(), None))])
            clock.advance(1.0)
            timer.advance(1.0)
            gone = Change("delete", ("k",), None, timer())
            with closing(sqlite3.connect(path, isolation_level=None)) as another:
                another.execute("BEGIN IMMEDIATE")
                replay = asyncio.create_task(store.replay([gone]))
                await asyncio.sleep(0)
                clock.advance(3.0)
                timer.advance(3.0)
                another.execute("COMMIT")
                await replay
            assert (await store.get_many(["k"])).records == [None]

    asyncio.run(main())


def test_tags_that_are_forgotten_during_a_read_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_MAX_TAGS", 20)

    async def main() -> None:
        async with (
            SqliteStore(tmp_path / "cache.db") as store,
            SqliteStore(tmp_path / "cache.db") as other,
        ):
            await store.set("k", "old", tags=["t0"])
            drop_invalid = Reader._drop_invalid

            async def later(reader: Reader, *args: Any) -> None:
                for number in range(40):
                    await other.invalidate(tags=[f"t{number}"])
                await drop_invalid(reader, *args)

            monkeypatch.setattr(Reader, "_drop_invalid", later)
            assert await store.get("k") is None
            monkeypatch.undo()
            await store.set("k", "new", tags=["t0"])
            assert await store.get("k") == "new"

    asyncio.run(main())


def test_who_is_kept_from_running_between_two_clocks_reads_them_again(tmp_path: Path) -> None:
    time, late = 100.0, 0

    def clock() -> float:
        nonlocal time, late
        read, time, late = time, time + (5.0 if late else 0.0), max(0, late - 1)
        return read

    async def main() -> None:
        nonlocal time, late
        async with SqliteStore(tmp_path / "cache.db", clock=clock, timer=lambda: time) as store:
            await store.set_many([("key", Record("old", 100.0, None))])
            time, late = 101.0, 3
            await store.replay([Change("set", ("key",), Record("new", 101.0, None), time)])
            assert late == 0
            (found,) = (await store.get_many(["key"])).records
            assert found is not None
            assert found.value == "new"

    asyncio.run(main())
