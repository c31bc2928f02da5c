"""`RedisStore` over servers and connections that fail, or refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.fault_proxy import FaultProxy
from tests.redis_servers import RedisServer, needs_redis
from tests.redis_stores import again, run, until
from tests.store_model import record

from penstock.errors import StoreError, StoreTimeout, StoreUnavailable
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


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """One that may be killed."""
    with RedisServer() as running:
        yield running


def test_a_restart_is_survived(own: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(own.url) as store:
            await store.set("k", 1)
            base = (await store.get_many(["l"])).base
            await store.delete_many(["l"])
            own.restart(forget=True)
            with pytest.raises(StoreUnavailable):  # one of them finds out
                await asyncio.gather(store.ping(), *[store.get("k")])
            await again(store)
            assert await store.get("k") is None
            # The delete is forgotten, but not that it may have been there.
            assert await store.set_many([("l", record(1))], base=base) == [False]
            base = (await store.get_many(["l"])).base
            assert await store.set_many([("l", record(1))], base=base) == [True]

    run(main())


def test_a_server_that_is_frozen(own: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(own.url, timeout=0.05, connect_timeout=0.1) as store:
            await store.set("k", "old")
            own.freeze()
            with pytest.raises(StoreTimeout):
                await store.set("k", "zombie")
            calls = [store.get("k") for _ in range(20)]
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert [error for error in errors if not isinstance(error, StoreTimeout)] == []
            await until(lambda: not store.stats().connected)
            with pytest.raises(StoreUnavailable):
                await store.get("k")
            own.thaw()
            await again(store)
            await store.set("k", "new")
            await asyncio.sleep(0.05)
            assert await store.get("k") == "new"

    run(main())


def test_a_set_that_has_failed_is_not_done_later(server: RedisServer) -> None:
    async def main() -> None:
        async with (
            FaultProxy(*server.address) as proxy,
            RedisStore(server.url_at(proxy.port), timeout=0.05) as away,
            RedisStore(server.url) as here,
        ):
            await away.set("k", "old")
            proxy.freeze()
            with pytest.raises(StoreTimeout):
                await away.set("k", "zombie")
            await here.delete("k")
            proxy.let_go()
            await again(away)
            assert await away.get("k") is None
            assert await here.get("k") is None

    run(main())


def test_a_connection_that_is_cut_at_any_byte_gives_nobody_a_wrong_value(
    server: RedisServer,
) -> None:
    async def main() -> None:
        keys = [f"k{n}" for n in range(4)]
        async with FaultProxy(*server.address) as proxy:
            store = RedisStore(server.url_at(proxy.port))
            await store.set_many([(key, record(key, tags=("t",))) for key in keys])
            await asyncio.gather(*(store.get(key) for key in keys))
            lost = 0
            for cut in range(0, 400, 3):
                proxy.cut_after(cut, reset=cut % 2 == 0)
                calls = [store.get_many([key]) for key in keys]
                for key, found in zip(
                    keys, await asyncio.gather(*calls, return_exceptions=True), strict=True
                ):
                    if isinstance(found, BaseException):
                        assert isinstance(found, StoreUnavailable)
                        lost += 1
                    else:
                        assert found.records[0] is not None
                        assert found.records[0].value == key
                await proxy.heal()
                store._join().session.link._not_before = 0.0
            assert lost > 100
            await again(store)
            await store.aclose()

    run(main())


def test_scripts_may_be_flushed_and_killed(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url, timeout=5.0) as store:
            await store.set("k", 1)
            server.cli("SCRIPT", "FLUSH")
            await asyncio.gather(store.set("k", 2), store.invalidate(tags=["t"]))
            assert await store.get("k") == 2
            assert 1 <= store.stats().script_loads <= 2

    run(main())


def test_a_server_that_runs_a_script_for_ever_comes_back(own: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(own.url, timeout=0.2) as store:
            await store.set("k", 1)
            own.cli("CONFIG", "SET", "busy-reply-threshold", "10")
            loop = asyncio.get_running_loop()
            forever = loop.run_in_executor(None, _busy, own)
            await until(lambda: _is_busy(own))
            with pytest.raises(StoreUnavailable, match="BUSY"):
                await store.get("k")
            own.cli("SCRIPT", "KILL")
            await forever
            assert await store.get("k") == 1

    run(main())


def _busy(server: RedisServer) -> None:
    with pytest.raises(Exception, match="killed"):
        server.cli("EVAL", "while true do end", 0)


def _is_busy(server: RedisServer) -> bool:
    try:
        server.cli("PING")
    except Exception as error:
        return "BUSY" in str(error)
    return False


def test_refusals_of_a_real_server() -> None:
    async def main(url: str, server: RedisServer) -> None:
        for wrong in (url.replace(":word@", ":wrong@"), url.replace(":word@", "")):
            async with RedisStore(wrong) as store:
                with pytest.raises(StoreError, match="user and password"):
                    await store.ping()
        async with RedisStore(url.replace("/0", "/99")) as store:
            with pytest.raises(StoreError, match="number of a database"):
                await store.ping()
        async with RedisStore(url) as store:
            await store.set("k", 1)
            server.cli("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(StoreError, match="memory is full"):
                await store.set("k", 2)
            assert await store.get("k") == 1
            server.cli("CONFIG", "SET", "maxmemory", "0")
            server.cli("REPLICAOF", "127.0.0.1", 1)
            with pytest.raises(StoreError, match="is a replica"):
                await store.set("k", 2)
            assert await store.get("k") == 1
            server.cli("REPLICAOF", "NO", "ONE")
            server.cli("ACL", "SETUSER", "default", "-evalsha")
            with pytest.raises(StoreError, match="must be allowed"):
                await store.set("k", 2)
            assert await store.get("k") == 1

    with RedisServer(requirepass="word") as server:
        run(main(server.url, server))
