"""`RedisStore` over a server that forgets: what has ended, and what is evicted to make room."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.redis_servers import RedisServer, needs_redis
from tests.redis_stores import run, until
from tests.store_model import record

from penstock.stores import Change, RedisStore

pytest.importorskip("hiredis")
pytestmark = needs_redis

Write = Callable[[RedisStore], Awaitable[object]]
#: What is newer than a load that began before.
WRITES: list[Write] = [
    lambda store: store.set("k", "new"),
    lambda store: store.set("k", "new", ttl=0.01),
    lambda store: store.set("k", "new", ttl=60.0),
    lambda store: store.set_many([("k", record("new", ttl=0.02, stale_for=0.01))]),
    lambda store: store.delete("k"),
    lambda store: store.replay([Change("delete", ("k",), None, time.monotonic())]),
]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(maxmemory_policy="volatile-ttl") as running:
        yield running


async def evict(server: RedisServer) -> None:
    """Have the server evict whatever has an end."""
    server.cli("SET", "ballast", 1, "EX", 1000)
    server.cli("CONFIG", "SET", "maxmemory", 1)
    await until(lambda: not server.cli("EXISTS", "ballast", "penstock:e:k"))
    server.cli("CONFIG", "SET", "maxmemory", 0)


async def fill(store: RedisStore, base: int, key: str = "k") -> bool:
    (stored,) = await store.set_many([(key, record("loaded"))], base=base)
    return stored


async def base_of(store: RedisStore) -> int:
    return (await store.get_many(["k"])).base


@pytest.mark.parametrize("write", WRITES)
def test_what_has_ended_still_wins_over_older_loads(server: RedisServer, write: Write) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            base = await base_of(store)
            await asyncio.sleep(0.01)
            await write(store)
            await asyncio.sleep(0.04)
            assert not await fill(store, base)
            assert await store.get("k") in {None, "new"}

    run(main())


@pytest.mark.parametrize("write", [WRITES[0], *WRITES[2:]])
def test_what_was_evicted_still_wins_over_older_loads(server: RedisServer, write: Write) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            for _ in range(3):
                base = await base_of(store)
                await asyncio.sleep(0.01)
                await write(store)
                server.cli("PEXPIRE", "penstock:e:k", 50_000)
                await evict(server)
                assert not await fill(store, base)
                assert await store.get("k") is None
                assert await fill(store, await base_of(store))

    run(main())


def test_loads_are_stored_while_others_are_evicted(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            base = await base_of(store)
            await store.set("another", 1, ttl=60.0)
            await evict(server)
            assert not await fill(store, base)  # it may have been this one
            assert server.cli("HGET", "penstock:w", "#") is not None
            for turn in range(5):
                base = await base_of(store)
                await store.set("another", turn, ttl=60.0)
                await evict(server)
                assert await fill(store, base)
                assert await fill(store, base, f"k{turn}")
                assert not await fill(store, base, "another")
                # What is there tells by itself.
                server.cli("PERSIST", "penstock:e:k")
                await store.delete("other")
                await evict_others(server)
                assert await fill(store, await base_of(store))
                await store.delete("k")
                assert await store.get("k") is None
                await evict(server)

    async def evict_others(server: RedisServer) -> None:
        server.cli("SET", "ballast", 1, "EX", 1000)
        server.cli("CONFIG", "SET", "maxmemory", 1)
        await until(lambda: not server.cli("EXISTS", "ballast"))
        server.cli("CONFIG", "SET", "maxmemory", 0)

    run(main())


def test_what_is_kept_for_that_goes_after_a_while(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            early = await base_of(store)
            await store.set("another", 1, ttl=60.0)
            await evict(server)
            assert not await fill(store, early)
            assert str(server.cli("GET", "penstock:m")).rstrip("'").endswith(" 1")
            since = await base_of(store)
            server.cli("HSET", "penstock:w", "!", int(time.time() * 1e6) - 700_000_000)
            assert await fill(store, since)
            assert not server.cli("EXISTS", "penstock:w")
            assert str(server.cli("GET", "penstock:m")).rstrip("'").endswith(" 0")
            base = await base_of(store)
            assert await fill(store, base, "l")
            await store.delete("k")
            await evict(server)
            assert not await fill(store, base)
            assert server.cli("EXISTS", "penstock:w")

    run(main())


def test_what_is_kept_for_that_is_lost(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            base = await base_of(store)
            await store.delete("k")
            await evict(server)
            assert not await fill(store, base)
            base = await base_of(store)
            await store.delete("k")
            await evict(server)
            server.cli("DEL", "penstock:w")
            await store.delete("another")  # makes a new one, which is not whole
            assert not await fill(store, base)
            assert await fill(store, await base_of(store))
            base = await base_of(store)
            server.cli("FLUSHALL")
            assert not await fill(store, base)
            assert await fill(store, await base_of(store))

    run(main())


def test_who_may_not_ask_what_was_evicted(server: RedisServer) -> None:
    async def main() -> None:
        server.cli("ACL", "SETUSER", "default", "-info")
        async with RedisStore(server.url) as store:
            base = await base_of(store)
            assert await fill(store, base, "l") in {True, False}
            for _ in range(3):
                base = await base_of(store)
                await store.delete("k")
                await evict(server)
                assert not await fill(store, base)
                assert await fill(store, base, "another")
                server.cli("DEL", "penstock:e:another")

    run(main())


def test_a_replayed_set_loses_to_what_was_evicted(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            await store.set("another", 1)
            await asyncio.sleep(0.05)
            missed = time.monotonic()
            await asyncio.sleep(0.05)
            await store.set("k", "newer", ttl=60.0)
            await evict(server)
            await store.replay([Change("set", ("k",), record("older"), missed)])
            assert await store.get("k") is None

    run(main())


def test_pattern_that_was_evicted_before_another(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store, RedisStore(server.url) as other:
            await store.set_many([("a1", record("old")), ("c", record("c"))])
            await store.invalidate(patterns=["a*"])
            assert await store.get("a1") is None
            assert server.cli("DEL", "penstock:r") == 1
            await store.invalidate(patterns=["b*"])
            for each in (store, other):
                assert await each.get("a1") is None
            await store.set("a1", "new")
            assert await other.get("a1") == "new"

    run(main())


@pytest.mark.parametrize("policy", ["volatile-ttl", "volatile-lru", "allkeys-random"])
def test_whatever_is_evicted_no_older_load_is_stored(policy: str) -> None:
    choose = random.Random(f"evictions {policy}")

    async def main(server: RedisServer) -> None:
        async with RedisStore(server.url, timeout=5.0) as store:
            keys = [f"k{n}" for n in range(8)]
            written = dict.fromkeys(keys, 0)
            loads: list[tuple[str, int, int]] = []
            stored = 0
            for step in range(1, 400):
                key = choose.choice(keys)
                what = choose.random()
                if what < 0.3:
                    loads.append((key, (await store.get_many([key])).base, step))
                elif what < 0.6 and loads:
                    name, base, began = loads.pop(choose.randrange(len(loads)))
                    done = await fill(store, base, name)
                    assert not (done and written[name] > began)
                    stored += done
                elif what < 0.7:
                    written[key] = step
                    await store.delete(key)
                elif what < 0.75:
                    written[key] = step
                    await store.set(key, step, ttl=choose.choice([None, 0.001, 60.0]))
                else:
                    items = [(f"x{step}:{n}", record("v" * 1000, ttl=60.0)) for n in range(40)]
                    await store.set_many(items)
            assert int(server.info("stats", "evicted_keys")) > 1000
            assert stored > 5

    with RedisServer(maxmemory="3mb", maxmemory_policy=policy) as server:
        run(main(server))
