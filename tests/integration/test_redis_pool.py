"""`redis_pool` over a real server: replies are those of the one who asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest
from redis import exceptions
from redis.asyncio import ConnectionPool
from tests.pooled import assert_adds_up
from tests.redis_servers import LIMIT, RedisServer

from penstock import ClosedError, PoolTimeout, redis_pool
from penstock.pools import RedisPool

KEYS = 300


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    shared.cli("FLUSHALL")
    for number in range(KEYS):
        shared.cli("SET", f"k{number}", f"v{number}")
    return shared


def test_everybody_uses_one_client(server: RedisServer) -> None:
    async def main() -> None:
        async with redis_pool(server.url, max_connections=4, name="redis") as pool:
            client = pool.client
            values = await asyncio.gather(*[client.get(f"k{number}") for number in range(KEYS)])
            assert values == [f"v{number}".encode() for number in range(KEYS)]
            assert await client.incr("n") == 1
            async with client.pipeline(transaction=True) as pipe:
                chain: Any = pipe
                assert await chain.get("k1").incr("n").get("k2").execute() == [b"v1", 2, b"v2"]
            async with pool.acquire() as connection:
                await connection.send_command("PING")
                assert await connection.read_response() == b"PONG"
            stats = pool.stats()
            assert (stats.size, stats.idle, stats.closed_dirty) == (4, 4, 0)
            assert server.connections() == 4
            assert "127.0.0.1" in repr(pool)
        with pytest.raises(ClosedError):
            await client.get("k1")

    asyncio.run(main())


def test_errors_of_commands_leave_the_connection_as_it_is(server: RedisServer) -> None:
    async def main() -> None:
        async with redis_pool(server.url, max_connections=1) as pool:
            for _ in range(3):
                with pytest.raises(exceptions.ResponseError, match="WRONGTYPE"):
                    await pool.client.lpush("k1", "x")
            pipe: Any = pool.client.pipeline(transaction=False)
            pipe.get("k1").lpush("k1", "x").get("k2")
            first, error, last = await pipe.execute(raise_on_error=False)
            assert (first, type(error), last) == (b"v1", exceptions.ResponseError, b"v2")
            assert await pool.client.get("k2") == b"v2"
            assert pool.stats().connects == 1

    asyncio.run(main())


async def storm(pool: RedisPool, rounds: int, seed: int) -> tuple[int, int]:
    """Ask in many tasks, and cancel many of them; return how many were, and how many replies."""
    rng = random.Random(seed)
    client = pool.client
    cancelled = replies = 0

    async def get(number: int) -> None:
        assert await client.get(f"k{number}") == f"v{number}".encode()

    async def pipeline(number: int) -> None:
        numbers = [(number + step) % KEYS for step in range(10)]
        pipe = client.pipeline(transaction=number % 2 == 0)
        for each in numbers:
            pipe.get(f"k{each}")
        assert await pipe.execute() == [f"v{each}".encode() for each in numbers]

    async def raw(number: int) -> None:
        async with pool.acquire() as connection:
            await connection.send_command("GET", f"k{number}")
            await asyncio.sleep(0)
            assert await connection.read_response() == f"v{number}".encode()

    for _ in range(rounds):
        kinds = rng.choices([get, pipeline, raw], [6, 1, 2], k=24)
        tasks = [asyncio.ensure_future(kind(rng.randrange(KEYS))) for kind in kinds]
        victims = rng.sample(tasks, 12)
        for victim in victims:
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            victim.cancel()
            if not rng.randrange(4):
                asyncio.get_running_loop().call_soon(victim.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [each for each in results if isinstance(each, Exception)]
        assert errors == []
        cancelled += sum(isinstance(each, asyncio.CancelledError) for each in results)
        replies += sum(each is None for each in results)
        assert_adds_up(pool)
    return cancelled, replies


@pytest.mark.parametrize("options", [{}, {"protocol": 3}])
def test_a_cancelled_command_gives_nobody_another_ones_reply(
    server: RedisServer, options: dict[str, Any]
) -> None:
    async def main() -> None:
        async with redis_pool(server.url, max_connections=4, max_connecting=4, **options) as pool:
            cancelled, replies = await storm(pool, 250, seed=len(options))
            assert cancelled > 1000
            assert replies > 1000
            assert pool.stats().closed_dirty > 50
            assert pool.stats().size <= 4

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["get", "pipeline", "transaction", "raw"])
def test_a_command_may_be_cancelled_at_any_step(server: RedisServer, kind: str) -> None:
    async def main() -> None:
        # With a timeout redis-py sends by wait_for(), of which a cancellation gets lost in 3.11.
        async with redis_pool(server.url, max_connections=1, socket_timeout=None) as pool:

            async def command() -> object:
                if kind == "get":
                    return await pool.client.get("k1")
                if kind == "raw":
                    async with pool.acquire() as connection:
                        return await ask(connection)
                pipe: Any = pool.client.pipeline(transaction=kind == "transaction")
                return await pipe.get("k1").get("k2").execute()

            step, ended = 0, 0
            while ended < 5:
                task = asyncio.ensure_future(command())
                for _ in range(step):
                    await asyncio.sleep(0)
                ended += not task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert_adds_up(pool)
                expected = f"v{3 + step % 9}".encode()
                assert await pool.client.get(f"k{3 + step % 9}") == expected
                step += 1
            assert pool.stats().closed_dirty > 0

    asyncio.run(main())


async def ask(connection: Any) -> int:
    await connection.send_command("GET", "k1")
    return len(await connection.read_response())


def test_a_connection_that_is_owed_a_reply_is_cut_off_whatever_redis_py_does(
    server: RedisServer,
) -> None:
    async def main() -> None:
        async with redis_pool(server.url, max_connections=1) as pool:
            async with pool.acquire() as connection:
                await connection.send_command("GET", "k1")
            assert pool.stats().closed_dirty == 1, "nobody has read the reply"
            assert await pool.client.get("k2") == b"v2"
            async with pool.acquire() as connection:
                await ask(connection)
                given: Any = connection  # as if a reply was read that nobody had asked for
                given.note_reply(None)
                given.sent = given.read
            assert pool.stats().closed_dirty == 2
            with pytest.raises(ZeroDivisionError):
                async with pool.acquire() as connection:
                    assert await ask(connection) / 0
            assert pool.stats().closed_dirty == 2, "nothing was under way"
            assert await pool.client.get("k3") == b"v3"

    asyncio.run(main())


def test_a_subscription_goes_with_its_connection(server: RedisServer) -> None:
    async def main() -> None:
        async with redis_pool(server.url, max_connections=2) as pool:
            channel: Any = pool.client.pubsub()
            await channel.subscribe("news")
            assert (await channel.get_message(timeout=LIMIT))["type"] == "subscribe"
            await pool.client.publish("news", "hello")
            assert (await channel.get_message(timeout=LIMIT))["data"] == b"hello"
            assert pool.stats().leased == 1
            await channel.aclose()
            assert (pool.stats().leased, pool.stats().closed_dirty) == (0, 1)
            assert await asyncio.gather(*[pool.client.get("k1") for _ in range(9)]) == [b"v1"] * 9

    asyncio.run(main())


async def all_lost(pool: RedisPool) -> None:
    """Wait until the event loop has been told that no connection is alive."""
    stock = pool._stock
    assert stock is not None
    async with asyncio.timeout(LIMIT):
        while any(stock.is_clean(link) for link in stock.idle):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.001)


def test_a_server_that_was_restarted_is_found_again() -> None:
    async def main(server: RedisServer) -> None:
        async with redis_pool(server.url, max_connections=3) as pool:
            await asyncio.gather(*[pool.client.ping() for _ in range(9)])
            await asyncio.to_thread(server.restart)
            assert await asyncio.gather(*[pool.client.ping() for _ in range(9)]) == [True] * 9
            assert pool.stats().closed_dirty + pool.stats().closed_check >= 1
            server.kill()
            await all_lost(pool)
            with pytest.raises(PoolTimeout, match="the last attempt to connect failed") as caught:
                await pool.acquire(0.2)
            assert isinstance(caught.value.__cause__, exceptions.ConnectionError)
            await asyncio.to_thread(server.start)
            assert await pool.client.ping()

    with RedisServer() as server:
        asyncio.run(main(server))


def test_a_frozen_server_holds_nobody_for_longer_than_his_time() -> None:
    async def main(server: RedisServer) -> None:
        pool = redis_pool(
            server.url, max_connections=2, check_after=0, check_timeout=0.05, connect_timeout=0.1
        )
        assert await pool.client.ping()
        server.freeze()
        try:
            with pytest.raises(PoolTimeout):
                await pool.acquire(0.3)
            assert pool.stats().closed_check >= 1
        finally:
            server.thaw()
        assert await pool.client.ping()
        await pool.aclose()

    with RedisServer() as server:
        asyncio.run(main(server))


def test_a_wrong_password_is_the_cause() -> None:
    async def main(server: RedisServer) -> None:
        pool = redis_pool(server.url.replace(":secret@", ":wrong@"), acquire_timeout=0.2)
        with pytest.raises(PoolTimeout) as caught:
            await pool.client.ping()
        assert isinstance(caught.value.__cause__, exceptions.AuthenticationError)
        assert "wrong" not in repr(pool)
        assert "wrong" not in repr(pool.client.connection_pool)
        await pool.aclose()
        async with redis_pool(server.url) as pool:
            assert await pool.client.ping()

    with RedisServer(requirepass="secret") as server:
        asyncio.run(main(server))


def test_what_it_takes_is_checked(server: RedisServer) -> None:
    with pytest.raises(ValueError, match="redis://"):
        redis_pool("http://127.0.0.1")
    with pytest.raises(TypeError, match="url must be a str"):
        redis_pool(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_size must be >= 1"):
        redis_pool(max_connections=0)


def test_options_of_redis_py_are_passed_on(server: RedisServer) -> None:
    async def main() -> None:
        async with redis_pool(server.url, decode_responses=True, client_name="me") as pool:
            assert await pool.client.get("k1") == "v1"
            assert await pool.client.client_getname() == "me"
            adapter = pool.client.connection_pool
            assert isinstance(adapter, ConnectionPool)
            assert [count for count, _ in adapter.get_connection_count()] == [1, 0]

    asyncio.run(main())
