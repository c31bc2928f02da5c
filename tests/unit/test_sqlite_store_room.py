"""What a full `SqliteStore` removes first, and how much: `max_bytes` is kept in any case."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.clock import Clock

from penstock.stores import Record, SqliteStore
from penstock.stores import _sqlite_room as room

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


def run(
    tmp_path: Path,
    clock: Clock,
    program: Callable[[SqliteStore], Awaitable[None]],
    **options: Any,
) -> None:
    async def main() -> None:
        async with SqliteStore(tmp_path / "cache.db", clock=clock, **options) as store:
            await program(store)

    asyncio.run(main())


async def fill_up(store: SqliteStore, clock: Clock, keys: list[str], size: int) -> None:
    await store.set_many([(key, Record("x" * size, clock(), None)) for key in keys])


async def there(store: SqliteStore, keys: list[str]) -> list[str]:
    found = (await store.get_many(keys)).records
    return [key for key, record in zip(keys, found, strict=True) if record is not None]


def test_many_at_once_are_no_way_round_it(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_AT_ONCE", 20)

    async def program(store: SqliteStore) -> None:
        for turn in range(6):
            await fill_up(store, clock, [f"{turn}:{n}" for n in range(200)], 100)
            assert store.stats().bytes <= 10_000

    run(tmp_path, clock, program, max_bytes=10_000)


def test_a_large_one_among_small_ones_makes_its_own_room(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_AT_ONCE", 20)

    async def program(store: SqliteStore) -> None:
        await fill_up(store, clock, [f"small{n}" for n in range(500)], 10)
        clock.advance(1)
        for number in range(4):
            await fill_up(store, clock, [f"large{number}"], 20_000)
            assert store.stats().bytes <= 60_000
        assert await there(store, ["large3"]) == ["large3"]

    run(tmp_path, clock, program, max_bytes=60_000)


def test_a_transaction_that_brings_little_removes_little(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_AT_ONCE", 20)

    async def program(store: SqliteStore) -> None:
        await fill_up(store, clock, [f"k{n}" for n in range(100)], 100)
        store._transactions._max_bytes = 1000
        evicted = []
        for turn in range(6):
            await store.set(f"small{turn}", "")
            evicted.append(store.stats().evicted)
        assert evicted[:4] == [20, 40, 60, 80]
        assert store.stats().bytes <= 1000

    run(tmp_path, clock, program)


def test_what_was_written_last_goes_last(tmp_path: Path, clock: Clock) -> None:
    async def program(store: SqliteStore) -> None:
        await store.set("first", "v")
        for number in range(17):
            await store.set(f"k{number}", "v" * 1000)
        await store.set("first", "v" * 3000)  # of the same second, in a row that is the oldest
        assert store.stats().evicted > 0
        assert await store.get("first") == "v" * 3000

    run(tmp_path, clock, program, max_bytes=20_000)


def test_deletes_of_what_is_not_there_remove_nothing_else(tmp_path: Path, clock: Clock) -> None:
    live = [f"live{n}" for n in range(40)]

    async def program(store: SqliteStore) -> None:
        await fill_up(store, clock, live, 1000)
        base = (await store.get_many(["gone"])).base
        for turn in range(5):
            clock.advance(1)
            await store.delete_many(["gone", *(f"absent{turn}:{n}" for n in range(100))])
            assert store.stats().bytes <= 50_000
        assert store.stats().evicted > 300
        assert await there(store, live) == live
        # They are remembered in that nothing is stored that was missed before.
        old = ("gone", Record("old", clock(), None))
        assert await store.set_many([old], base=base) == [False]

    run(tmp_path, clock, program, max_bytes=50_000)


def test_what_was_stored_while_the_clock_was_ahead_goes_first(tmp_path: Path, clock: Clock) -> None:
    old, new = [[f"{kind}{n}" for n in range(40)] for kind in ("old", "new")]

    async def program(store: SqliteStore) -> None:
        clock.advance(86_400)
        await fill_up(store, clock, old, 1000)
        clock.advance(-86_400)
        for number, key in enumerate(new):
            await store.set(key, "x" * 1000)
            clock.advance(1)
            assert await there(store, new) == new[: number + 1]
        assert store.stats().bytes <= 50_000

    run(tmp_path, clock, program, max_bytes=50_000)


def test_what_is_read_after_the_clock_was_set_back_does_not_go_first(
    tmp_path: Path, clock: Clock
) -> None:
    async def program(store: SqliteStore) -> None:
        await fill_up(store, clock, ["read", "unread"], 1000)
        clock.advance(3600)
        await there(store, ["read", "unread"])
        await store.set("noted", 1)
        clock.advance(-3500)
        assert await there(store, ["read"]) == ["read"]
        await fill_up(store, clock, ["more"], 2000)
        assert await there(store, ["read", "unread", "more"]) == ["read", "more"]

    run(tmp_path, clock, program, max_bytes=4000)
