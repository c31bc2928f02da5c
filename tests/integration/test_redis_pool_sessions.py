"""`redis_pool` over a real server: nobody finds what somebody else has left in a session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from redis import exceptions
from tests.pooled import assert_adds_up
from tests.redis_servers import LIMIT, RedisServer

from penstock import redis_pool
from penstock.pools import RedisPool

Program = Callable[[RedisPool], Awaitable[None]]
#: Uses a connection for some commands, and gives it back.
Use = Callable[[RedisPool, list[tuple[Any, ...]]], Awaitable[None]]


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    shared.cli("FLUSHALL")
    shared.cli("SET", "k", "v")
    return shared


def run(server: RedisServer, program: Program, **options: Any) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(LIMIT),
            redis_pool(server.url, max_connections=1, **options) as pool,
        ):
            await program(pool)
            assert_adds_up(pool)

    asyncio.run(main())


def commands_of(text: str) -> list[tuple[Any, ...]]:
    return [tuple(each.split()) for each in text.split(", ")]


async def send(connection: Any, commands: list[tuple[Any, ...]]) -> None:
    """Send each command, and read its reply, be it an error, if there is one."""
    for command in commands:
        await connection.send_command(*command)
        if "OFF" not in command:
            with suppress(exceptions.ResponseError):
                await connection.read_response(push_request="SUBSCRIBE" in str(command[0]))


async def in_good_order(pool: RedisPool, commands: list[tuple[Any, ...]]) -> None:
    async with pool.acquire() as connection:
        await send(connection, commands)


async def without_a_block(pool: RedisPool, commands: list[tuple[Any, ...]]) -> None:
    connection = await pool.acquire()
    await send(connection, commands)
    pool.release(connection)


async def left_by_an_error(pool: RedisPool, commands: list[tuple[Any, ...]]) -> None:
    with suppress(ZeroDivisionError):
        async with pool.acquire() as connection:
            await send(connection, commands)
            raise ZeroDivisionError


async def cancelled(pool: RedisPool, commands: list[tuple[Any, ...]]) -> None:
    has_sent = asyncio.Event()

    async def use() -> None:
        async with pool.acquire() as connection:
            await send(connection, commands)
            has_sent.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(use())
    await has_sent.wait()
    task.cancel()
    await asyncio.wait([task])


every_use = pytest.mark.parametrize(
    "use", [in_good_order, without_a_block, left_by_an_error, cancelled]
)


async def assert_not_handed_on(pool: RedisPool, use: Use, commands: list[tuple[Any, ...]]) -> None:
    first = await pool.client.client_id()
    await use(pool, commands)
    assert (pool.stats().closed_dirty, pool.stats().size) == (1, 0)
    assert await pool.client.set("k", "w") is True
    assert await pool.client.get("k") == b"w"
    assert await pool.client.client_getname() is None
    assert await pool.client.client_id() != first


@every_use
@pytest.mark.parametrize(
    "text",
    [
        "MULTI",
        "multi",
        "MULTI, GET k",
        "WATCH k",
        "WATCH k, EXEC",  # "EXEC without MULTI"
        "WATCH k, DISCARD",
        "WATCH k, UNWATCH, WATCH k",
        "MULTI, UNWATCH",  # QUEUED
        "MULTI, EXEC, MULTI",
        "SELECT 1",
        "MULTI, SELECT 1, EXEC",
        "AUTH default whatever",
        "HELLO 3",
        "RESET",
        "SUBSCRIBE news",
        "PSUBSCRIBE n*",
        "SSUBSCRIBE news",
        "UNSUBSCRIBE a",  # has as many replies as names
        "PUNSUBSCRIBE a*",
        "SUNSUBSCRIBE a",
        "MONITOR",
        "CLIENT REPLY OFF",
        "CLIENT TRACKING ON",
        "client SetName me",
        "CLIENT NO-EVICT ON",
        "CLIENT KILL TYPE normal SKIPME no",  # answered, and then closed
        "SCRIPT DEBUG YES",
    ],
)
def test_what_is_left_in_a_session_is_not_handed_on(
    server: RedisServer, use: Use, text: str
) -> None:
    run(server, lambda pool: assert_not_handed_on(pool, use, commands_of(text)))


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(
    "command",
    [
        (b"MULTI",),
        (memoryview(b"MULTI"),),
        ("", "MULTI"),  # redis-py leaves out what is empty
        ("SELECT 1",),
        ("CLIENT SETNAME me",),
        ("CLIENT", memoryview(b"SETNAME"), "me"),
        ("SCRIPT", memoryview(b"DEBUG"), "YES"),
    ],
    ids=range(7),
)
def test_a_command_is_known_however_it_is_given(
    server: RedisServer, protocol: int, command: tuple[Any, ...]
) -> None:
    run(
        server,
        lambda pool: assert_not_handed_on(pool, in_good_order, [command]),
        protocol=protocol,
    )


@every_use
@pytest.mark.parametrize(
    "text",
    [
        "GET k, LPUSH k x",  # WRONGTYPE
        "MULTI, GET k, EXEC",
        "multi, exec",
        "MULTI, GET k, DISCARD",
        "MULTI, MULTI, EXEC",
        "MULTI, NONSENSE, EXEC",  # EXECABORT
        "WATCH k, UNWATCH",
        "WATCH k, MULTI, UNWATCH, EXEC",
        "WATCH k, WATCH l, MULTI, DISCARD",
        "EXEC, DISCARD, UNWATCH",
        "CLIENT ID, client getname",
        "SCRIPT EXISTS abc, PUBLISH news MULTI, GET SELECT",
    ],
)
def test_what_leaves_nothing_behind_costs_nothing(server: RedisServer, use: Use, text: str) -> None:
    async def program(pool: RedisPool) -> None:
        for _ in range(3):
            await use(pool, commands_of(text))
        assert (pool.stats().connects, pool.stats().closed_dirty) == (1, 0)

    run(server, program)


@pytest.mark.parametrize(
    ("text", "dirty"),
    [
        ("MULTI, GET k, EXEC, GET k", 0),
        ("WATCH k, GET k, UNWATCH, GET k, GET k", 0),
        ("MULTI, EXEC, MULTI, EXEC", 0),
        ("MULTI, EXEC, MULTI, GET k", 1),
        ("WATCH k, UNWATCH, GET k, WATCH k", 1),
        ("WATCH k, EXEC, GET k", 1),
    ],
)
def test_replies_are_those_of_their_commands_when_many_are_on_their_way(
    server: RedisServer, text: str, dirty: int
) -> None:
    async def program(pool: RedisPool) -> None:
        commands = commands_of(text)
        async with pool.acquire() as connection:
            await connection.send_packed_command(connection.pack_commands(commands))
            for _ in commands:
                with suppress(exceptions.ResponseError):
                    await connection.read_response()
        assert pool.stats().closed_dirty == dirty

    run(server, program)


def test_a_reply_need_not_be_readable(server: RedisServer) -> None:
    async def program(pool: RedisPool) -> None:
        await in_good_order(pool, commands_of("MULTI, UNWATCH"))  # QUEUED, in another encoding
        assert pool.stats().closed_dirty == 1

    run(server, program, protocol=2, encoding="utf-16", decode_responses=True)


@pytest.mark.parametrize("command", ["MULTI", "SELECT 1", "WATCH k", "CLIENT SETNAME me"])
def test_nor_what_a_command_of_the_client_leaves(server: RedisServer, command: str) -> None:
    async def program(pool: RedisPool) -> None:
        await pool.client.execute_command(*command.split())
        assert pool.stats().closed_dirty == 1
        assert await pool.client.get("k") == b"v"
        assert await pool.client.client_getname() is None

    run(server, program)


def test_errors_of_the_client_cost_nothing(server: RedisServer) -> None:
    async def program(pool: RedisPool) -> None:
        client = pool.client
        pipe: Any

        async def overtaken(pipe: Any) -> None:
            await pipe.watch("k")
            server.cli("SET", "k", "w")
            pipe.multi()
            await pipe.get("k").execute()

        async with client.pipeline(transaction=True) as pipe:
            with pytest.raises(exceptions.ResponseError, match="NONSENSE"):
                await pipe.get("k").execute_command("NONSENSE").execute()
        async with client.pipeline() as pipe:
            with pytest.raises(exceptions.WatchError):
                await overtaken(pipe)
        with suppress(ZeroDivisionError):
            async with client.pipeline() as pipe:
                await pipe.watch("k")
                raise ZeroDivisionError
        assert await client.transaction(lambda pipe: [pipe.multi(), pipe.get("k")], "k") == [b"w"]
        unpackable: Any = object()
        with pytest.raises(exceptions.DataError):
            await client.set("k", unpackable)
        assert (pool.stats().connects, pool.stats().closed_dirty) == (1, 0)

    run(server, program)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(
    ("begin", "end", "dirty"),
    [
        ("WATCH k", "EXEC", 1),  # "EXEC without MULTI"
        ("WATCH k", "DISCARD", 1),
        ("WATCH k", "UNWATCH", 0),
    ],
)
def test_a_health_check_is_no_reply_to_what_is_sent_behind_it(
    server: RedisServer, protocol: int, begin: str, end: str, dirty: int
) -> None:
    async def program(pool: RedisPool) -> None:
        connection: Any
        async with pool.acquire() as connection:
            await send(connection, commands_of(begin))
            connection.next_health_check = -1
            await send(connection, commands_of(end))
        assert pool.stats().closed_dirty == dirty

    run(server, program, protocol=protocol, health_check_interval=LIMIT)


def test_a_health_check_costs_no_connection(server: RedisServer) -> None:
    async def program(pool: RedisPool) -> None:
        connection: Any
        pipe: Any
        for _ in range(3):
            async with pool.acquire() as connection:
                connection.next_health_check = -1
            async with pool.client.pipeline(transaction=True) as pipe:
                assert await pipe.get("k").execute() == [b"v"]
        assert (pool.stats().connects, pool.stats().closed_dirty) == (1, 0)

    run(server, program, health_check_interval=LIMIT)


def test_a_reply_that_was_not_waited_for_is_still_owed(server: RedisServer) -> None:
    async def program(pool: RedisPool) -> None:
        async with pool.acquire() as connection:
            await connection.send_command("BLPOP", "queue", 0)
            assert await connection.read_response(timeout=0.01) is None
        assert pool.stats().closed_dirty == 1
        async with pool.acquire() as connection:
            await connection.send_command("BLPOP", "queue", 0)
            assert await connection.read_response(timeout=0.01) is None
            server.cli("RPUSH", "queue", "x")
            assert await connection.read_response(timeout=LIMIT) == [b"queue", b"x"]
        assert pool.stats().closed_dirty == 1, "it has come"

    run(server, program)


def test_a_transaction_may_be_cancelled_at_any_step(server: RedisServer) -> None:
    async def program(pool: RedisPool) -> None:
        step = ended = 0
        while ended < 5:
            transaction = commands_of("WATCH l, MULTI, GET k, EXEC")
            task = asyncio.ensure_future(in_good_order(pool, transaction))
            for _ in range(step):
                await asyncio.sleep(0)
            ended += not task.cancel()
            await asyncio.wait([task])
            assert_adds_up(pool)
            await pool.client.set("l", step)
            assert await pool.client.get("l") == b"%d" % step
            step += 1
        assert pool.stats().closed_dirty > 0

    # With a timeout redis-py sends by wait_for(), of which a cancellation gets lost in 3.11.
    run(server, program, socket_timeout=None)
