"""What a `SqliteStore` removes, and when: nothing that was removed comes back by a late load."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.clock import Clock
from tests.databases import until

from penstock.stores import Change, Record, SqliteStore
from penstock.stores import _sqlite_notes as notes
from penstock.stores import _sqlite_writing as writing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def run(store: SqliteStore, program: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def main() -> None:
        async with store:
            await program(store)

    asyncio.run(main())


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


def make(tmp_path: Path, clock: Clock, **options: Any) -> SqliteStore:
    return SqliteStore(tmp_path / "cache.db", clock=clock, **options)


def keys_in(tmp_path: Path, what: str = "value IS NOT NULL") -> list[str]:
    with closing(sqlite3.connect(tmp_path / "cache.db")) as db:
        rows = db.execute(f"SELECT key FROM penstock_entries WHERE {what} ORDER BY id")
        return [key.decode() for (key,) in rows]


def assert_sums_are_right(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "cache.db")) as db:
        found = db.execute("SELECT entries, bytes FROM penstock_spaces").fetchall()
        counted = "SELECT count(*), coalesce(sum(size), 0) FROM penstock_entries"
        assert found == db.execute(counted).fetchall()
        real = f"SELECT sum(length(key) + coalesce(length(value), 0) + {writing.OVERHEAD})"
        assert db.execute(f"{real} FROM penstock_entries").fetchone()[0] in (found[0][1], None)


# --- full -----------------------------------------------------------------------------------------


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        for number in range(9):
            await store.set(f"k{number}", "x" * 900)
            clock.advance(61)
        assert await store.get("k0") == "x" * 900  # it is noted with the next write
        await store.set("k9", "x" * 900)
        await store.set("k10", "x" * 900)
        assert store.stats().evicted == 1
        assert keys_in(tmp_path) == ["k0", *(f"k{n}" for n in range(2, 11))]
        assert await store.get("k1") is None
        assert store.stats().bytes <= 10_900
        assert store.stats().entries == 10
        assert_sums_are_right(tmp_path)

    run(make(tmp_path, clock, max_bytes=10_900), program)


def test_it_is_never_much_fuller_than_it_may_be(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        for turn in range(30):
            await asyncio.gather(
                *(store.set(f"k{turn}:{n}", "x" * (n * 50)) for n in range(10)),
                store.delete(f"k{turn - 1}:9"),
            )
            clock.advance(1)
            assert store.stats().bytes <= 20_000
        assert await store.get("k29:9") == "x" * 450
        assert store.stats().evicted > 100
        assert_sums_are_right(tmp_path)

    run(make(tmp_path, clock, max_bytes=20_000), program)


def test_what_is_larger_than_all_room_is_refused(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        with pytest.raises(ValueError, match="too large: it takes 2102 bytes, max_bytes is 2000"):
            await store.set("kk", "x" * 2000)
        await store.set("k", "x" * 1800)
        assert await store.get("k") == "x" * 1800

    run(make(tmp_path, clock, max_bytes=2000), program)


def test_a_late_load_does_not_bring_back_what_was_before_an_evicted_set(
    tmp_path: Path, clock: Clock
) -> None:
    async def program(store: SqliteStore) -> None:
        base = (await store.get_many(["k"])).base
        await store.set("k", "new")
        for number in range(10):
            clock.advance(1)
            await store.set(f"other{number}", "x" * 900)
        assert "k" not in keys_in(tmp_path)
        old = Record("old", clock(), None)
        assert await store.set_many([("k", old), ("l", old)], base=base) == [False, False]
        assert (await store.get_many(["k"])).records == [None]
        # Nor does a missed set; and what it was newer than goes.
        base = (await store.get_many(["k"])).base
        assert await store.set_many([("k", old)], base=base) == [True]

    run(make(tmp_path, clock, max_bytes=5000), program)


# --- over -----------------------------------------------------------------------------------------


def test_what_is_over_is_swept_with_the_writes(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        items = [(f"k{n}", Record(n, clock(), 10.0, stale_for=200.0)) for n in range(150)]
        await store.set_many([*items, ("kept", Record(1, clock(), None))])
        clock.advance(211)
        assert (await store.get_many(["k1"])).records == [None]
        await store.set("new", 1)
        assert store.stats().swept == 100
        await store.set("new", 2)
        assert store.stats().swept == 150
        assert keys_in(tmp_path) == ["kept", "new"]
        assert_sums_are_right(tmp_path)

    run(make(tmp_path, clock), program)


def test_a_delete_is_remembered_for_some_time(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        base = (await store.get_many(["k"])).base
        await store.delete("k")
        clock.advance(119)
        await store.set("other", 1)
        assert keys_in(tmp_path, "value IS NULL") == ["k"]
        clock.advance(2)
        await store.set("other", 2)
        assert keys_in(tmp_path, "value IS NULL") == []
        # And what is older than that is never believed again.
        old = Record("old", clock(), None)
        assert await store.set_many([("k", old)], base=base) == [False]
        base = (await store.get_many(["k"])).base
        assert await store.set_many([("k", old)], base=base) == [True]

    run(make(tmp_path, clock, tombstone_ttl=120), program)


def test_short_lives_do_not_keep_slow_loads_from_being_stored(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        await store.ping()
        base = (await store.get_many(["slow"])).base
        for number in range(60):
            clock.advance(1)
            await store.set(f"k{number}", 1, ttl=0.5)
        slow = Record("slow", clock(), None)
        assert await store.set_many([("slow", slow)], base=base) == [True]

    run(make(tmp_path, clock), program)


def test_a_missed_set_that_is_too_old_to_judge_removes_what_is_older(
    tmp_path: Path, clock: Clock
) -> None:
    timer = Clock(500.0)

    async def program(store: SqliteStore) -> None:
        await store.set("k", "oldest")
        clock.advance(10)
        timer.advance(10)
        missed = Change("set", ("k",), Record("missed", clock(), None), timer())
        clock.advance(10)
        timer.advance(10)
        await store.delete("gone")
        clock.advance(130)
        timer.advance(130)
        await store.set("sweep", 1)  # the mark of that delete, which was newer
        await store.replay([missed])
        assert (await store.get_many(["k"])).records == [None]

    run(make(tmp_path, clock, timer=timer), program)


# --- tags -----------------------------------------------------------------------------------------


def test_tags_are_bounded_and_what_is_forgotten_stays_invalid(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_MAX_TAGS", 20)

    async def program(store: SqliteStore) -> None:
        await store.set("tagged", 1, tags=["t0"])
        await store.set("free", 2)
        await store.invalidate(tags=["t0"])
        base = (await store.get_many([])).base
        for number in range(1, 40):
            await store.invalidate(tags=[f"t{number}"])
        with closing(sqlite3.connect(tmp_path / "cache.db")) as db:
            (count,) = db.execute("SELECT count(*) FROM penstock_tags").fetchone()
        assert count <= 20
        assert await store.get("tagged") is None
        assert await store.get("free") == 2
        late = Record(3, clock(), None, tags=("t0",))
        await store.set_many([("late", late)], base=base - 1)
        assert (await store.get_many(["late"])).records == [None]
        await store.set("tagged", 4, tags=["t0", "t39"])
        assert await store.get("tagged") == 4

    run(make(tmp_path, clock), program)


# --- the clock ------------------------------------------------------------------------------------


def test_the_clock_grows_though_time_stands_still_or_goes_back(
    tmp_path: Path, clock: Clock
) -> None:
    async def program(store: SqliteStore) -> None:
        seen = []
        for number in range(20):
            if number == 10:
                clock.advance(-86_400)
            await store.set("k", number)
            found, base = await store.get_many(["k"])
            assert found[0] is not None
            assert found[0].value == number
            assert found[0].version == base
            seen.append(base)
            stale = seen[0]
            assert await store.set_many([("k", found[0])], base=stale) == [number == 0]
        assert seen == sorted(set(seen))

    run(make(tmp_path, clock), program)


def test_a_clock_that_was_set_back_makes_nothing_live_longer(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        await store.set("k", 1, ttl=600)
        clock.advance(-30)  # less than what the clocks of hosts may differ
        assert await store.get("k") == 1
        clock.advance(-3600)
        assert await store.get("k") is None
        await store.set("k", 2, ttl=600)
        clock.advance(601)
        assert await store.get("k") is None

    run(make(tmp_path, clock), program)


def test_what_was_missed_while_the_clock_was_set_back_is_forgotten(
    tmp_path: Path, clock: Clock
) -> None:
    timer = Clock(500.0)

    async def program(store: SqliteStore) -> None:
        for key in ("a", "b", "c", "d", "e"):
            await store.set(key, "old", tags=["t"] if key == "c" else [])
        clock.advance(-3600)
        await store.replay([
            Change("set", ("a",), Record("new", clock(), None), timer()),
            Change("delete", ("b",), None, timer()),
            Change("tags", ("t",), None, timer()),
            Change("patterns", ("d*",), None, timer()),
        ])  # fmt: skip
        clock.advance(3600)
        found = (await store.get_many(["a", "b", "c", "d", "e"])).records
        assert [each and each.value for each in found] == [None, None, None, None, "old"]

    run(make(tmp_path, clock, timer=timer), program)


def test_a_base_of_another_file_is_refused(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        base = (await store.get_many(["k"])).base
        filled = [("k", Record(1, clock(), None))]
        assert await store.set_many(filled, base=base + 10**18) == [False]
        assert store.stats().refused == 1

    run(make(tmp_path, clock), program)


# --- what was read --------------------------------------------------------------------------------


def used_of(tmp_path: Path, key: str) -> int:
    with closing(sqlite3.connect(tmp_path / "cache.db")) as db:
        sql = "SELECT used FROM penstock_entries WHERE key = ?"
        used: int = db.execute(sql, (key.encode(),)).fetchone()[0]
        return used


def test_reads_are_noted_by_and_by(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        await store.set("k", 1)
        start = clock()
        clock.advance(30)
        assert await store.get("k") == 1
        assert not len(store._notes)
        clock.advance(31)
        assert await store.get("k") == 1
        assert len(store._notes) == 1
        assert used_of(tmp_path, "k") == start
        clock.advance(60)
        assert await store.get("k") == 1  # it has waited long enough
        await until(lambda: store.stats().writes == 2)
        assert used_of(tmp_path, "k") == start + 121

    run(make(tmp_path, clock), program)


def test_many_reads_are_noted_at_once(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "_AT_ONCE", 10)
    monkeypatch.setattr(notes, "_MAX", 15)

    async def program(store: SqliteStore) -> None:
        keys = [f"k{n}" for n in range(30)]
        await asyncio.gather(*(store.set(key, 1) for key in keys))
        clock.advance(100)
        await store.get_many(keys)
        await until(lambda: store.stats().writes == 2)
        assert len(store._notes) == 5

    run(make(tmp_path, clock), program)


def test_what_is_not_noted_yet_is_when_it_is_closed(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        await store.set("k", 1)
        clock.advance(100)
        assert await store.get("k") == 1

    run(make(tmp_path, clock), program)
    assert used_of(tmp_path, "k") == clock()
