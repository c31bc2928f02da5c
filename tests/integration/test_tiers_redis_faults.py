"""A cache over a Redis server that is absent, dead, frozen, full, read-only, or not for us."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.fault_proxy import FaultProxy
from tests.redis_servers import RedisServer, free_port, needs_redis
from tests.tiers import Loader, cache_over, listening, recovered, the_tier, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

pytest.importorskip("hiredis")

pytestmark = needs_redis

#: Less than the default, since it is waited for when a server is frozen.
_QUICK = {"store": {"timeout": 0.2}, "store_timeout": 0.2}


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    # What it has acknowledged it still has when it was killed.
    with RedisServer(appendonly=True, appendfsync="always") as running:
        yield running


# Each makes a server useless for writing, and returns what makes it good again.
def killed(server: RedisServer) -> Callable[[], object]:
    server.kill()
    return server.start


def frozen(server: RedisServer) -> Callable[[], object]:
    server.freeze()
    return server.thaw


def full(server: RedisServer) -> Callable[[], object]:
    server.cli("CONFIG", "SET", "maxmemory", "1")
    return lambda: server.cli("CONFIG", "SET", "maxmemory", "0")


def read_only(server: RedisServer) -> Callable[[], object]:
    server.cli("CONFIG", "SET", "replica-serve-stale-data", "yes")
    server.cli("REPLICAOF", "127.0.0.1", free_port())
    return lambda: server.cli("REPLICAOF", "NO", "ONE")


def forbidden(server: RedisServer) -> Callable[[], object]:
    server.cli("ACL", "SETUSER", "default", "-evalsha", "-eval")
    return lambda: server.cli("ACL", "SETUSER", "default", "+@all")


FAULTS = [killed, frozen, full, read_only, forbidden]
#: Those in which it can still be read.
READABLE = [full, read_only, forbidden]


# --- absent from the start ------------------------------------------------------------------------


def test_a_server_that_is_absent_is_done_without() -> None:
    async def main() -> None:
        async with cache_over(f"redis://127.0.0.1:{free_port()}/0") as cache:
            assert await cache.get("k") is None
            assert await cache.get_or_load("k", Loader("v")) == "v"
            assert await cache.get("k") == "v"
            assert await cache.get_many(["k", "l"]) in ({"k": "v"}, {"k": "v", "l": None})

    run(main())


def test_what_it_has_missed_it_gets_when_it_comes() -> None:
    async def main() -> None:
        with RedisServer(appendonly=True, appendfsync="always") as server:
            async with cache_over(server.url) as other:
                assert await other.set("l", "v")
            server.kill()
            async with cache_over(server.url) as cache:
                assert await cache.set("k", "v") is False
                assert await cache.delete("l") is False
                assert the_tier(cache).pending == 2
                server.start()
                await recovered(cache)
                assert await cache.set("m", "v") is True
            async with cache_over(server.url) as other:
                assert await other.get("k") == "v"
                assert await other.get("l") is None

    run(main())


def test_a_server_that_has_lost_everything_gets_nothing_old() -> None:
    # Somebody else may have deleted it since, and of that the server knows nothing any more.
    async def main() -> None:
        with RedisServer() as server:
            server.kill()
            async with cache_over(server.url) as cache:
                assert await cache.set("k", "v") is False
                server.start()
                await recovered(cache)
                assert await cache.set("l", "v") is True
            async with cache_over(server.url) as other:
                assert await other.get("k") is None
                assert await other.get("l") == "v"

    run(main())


# --- set, delete and invalidate tell the truth ----------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_a_write_that_did_not_reach_it_is_not_said_to_have(
    server: RedisServer, fault: Callable[[RedisServer], Callable[[], object]]
) -> None:
    async def main() -> None:
        async with cache_over(server.url, **_QUICK) as cache:
            await listening(cache)
            for key in ("set", "deleted", "tagged", "globbed"):
                assert await cache.set(key, "old", tags=["tag"] if key == "tagged" else [])
            fault(server)
            await until(lambda: fault is not killed or cache.stats().lost)
            assert await cache.set("set", "new") is False
            assert await cache.delete("deleted") is False
            assert await cache.invalidate_tags("tag") is False
            assert await cache.invalidate_prefix("glob") is False
            # To this process it has happened.
            assert await cache.get("set") == "new"
            for key in ("deleted", "tagged", "globbed"):
                assert await cache.get(key) is None

    run(main())


@pytest.mark.parametrize("fault", FAULTS)
def test_it_reaches_it_later(
    server: RedisServer, fault: Callable[[RedisServer], Callable[[], object]]
) -> None:
    async def main() -> None:
        async with (
            cache_over(server.url, **_QUICK) as cache,
            cache_over(server.url, l1=None) as other,
        ):
            for key in ("set", "deleted", "tagged", "globbed"):
                assert await cache.set(key, "old", tags=["tag"] if key == "tagged" else [])
            mend = fault(server)
            await cache.set("set", "new")
            await cache.delete("deleted")
            await cache.invalidate_tags("tag")
            await cache.invalidate_prefix("glob")
            mend()
            await recovered(cache)
            await recovered(other)
            assert await other.get("set") == "new"
            for key in ("deleted", "tagged", "globbed"):
                assert await other.get(key) is None
                assert await cache.get(key) is None

    run(main())


def test_a_newer_write_of_another_is_not_undone(server: RedisServer) -> None:
    async def main() -> None:
        async with (
            FaultProxy(*server.address) as proxy,
            cache_over(server.url_at(proxy.port), **_QUICK) as cut,
            cache_over(server.url, l1=None) as other,
        ):
            assert await cut.set("k", "old")
            proxy.refuse()
            assert not await cut.set("k", "missed")
            assert not await cut.delete("l")
            assert await other.set("k", "newer")
            assert await other.set("l", "newer")
            await proxy.heal()
            await recovered(cut)
            assert await other.get_many(["k", "l"]) == {"k": "newer", "l": "newer"}
            assert await cut.get_many(["k", "l"]) == {"k": "newer", "l": "newer"}

    run(main())


# --- loads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_a_loader_answers_whatever_the_server_does(
    server: RedisServer, fault: Callable[[RedisServer], Callable[[], object]]
) -> None:
    async def main() -> None:
        async with cache_over(server.url, **_QUICK) as cache:
            await listening(cache)
            mend = fault(server)
            await until(lambda: fault is not killed or cache.stats().lost)
            for number in range(10):
                value = await cache.get_or_load(f"k{number}", Loader(number))
                assert value == number
                assert await cache.get(f"k{number}") == number
            mend()
            await recovered(cache)
            assert await cache.get_or_load("after", Loader("v")) == "v"

    run(main())


@pytest.mark.parametrize("fault", READABLE)
def test_what_is_there_is_still_read(
    server: RedisServer, fault: Callable[[RedisServer], Callable[[], object]]
) -> None:
    async def main() -> None:
        async with cache_over(server.url, l1=None) as cache:
            assert await cache.set("k", "v")
            mend = fault(server)
            assert await cache.get("k") == "v"
            assert await cache.get_or_load("k", Loader("w")) == "v"
            mend()

    run(main())


@pytest.mark.parametrize("fault", [killed, frozen])
def test_an_outage_is_not_remembered_as_absence(
    server: RedisServer, fault: Callable[[RedisServer], Callable[[], object]]
) -> None:
    async def main() -> None:
        async with cache_over(server.url) as other:
            assert await other.set("k", "v")
        async with cache_over(server.url, negative_ttl=60.0, **_QUICK) as cache:
            await cache.get("another")
            mend = fault(server)
            for _ in range(10):
                assert await cache.get("k") is None
            assert await cache.get_many(["k"]) in ({}, {"k": None})
            mend()
            await recovered(cache)
            assert await cache.get("k") == "v"

    run(main())


def test_it_is_emptied_and_nothing_comes_back(server: RedisServer) -> None:
    async def main() -> None:
        async with cache_over(server.url) as cache, cache_over(server.url) as other:
            assert await cache.set("k", "v")
            assert await other.get("k") == "v"
            server.restart(kill=True, forget=True)
            await recovered(cache)
            await recovered(other)
            loader = Loader("again")
            assert await other.get_or_load("k", loader) == "again"
            assert loader.calls == 1

    run(main())


def test_a_load_from_before_it_was_emptied_does_not_bring_back_what_was_deleted(
    server: RedisServer,
) -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def slow(key: str) -> str:
            await go_on.wait()
            return "deleted"

        async with (
            FaultProxy(*server.address) as proxy,
            cache_over(server.url_at(proxy.port)) as loading,
            cache_over(server.url) as deleting,
        ):
            load = asyncio.ensure_future(loading.get_or_load("k", slow))
            await until(lambda: server.cli("EXISTS", "penstock:l:k"))
            proxy.hold()  # it is told of nothing
            assert await deleting.delete("k")
            server.cli("FLUSHALL")
            assert await deleting.set("another", 1)
            proxy.let_go()
            go_on.set()
            assert await load == "deleted"
            await loading.aclose()
            assert await deleting.get("k") is None

    run(main())


# --- not for us -----------------------------------------------------------------------------------


def _wrong_password(server: RedisServer) -> str:
    return f"redis://:wrong@127.0.0.1:{server.port}/0"


def _no_password(server: RedisServer) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def _wrong_database(server: RedisServer) -> str:
    return server.url_at(server.port, database=99)


@pytest.mark.parametrize("url_of", [_wrong_password, _no_password, _wrong_database])
def test_a_server_that_does_not_let_us_in_is_done_without(
    url_of: Callable[[RedisServer], str],
) -> None:
    async def main() -> None:
        with RedisServer(requirepass="secret") as server:
            async with cache_over(url_of(server)) as cache:
                assert await cache.get("k") is None
                assert await cache.get_or_load("k", Loader("v")) == "v"
                assert await cache.set("k", "w") is False
                assert await cache.get("k") == "w"
                assert the_tier(cache).errors > 0

    run(main())


@pytest.mark.parametrize("key", ["a\0b", "a\nb\r\n", "x" * 10_000, "ä€😀", " ", "a*[b]?"])
def test_any_key_will_do(server: RedisServer, key: str) -> None:
    async def main() -> None:
        async with cache_over(server.url, l1=None) as cache:
            assert await cache.set(key, "v", tags=[key])
            assert await cache.set("other", "v")
            assert await cache.get(key) == "v"
            assert await cache.invalidate_tags(key)
            assert await cache.get(key) is None
            assert await cache.set(key, "v")
            assert await cache.invalidate_prefix(key)
            assert await cache.get(key) is None
            assert await cache.get("other") == "v"

    run(main())
