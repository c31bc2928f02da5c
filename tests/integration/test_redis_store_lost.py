"""`RedisStore` over a server that has lost data, and what is made up for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from tests.redis_servers import RedisServer, needs_redis
from tests.redis_stores import run
from tests.store_model import record

from penstock.errors import StoreError
from penstock.stores import Change, RedisStore

pytest.importorskip("hiredis")
pytestmark = needs_redis


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    """One that nothing is done to that lasts."""
    shared.cli("FLUSHALL")
    return shared


def test_everything_is_flushed_while_it_runs(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store, RedisStore(server.url) as other:
            for turn in range(5):
                reading = await store.get_many(["k"])
                await other.set("k", turn)
                server.cli("FLUSHALL")
                assert await store.set_many([("k", record("late"))], base=reading.base) == [False]
                later = await store.get_many(["k"])
                assert later.records == [None]
                assert later.base > reading.base
                await other.set("k", turn)
                assert await store.get("k") == turn

    run(main())


@pytest.mark.parametrize("lost", ["penstock:m", "penstock:r", "penstock:tags", "penstock:tags:old"])
def test_what_was_evicted_brings_nothing_back(
    server: RedisServer, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            await store.set_many([("tag", record(1, tags=("t",))), ("glob", record(1))])
            await store.invalidate(tags=["t"], patterns=["gl*"])
            await store.invalidate(tags=["another", "third"])
            assert server.cli("DEL", lost) == 1
            async with RedisStore(server.url) as fresh:
                for each in (fresh, store):
                    assert (await each.get_many(["tag", "glob"])).records == [None, None]
                await store.set_many([("tag", record(2, tags=("t",))), ("glob", record(2))])
                for each in (fresh, store):
                    found = (await each.get_many(["tag", "glob"])).records
                    assert [one and one.value for one in found] == [2, 2]

    from penstock.stores import _redis_writes

    monkeypatch.setattr(_redis_writes, "MAX_TAGS", 2)
    run(main())


def test_what_is_no_state_counts_as_none(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            await store.set("k", 1)
            server.cli("SET", "penstock:m", "nonsense")
            assert await store.get("k") is None
            await store.set("k", 2)
            assert await store.get("k") == 2
            server.cli("DEL", "penstock:m")
            server.cli("LPUSH", "penstock:m", "x")
            with pytest.raises(StoreError, match="another one"):
                await store.get("k")

    run(main())


def test_more_patterns_than_are_kept_apart(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.stores import _redis_writes

    async def main() -> None:
        async with RedisStore(server.url) as store:
            await store.set_many([(f"k{n}", record(n)) for n in range(20)])
            await store.set_many([("old", record(1))])
            for n in range(10):
                await store.invalidate(patterns=[f"k{n}"])
            await store.set_many([("new", record(1))])
            assert await store.get("old") == 1
            await store.invalidate(patterns=["k10"])
            assert server.cli("HLEN", "penstock:r") == 5
            keys = [*(f"k{n}" for n in range(20)), "old", "new"]
            found = dict(zip(keys, (await store.get_many(keys)).records, strict=True))
            assert not any(found[f"k{n}"] for n in range(11))
            assert found["old"] is None  # forgotten with the older half
            assert found["new"] is not None

    monkeypatch.setattr(_redis_writes, "MAX_RULES", 10)
    run(main())


def test_more_tags_than_are_kept(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.stores import _redis_writes

    async def main() -> None:
        async with RedisStore(server.url) as store:
            keys = [f"k{n}" for n in range(12)]
            await store.set_many([("first", record(1, tags=("x",))), ("plain", record(1))])
            for n, key in enumerate(keys):
                await store.set_many([(key, record(n, tags=(f"t{n}",)))])
            for n in range(0, 12, 2):
                await store.invalidate(tags=[f"t{n}"])
                found = (await store.get_many(keys)).records
                assert not any(found[: n + 1 : 2])
            # Those of the hash before the last two: whatever has tags, and is older, is forgotten.
            assert await store.get("first") is None
            assert await store.get("plain") == 1
            await store.set_many([("k0", record(0, tags=("t0",)))])
            assert await store.get("k0") == 0

    monkeypatch.setattr(_redis_writes, "MAX_TAGS", 3)
    run(main())


def test_a_fill_that_is_too_old_is_refused(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url, tombstone_ttl=0.1) as store:
            base = (await store.get_many(["k"])).base
            await asyncio.sleep(0.11)
            assert await store.set_many([("k", record(1))], base=base) == [False]
            # The clock goes on where nobody writes.
            base = (await store.get_many(["k"])).base
            assert await store.set_many([("k", record(1))], base=base) == [True]
            assert store.stats().refused == 1

    run(main())


def test_what_may_be_newer_wins_over_what_is_replayed(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            before = time.monotonic() - 0.001
            await store.set("k", "set")
            after = time.monotonic() + 0.001
            await store.replay([Change("delete", ("k",), None, before - 1)])
            assert await store.get("k") == "set"
            await store.replay([Change("set", ("k",), record("replayed"), before - 1)])
            assert await store.get("k") == "set"
            await store.replay([Change("set", ("k",), record("replayed"), after)])
            assert await store.get("k") in {"replayed", None}
            await asyncio.sleep(0.01)
            await store.replay([Change("delete", ("k",), None, time.monotonic())])
            assert await store.get("k") is None
            await store.replay([Change("set", ("p",), record(1, age=9.0, ttl=1.0), after)])
            assert await store.get("p") is None

    run(main())


def test_of_two_writes_whose_order_is_not_known_none_is_kept(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            for span, expected in ((10, None), (-10, "there"), (0, "replayed")):
                await store.set("k", "there")
                found = (await store.get_many(["k"])).records[0]
                assert found is not None
                at = found.version, found.version + span
                if span > 0:
                    at = found.version - span, found.version + span
                elif span < 0:
                    at = found.version + span, found.version - 1
                monkeypatch.setattr(Session, "moments", lambda self, _, at=at: at)
                await store.replay([Change("set", ("k",), record("replayed"), 0.0)])
                monkeypatch.undo()
                assert await store.get("k") == expected
                # Who has loaded before that does not bring the old one back.
                fill = [("k", record("loaded"))]
                assert await store.set_many(fill, base=found.version - 1) == [False]

    from penstock.stores._redis_session import Session

    run(main())


def test_the_clock_never_goes_back(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            await store.set("k", 1)
            ahead = int((time.time() + 3600) * 1e6)
            state = str(server.cli("GET", "penstock:m")).split()
            server.cli("SET", "penstock:m", " ".join([str(ahead), *state[1:]]))
            for turn in range(1, 5):
                await store.set("k", turn)
                found = await store.get_many(["k"])
                assert found.base == ahead + turn
                assert found.records[0] is not None
                assert found.records[0].version == ahead + turn
            assert await store.set_many([("k", record(1))], base=ahead) == [False]

    run(main())
