"""`RedisStore` over a real server: what it sends, other loops, other processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.forks import in_child
from tests.redis_servers import RedisServer, needs_redis
from tests.redis_stores import again, run, until
from tests.store_model import record

from penstock.errors import WrongEventLoop
from penstock.stores import RedisStore

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


def test_many_keys_go_in_commands_of_a_bearable_size(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            items = [(f"k{n}", record("x" * 3000, tags=(f"t{n}",))) for n in range(1200)]
            await store.ping()
            calls = store.stats().calls
            assert all(await store.set_many(items))
            assert 6 <= store.stats().calls - calls <= 8
            calls = store.stats().calls
            reading = await store.get_many([key for key, _ in items])
            assert [each and each.value for each in reading.records] == ["x" * 3000] * 1200
            assert store.stats().calls - calls == 3 + 3 + 1
            await store.invalidate(tags=[f"t{n}" for n in range(0, 1200, 2)])
            found = (await store.get_many([key for key, _ in items])).records
            assert [each is None for each in found] == [True, False] * 600
            await store.delete_many([key for key, _ in items])
            assert not any((await store.get_many([key for key, _ in items])).records)

    run(main())


def test_values_of_many_megabytes(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url, timeout=10.0) as store:
            large = [bytes([n]) * 6_000_000 for n in range(4)]
            await store.set_many([(f"k{n}", record(each)) for n, each in enumerate(large)])
            found = (await store.get_many([f"k{n}" for n in range(4)])).records
            assert [each and each.value for each in found] == large

    run(main())


def test_lives_in_redis(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url, tombstone_ttl=7) as store:
            await store.set_many(
                [
                    ("ever", record(1)),
                    ("ttl", record(1, ttl=60.0, stale_for=40.0)),
                    ("tags", record(1, tags=("t",))),
                    ("past", record(1, age=5.0, ttl=1.0)),
                    ("age", record(1, ttl=1e11)),
                ]
            )
            await store.delete_many(["gone"])
        lives = {key: server.cli("PTTL", f"penstock:e:{key}") for key in ("ever", "ttl", "tags")}
        assert lives["ever"] == -1
        assert 99_000 < lives["ttl"] <= 100_000
        assert 2_591_000_000 < lives["tags"] <= 2_592_000_000
        assert server.cli("PTTL", "penstock:e:age") == -1
        for key in ("gone", "past"):
            assert 6_000 < server.cli("PTTL", f"penstock:e:{key}") <= 7_000
            assert server.cli("STRLEN", f"penstock:e:{key}") == 36

    run(main())


def test_namespaces_are_apart(server: RedisServer) -> None:
    async def main() -> None:
        one, two = RedisStore(server.url, namespace="a"), RedisStore(server.url, namespace="b")
        async with one, two:
            await one.set("k", 1)
            assert await two.get("k") is None
            await two.invalidate(patterns=["*"])
            assert await one.get("k") == 1

    run(main())


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "redis.sock")
    if len(path) > 100:
        pytest.skip("the path of the socket is too long")

    async def main() -> None:
        async with RedisStore(f"unix://{path}?db=2") as store:
            await store.set("k", 1)
            store._join().session.link.wire.abort("a test")  # type: ignore[union-attr]
            await again(store)
            assert await store.get("k") == 1

    with RedisServer(unixsocket=path):
        run(main())


def test_a_loop_that_is_closed_is_replaced(server: RedisServer) -> None:
    store = RedisStore(server.url)
    left: list[Any] = []
    for turn in range(3):
        assert asyncio.run(store.get("k", 7)) == (7 if turn == 0 else turn - 1)
        left.append(store._binding.client)
        asyncio.run(store.set("k", turn))
        left.append(store._binding.client)
    for client in left:
        # Nobody could close them any more: asyncio would complain of that.
        transport = client.session.link.wire._transport
        transport._sock.close()
        transport._sock = None

    async def main() -> None:
        await store.ping()
        with pytest.raises(WrongEventLoop):
            await asyncio.to_thread(asyncio.run, store.get_many(["k"]))
        await store.aclose()

    asyncio.run(main())


def test_a_forked_child_has_connections_of_its_own(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            await store.set("k", "parent")
            calls = [asyncio.ensure_future(store.get("k")) for _ in range(5)]

            def work() -> None:
                async def child() -> None:
                    assert await store.get("k") == "parent"
                    await store.set("k", "child")
                    await store.aclose()

                asyncio._set_running_loop(None)
                asyncio.run(child())

            assert in_child(work)
            await asyncio.gather(*calls)
            assert await store.get("k") == "child"

    run(main())


def test_who_is_cancelled_at_any_time_leaves_the_others_their_replies(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            keys = [f"k{n}" for n in range(8)]
            await store.set_many([(key, record(key)) for key in keys])
            for turn in range(60):
                tasks = [asyncio.ensure_future(store.get_many([key])) for key in keys]
                for _ in range(turn % 4):
                    await asyncio.sleep(0)
                for n in range(turn % 3, 8, 3):
                    tasks[n].cancel()
                done = await asyncio.gather(*tasks, return_exceptions=True)
                for key, found in zip(keys, done, strict=True):
                    if isinstance(found, asyncio.CancelledError):
                        continue
                    assert not isinstance(found, BaseException)
                    assert found.records[0] is not None
                    assert found.records[0].value == key
            await until(lambda: store.stats().waiting == 0)
            assert store.stats().connects == 1

    run(main())
