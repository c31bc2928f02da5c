"""Patterns that change in Redis between the steps of a read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.redis_servers import RedisServer, needs_redis
from tests.redis_stores import run
from tests.store_model import record

from penstock.stores import Reading, RedisStore

pytest.importorskip("hiredis")
pytestmark = needs_redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


def in_between(store: RedisStore, others: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have others change something before a store reads the patterns, after it read the state."""
    reads = store._join().reads
    read_rules = reads._read_rules
    todo = [others]

    async def later(wire: Any) -> Any:
        if todo:
            await todo.pop()()
        return await read_rules(wire)

    # Its class has slots.
    monkeypatch.setattr(type(reads), "_read_rules", lambda _, wire: later(wire))


@pytest.mark.parametrize("patterns", [("*",), ("*", "b*"), ("b*", "*")])
def test_what_became_part_of_the_floor_counts(
    server: RedisServer, patterns: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pattern that made the record invalid is not there any more when patterns are read."""
    server.cli("FLUSHALL")

    async def main() -> None:
        async with RedisStore(server.url) as store, RedisStore(server.url) as other:
            await other.set_many([("a:1", record("old"))])
            assert (await store.get_many(["a:1"])).records != [None]
            await other.invalidate(patterns=["*:1"])
            in_between(store, lambda: other.invalidate(patterns=patterns), monkeypatch)
            assert (await store.get_many(["a:1"])).records == [None]
            await other.set_many([("a:1", record("new"))])
            (found,) = (await store.get_many(["a:1"])).records
            assert found is not None
            assert found.value == "new"

    run(main())


@pytest.mark.parametrize("is_prompt", [False, True])
def test_it_counts_for_all_that_were_read_with_these_patterns(
    server: RedisServer, is_prompt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two reads, of which the second has a newer state, with the same patterns as the first."""
    server.cli("FLUSHALL")

    async def main() -> None:
        async with RedisStore(server.url) as store, RedisStore(server.url) as other:
            await other.set_many([("a:1", record("old"))])
            assert (await store.get_many(["a:1"])).records != [None]
            await other.invalidate(patterns=["*:1"])
            second: asyncio.Future[Reading | None] = asyncio.get_running_loop().create_future()

            async def others() -> None:
                await other.set_many([("another", record("new"))])
                # Sent before the others clear everything, and answered before.
                if is_prompt:
                    assert store.ask_many(["a:1"], lambda reading, _: second.set_result(reading))
                else:
                    task = asyncio.create_task(store.get_many(["a:1"]))
                    task.add_done_callback(lambda task: second.set_result(task.result()))
                    await asyncio.sleep(0)
                await other.invalidate(patterns=["*", "b*"])

            in_between(store, others, monkeypatch)
            assert (await store.get_many(["a:1"])).records == [None]
            reading = await second
            assert reading is not None
            assert reading.records == [None]

    run(main())


def test_what_is_cleared_meanwhile_is_not_taken_for_evicted(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no patterns any more, as it should be: what was set since then is left alone."""
    server.cli("FLUSHALL")

    async def main() -> None:
        async with RedisStore(server.url) as store, RedisStore(server.url) as other:
            await store.get_many(["a:1"])
            await other.invalidate(patterns=["*:1"])

            async def others() -> None:
                await other.invalidate(patterns=["*"])
                await other.set_many([("a:1", record("new"))])

            in_between(store, others, monkeypatch)
            await store.get_many(["a:1"])
            (found,) = (await store.get_many(["a:1"])).records
            assert found is not None
            assert found.value == "new"

    run(main())
