"""`RedisStore` where clocks are set, replies are lost, keys are of others, and a link is slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fault_proxy import FaultProxy
from tests.redis_servers import RedisServer, needs_redis
from tests.redis_stores import again, run, until
from tests.store_model import record

from penstock.errors import StoreError, StoreTimeout, StoreUnavailable
from penstock.stores import Change, Message, RedisStore

pytest.importorskip("hiredis")
pytestmark = needs_redis

HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    shared.cli("FLUSHALL")
    return shared


def set_clock(server: RedisServer, by: int) -> None:
    """Have the clock of the store be so far from that of the server, as when that was set."""
    state = server.cli("GET", "penstock:m").split()
    server.cli("SET", "penstock:m", " ".join([str(int(state[0]) + by), *map(_text, state[1:])]))


def _text(part: str | bytes) -> str:
    return part.decode() if isinstance(part, bytes) else part


def test_a_base_that_is_ahead_of_the_clock_is_that_of_another_server(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            await store.set("x", 1)
            set_clock(server, HOUR)
            base = (await store.get_many(["k"])).base
            await store.delete("k")
            server.cli("FLUSHALL")
            await store.set("x", 1)
            assert await store.set_many([("k", record("old"))], base=base) == [False]
            assert await store.get("k") is None

    run(main())


def test_what_is_ahead_of_the_clock_is_not_there(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            await store.set("x", 1)
            set_clock(server, HOUR)
            await store.set("k", "old")
            server.cli("DEL", "penstock:m")
            await store.set("x", 1)
            reading = await store.get_many(["k", "x"])
            assert [each and each.value for each in reading.records] == [None, 1]
            assert await store.set_many([("k", record("new"))], base=reading.base) == [True]
            assert await store.get("k") == "new"

    run(main())


@pytest.mark.parametrize("kind", ["delete", "tags", "patterns", "clear", "set"])
def test_what_is_made_up_for_wins_after_the_clock_was_set_back(
    server: RedisServer, kind: str
) -> None:
    change = {
        "delete": Change("delete", ("k",), None, 0.0),
        "tags": Change("tags", ("t",), None, 0.0),
        "patterns": Change("patterns", ("k*",), None, 0.0),
        "clear": Change("patterns", ("*",), None, 0.0),
        "set": Change("set", ("k",), record("made up for"), 0.0),
    }[kind]

    async def main() -> None:
        async with RedisStore(server.url) as store:
            base = (await store.get_many(["l"])).base
            set_clock(server, 5_000_000)
            await store.set("k", "old", tags=["t"])
            await store.replay([change._replace(at=time.monotonic())])
            assert await store.get("k") is None
            assert await store.set_many([("k", record("loaded"))], base=base) == [False]
            await store.set("k", "new", tags=["t"])
            assert await store.get("k") == "new"

    run(main())


def test_what_is_made_up_for_after_a_clock_was_set_and_has_caught_up(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            await store.set("k", "old", tags=["t"])
            session = store._join().session
            low, high = session._offsets
            # The server was ahead when this process asked it last.
            session._offsets = low + 5_000_000, high + 5_000_000
            missed = time.monotonic() - 1
            earliest, latest = session.moments(missed)
            await session.tell_time_well()
            assert session.moments(missed)[0] <= earliest - 4_900_000
            assert session.moments(missed)[1] >= latest
            await store.replay([Change("tags", ("t",), None, missed)])
            assert await store.get("k") is None
            later = time.monotonic() + 1
            assert session.moments(later)[1] - session.moments(later)[0] < 1_000_000

    run(main())


@pytest.mark.parametrize(
    "garbage", [b"x", b"something else, not ours at all", b"P\x01", b"\xff" * 100]
)
def test_what_is_no_entry_is_written_over(server: RedisServer, garbage: bytes) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            base = (await store.get_many(["g"])).base
            server.cli("SET", "penstock:e:g", garbage)
            assert await store.set_many([("g", record("loaded"))], base=base) == [True]
            assert await store.get("g") == "loaded"

    run(main())


def test_what_is_of_another_type_is_written_over(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            server.cli("RPUSH", "penstock:e:l", "x")
            reading = await store.get_many(["a", "l", "b"])
            assert reading.records == [None] * 3
            items = [(key, record("loaded")) for key in "alb"]
            assert await store.set_many(items, base=reading.base) == [True] * 3
            assert await store.get("l") == "loaded"

    run(main())


@pytest.mark.parametrize("key", ["r", "tags", "tags:old", "w"])
@pytest.mark.parametrize("put", [("SET", "text"), ("RPUSH", "x")])
def test_what_is_no_hash_of_ours_is_a_store_error_and_stays(
    server: RedisServer, key: str, put: tuple[str, str]
) -> None:
    name = f"penstock:{key}"

    async def main() -> None:
        async with RedisStore(server.url) as store:
            server.cli(put[0], name, put[1])
            with pytest.raises(StoreError, match=r"WRONGTYPE.* give the store another one"):
                await store.set("k", 1)  # which begins the state
            server.cli("DEL", name)
            await store.set("k", 1, tags=["t"])
            await store.invalidate(patterns=["g*"])
            server.cli("DEL", name)
            server.cli(put[0], name, put[1])
            if key in {"r", "tags"}:
                with pytest.raises(StoreError, match=r"WRONGTYPE.* give the store another one"):
                    await store.get("k")
                with pytest.raises(StoreError, match=r"WRONGTYPE.* give the store another one"):
                    await store.invalidate(tags=["u"], patterns=["h*"])
            if key == "r":
                with pytest.raises(StoreError, match=r"WRONGTYPE.* give the store another one"):
                    await store.invalidate(patterns=["*"])
            assert server.cli("TYPE", name) == {"SET": "string", "RPUSH": "list"}[put[0]]

    run(main())


@pytest.mark.parametrize("put", [("SET", "text"), ("SET", "1x"), ("RPUSH", "x")])
def test_what_is_no_lease_is_a_store_error_and_stays(
    server: RedisServer, put: tuple[str, str]
) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            server.cli(put[0], "penstock:l:k", put[1])
            for _ in range(2):
                with pytest.raises(StoreError, match=r"WRONGTYPE.* give the store another one"):
                    await store.acquire("k", 10.0)
            if put[0] == "SET":
                assert server.cli("GET", "penstock:l:k") == put[1]

    run(main())


def test_scripts_that_are_forgotten_do_not_stop_the_clock(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url, tombstone_ttl=0.1) as store:
            base = (await store.get_many(["k"])).base
            server.cli("SCRIPT", "FLUSH")
            await asyncio.sleep(0.11)
            again = (await store.get_many(["k"])).base
            assert again > base
            server.cli("SCRIPT", "FLUSH")
            await asyncio.sleep(0.11)
            base = (await store.get_many(["k"])).base
            assert await store.set_many([("k", record(1))], base=base) == [True]

    run(main())


def test_to_connect_may_take_longer_than_an_answer(server: RedisServer) -> None:
    async def main() -> None:
        async with FaultProxy(*server.address) as proxy:
            proxy.freeze()
            url = server.url_at(proxy.port)
            async with RedisStore(url, timeout=0.1, connect_timeout=5.0) as store:
                setting = asyncio.ensure_future(store.set("k", 1))
                await asyncio.sleep(0.25)
                proxy.let_go()
                await setting
                assert await store.get("k") == 1

    run(main())


def test_many_sets_do_not_wait_for_each_other_to_fail(server: RedisServer) -> None:
    async def main() -> None:
        async with (
            FaultProxy(*server.address) as proxy,
            RedisStore(server.url_at(proxy.port), timeout=0.2) as store,
        ):
            await store.set("k", 0)
            proxy.freeze()
            sets = [store.set(f"k{n}", n) for n in range(3000)]
            errors = await asyncio.gather(*sets, return_exceptions=True)
            assert {type(error) for error in errors} == {StoreTimeout}
            # A batch after the other would have been told by the end of the connection.
            assert store.stats().disconnects == 0
            assert store.stats().timeouts <= 4
            proxy.let_go()

    run(main())


def test_a_reply_that_is_lost_costs_the_connection(server: RedisServer) -> None:
    async def main() -> None:
        async with (
            FaultProxy(*server.address) as proxy,
            RedisStore(server.url_at(proxy.port), timeout=0.1) as store,
        ):
            await store.set_many([(key, record(key)) for key in "ab"])
            await store.get("a")
            proxy.swallow()
            with pytest.raises((StoreTimeout, StoreUnavailable)):
                await store.get("a")
            proxy._swallow = False
            calls: set[asyncio.Future[Any]] = set()

            async def ask() -> bool:
                calls.add(call := asyncio.ensure_future(store.get("b")))
                call.add_done_callback(lambda call: call.exception())
                await asyncio.sleep(0.05)
                return store.stats().disconnects > 0

            async with asyncio.timeout(10):
                while not await ask():
                    pass
            await asyncio.wait(calls)
            await again(store)
            assert await store.get("b") == "b"
            assert await store.get("a") == "a"

    run(main())


def test_databases_of_one_server_do_not_hear_each_other(server: RedisServer) -> None:
    async def main() -> None:
        heard: dict[int, list[Message]] = {0: [], 1: []}
        urls = [server.url_at(server.address[1], database=number) for number in (0, 1)]
        async with (
            RedisStore(urls[0]) as zero,
            RedisStore(urls[1]) as one,
            RedisStore(urls[0]) as speaker,
            RedisStore(urls[1]) as other,
        ):
            await zero.listen(heard[0].append, lambda: None)
            await one.listen(heard[1].append, lambda: None)
            await speaker.set("k", 1)
            await other.delete("l")
            await until(lambda: heard[0] and heard[1])
            assert [message.names for message in heard[0]] == [("k",)]
            assert [message.names for message in heard[1]] == [("l",)]
            # Whose lease is released is told in each as well.
            grant = await one.acquire("k", 10.0)
            assert not (await other.acquire("k", 10.0)).token
            waiting = asyncio.ensure_future(other.released("k", 10.0))
            await one.release("k", grant.token)
            await asyncio.wait_for(waiting, 5)

    run(main())


@pytest.mark.parametrize("kind", ["delete", "set", "tags", "patterns"])
def test_names_that_are_no_text_are_a_value_error(server: RedisServer, kind: Any) -> None:
    async def main() -> None:
        async with RedisStore(server.url) as store:
            bad = Change(kind, ("\ud800",), record(1) if kind == "set" else None, 0.0)
            good = Change("delete", ("k",), None, time.monotonic())
            await store.set("k", 1)
            with pytest.raises(ValueError, match="surrogates"):
                await store.replay([good, bad])
            assert await store.get("k") == 1

    run(main())
