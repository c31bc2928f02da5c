"""`SqliteStore` from its options to its end: loops, forks, processes, and whoever is cancelled."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY
from tests.databases import until
from tests.forks import in_child
from tests.loading import settle
from tests.steps import steps_of, tasks_left
from tests.store_model import record

import penstock.metrics  # noqa: F401  # shows what is named
from penstock._components import stats_of
from penstock.errors import ClosedError, DeadlineExceeded, StoreError
from penstock.flow import deadline
from penstock.pools import SqlitePool
from penstock.stores import SqliteStore, SqliteStoreStats

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    Program = Callable[[SqliteStore], Coroutine[Any, Any, object]]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"path": None}, ValueError, "a path, or a pool"),
        ({"path": ":memory:"}, ValueError, "must be that of a file"),
        ({"path": 1}, TypeError, "path must be"),
        ({"namespace": b"n"}, TypeError, "namespace must be a str"),
        ({"max_bytes": 0}, ValueError, "max_bytes must be >= 1"),
        ({"max_value": "1"}, TypeError, "max_value must be an int"),
        ({"codec": "pickle"}, ValueError, "needs a secret"),
        ({"timeout": 0}, ValueError, "timeout must be"),
        ({"tombstone_ttl": -1}, ValueError, "tombstone_ttl must be"),
        ({"clock": 1}, TypeError, "clock must be callable"),
        ({"timer": 1}, TypeError, "timer must be callable"),
        ({"name": None}, TypeError, "name must be a str"),
        ({"synchronous": "MAYBE"}, ValueError, "synchronous must be"),
        ({"path": None, "pool": "p"}, TypeError, "pool must be a SqlitePool"),
        ({"path": None, "pool": "p", "recover": True}, ValueError, "recover=True needs a file"),
    ],
)
def test_options_are_checked(
    tmp_path: Path, options: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        SqliteStore(**{"path": tmp_path / "cache.db", **options})
    assert not list(tmp_path.iterdir())


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    async def main() -> None:
        async with SqliteStore(tmp_path / "cache.db"):
            pass

    asyncio.run(main())
    assert not list(tmp_path.iterdir())


def test_it_survives_a_restart(tmp_path: Path) -> None:
    async def main(turn: int) -> None:
        async with SqliteStore(tmp_path / "cache.db") as store:
            assert await store.get("k") == (turn or None)
            assert await store.get("x:1") is None
            await store.set("k", turn + 1)
            await store.set("x:1", turn)
            await store.invalidate(patterns=["x*"])

    for turn in range(3):
        asyncio.run(main(turn))
    assert [each.name for each in tmp_path.iterdir()] == ["cache.db"]


def test_a_loop_that_is_closed_is_replaced(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "cache.db")

    async def main(turn: int) -> None:
        await asyncio.gather(store.set(f"k{turn}", turn), store.get("other"))
        assert await store.get(f"k{turn}") == turn
        if turn == 2:
            await store.aclose()

    for turn in range(3):
        asyncio.run(main(turn))


def test_a_pool_that_is_given_is_used_and_left_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with SqlitePool(tmp_path / "app.db") as pool:
            await pool.execute("CREATE TABLE mine (id)")
            async with SqliteStore(pool=pool, namespace="a") as one, SqliteStore(pool=pool) as two:
                await one.set("k", 1)
                await two.set("k", 2)
                assert (await one.get("k"), await two.get("k")) == (1, 2)
                assert one.path == str(tmp_path / "app.db")
            assert await pool.fetchval("SELECT count(*) FROM mine") == 0

    asyncio.run(main())


def test_figures_and_names(tmp_path: Path) -> None:
    async def main() -> None:
        async with SqliteStore(tmp_path / "cache.db", name="figures") as store:
            await store.set("k", 1)
            await store.get_many(["k", "absent"])
            base = (await store.get_many([])).base
            filled = [("k", record(1)), ("l", record(1))]
            await store.set_many(filled, base=base)
            await store.set_many(filled, base=base - 10**6)
            await store.delete("l")
            await store.invalidate(tags=["a", "b"], patterns=["x*"])
            stats = store.stats()
            assert (stats.reads, stats.hits, stats.misses) == (2, 1, 1)
            assert (stats.writes, stats.sets, stats.fills, stats.refused) == (5, 1, 2, 2)
            assert (stats.deletes, stats.invalidations, stats.entries) == (1, 3, 2)
            assert stats.bytes > 100
            assert isinstance(stats, SqliteStoreStats)
            for field in stats_of(store)[0].fields:
                suffix = "_total" if field.type == "counter" else ""
                shown = REGISTRY.get_sample_value(
                    f"penstock_sqlite_store_{field.attribute}{suffix}", {"name": "figures"}
                )
                assert shown == getattr(stats, field.attribute)
            assert repr(store) == f"SqliteStore({str(tmp_path / 'cache.db')!r}, name='figures')"
            assert (store.name, store.closed) == ("figures", False)
        assert repr(store).endswith(", closed)")
        assert store.closed

    asyncio.run(main())


# --- the end --------------------------------------------------------------------------------------


def test_what_was_asked_for_is_done_before_it_is_closed(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "cache.db")
        tasks = [asyncio.ensure_future(store.set(f"k{n}", n)) for n in range(10)]
        await asyncio.sleep(0)
        await store.aclose()
        await asyncio.gather(*tasks)
        await store.aclose()
        for operation in (
            lambda: store.get("k"), lambda: store.set("k", 1), lambda: store.delete("k"),
            lambda: store.get_many(["k"]), lambda: store.set_many([("k", record(1))]),
            lambda: store.delete_many(["k"]), lambda: store.invalidate(tags=["t"]),
            lambda: store.replay([]), store.ping, store.__aenter__,
        ):  # fmt: skip
            with pytest.raises(ClosedError):
                await operation()
        async with SqliteStore(tmp_path / "cache.db") as again:
            assert await again.get("k9") == 9

    asyncio.run(main())


def test_a_deadline_is_its_callers_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with SqliteStore(tmp_path / "cache.db", timeout=20) as store:
            await store.set("k", 1)
            async with store._file._pool.write():
                patient = asyncio.ensure_future(store.set("k", 2))
                await settle(3)
                with pytest.raises(DeadlineExceeded):
                    async with deadline(0.01):
                        await store.set("k", 3)
            await patient
            assert await store.get("k") in (2, 3)

    asyncio.run(main())


# --- cancelled ------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store without timers: on a virtual loop they are due."""
    pool = SqlitePool(tmp_path / "cache.db", acquire_timeout=None, max_idle=None, max_lifetime=None)
    yield SqliteStore(pool=pool)
    asyncio.run(pool.aclose())


async def read(store: SqliteStore) -> None:
    await store.get_many(["a", "b"])
    await store.get("a")
    await store.get("b")


async def write(store: SqliteStore) -> None:
    await store.set_many([("a", record(1)), ("b", record(1, tags=("t",)))])
    await store.invalidate(tags=["t"])
    await store.delete_many(["a", "b"])


async def single(store: SqliteStore) -> None:
    try:
        await asyncio.gather(store.set("a", 2), store.set("b", 2))
        await asyncio.gather(store.delete("a"), store.delete("b"))
    finally:
        # A transaction that has begun goes on without whoever asked for it.
        await until(lambda: tasks_left() <= 1)


@pytest.mark.parametrize("program", [read, write, single])
def test_at_each_step(store: SqliteStore, tmp_path: Path, program: Program) -> None:
    ends = set()
    for step, task in steps_of(lambda: program(store)):
        ends.add(task.cancelled())
        if not task.cancelled():
            task.result()
        with closing(sqlite3.connect(tmp_path / "cache.db")) as db:
            there = "SELECT 1 FROM sqlite_master WHERE name = 'penstock_entries'"
            if db.execute(there).fetchone():
                values = "SELECT count(*) FROM penstock_entries WHERE value IS NOT NULL"
                assert db.execute(values).fetchone()[0] in (0, 2), step
    assert ends == {True, False}

    async def main() -> None:
        await store.set("a", 3)
        assert await store.get("a") == 3
        stats = store._file._pool.stats()
        assert (stats.writer_busy, stats.waiting, stats.pending) == (0, 0, 0)

    asyncio.run(main())


# --- forks and processes --------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_store_that_was_not_used_works_in_a_child(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "cache.db")

    async def use(key: str) -> None:
        await store.set(key, key)
        assert await store.get(key) == key

    assert in_child(lambda: asyncio.run(use("child")))
    asyncio.run(use("parent"))
    asyncio.run(_has(store, "child", "child"))
    asyncio.run(store.aclose())


async def _has(store: SqliteStore, key: str, value: object) -> None:
    assert await store.get(key) == value


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_store_that_could_not_be_used_counts_as_used(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"no database" * 1000)
    store = SqliteStore(tmp_path / "cache.db")

    async def refused(message: str) -> None:
        with pytest.raises(StoreError, match=message):
            await store.get("k")

    asyncio.run(refused("corrupt"))
    assert in_child(lambda: asyncio.run(refused("fork")))
    asyncio.run(store.aclose())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_store_that_was_used_says_so_in_a_child(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "cache.db")

    async def main() -> None:
        await store.set("k", 1)
        assert await store.get("k") == 1

    async def refused() -> None:
        for operation in (lambda: store.get("k"), lambda: store.set("k", 2), store.ping):
            with pytest.raises(StoreError, match="fork"):
                await operation()

    asyncio.run(main())
    assert in_child(lambda: asyncio.run(refused()))
    asyncio.run(main())
    asyncio.run(store.aclose())


_OTHER = """
import asyncio, sys
from penstock.stores import Record, SqliteStore

async def main():
    async with SqliteStore(sys.argv[1]) as store:
        print(await store.get("k"), flush=True)
        base = (await store.get_many(["late"])).base
        for line in sys.stdin:
            match line.split():
                case ["set", value]:
                    await store.set("k", value, tags=["t"])
                case ["tag"]:
                    await store.invalidate(tags=["t"])
                case ["pattern"]:
                    await store.invalidate(patterns=["k*"])
                case ["fill"]:
                    print(await store.set_many([("late", Record("old", 0.0, None))], base=base))
            print(await store.get("k"), flush=True)

asyncio.run(main())
"""


def test_processes_share_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "cache.db")

    async def main(tell: Callable[[str], str]) -> None:
        async with SqliteStore(path) as store:
            assert tell("set theirs") == "theirs"
            assert await store.get("k") == "theirs"
            assert tell("pattern") == "None"
            assert await store.get("k") is None
            await store.set("k", "ours", tags=["t"])
            assert tell("") == "ours"
            assert tell("tag") == "None"
            assert await store.get("k") is None
            await store.set("k", "again")
            await store.invalidate(patterns=["k"])
            assert tell("") == "None"
            await store.delete("late")
            assert tell("fill") == "[False]"
            assert await store.get("late") is None

    command = [sys.executable, "-c", _OTHER, path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        stdin, stdout = child.stdin, child.stdout
        assert stdin is not None
        assert stdout is not None
        assert stdout.readline() == "None\n"

        def tell(line: str) -> str:
            stdin.write(f"{line}\n")
            stdin.flush()
            return stdout.readline().strip()

        try:
            asyncio.run(main(tell))
        finally:
            stdin.close()
        child.wait(20)
