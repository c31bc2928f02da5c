"""Two processes with one cache: what one changes the other sees, and what one loads both have."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.tiers_peer import Peer, peer, store_of
from tests.redis_servers import RedisServer, needs_redis
from tests.tiers import Loader, until

from penstock import TieredCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

pytest.importorskip("hiredis")


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


@contextlib.asynccontextmanager
async def two(
    *, store: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[TieredCache, Peer, RedisServer]]:
    """A cache here, and one in another process, over one Redis server."""
    with RedisServer() as server:
        async with (
            peer(server.url, store=store, **options) as other,
            TieredCache(store_of(server.url, **(store or {})), **{"ttl": 60.0, **options}) as cache,
        ):
            yield cache, other, server


@needs_redis
@pytest.mark.parametrize("backplane", ["pubsub", "tracking"])
def test_what_one_changes_the_other_sees(backplane: str) -> None:
    async def main() -> None:
        async with two(store={"backplane": backplane}) as (cache, other, _):
            for at, change in enumerate(
                (
                    lambda: cache.delete("key:1"),
                    lambda: cache.delete_many(["another", "key:1"]),
                    lambda: cache.invalidate_tags("unknown", "tag"),
                    lambda: cache.invalidate_prefix("key:"),
                    lambda: cache.invalidate_glob("k*:[0-9]"),
                    cache.clear,
                )
            ):
                assert await other.ask("set", "key:1", at, tags=["tag"])
                assert await other.ask("get", "key:1") == at
                assert await change()
                await until(lambda: _is(other, "key:1", None))
                assert await cache.get("key:1") is None
            for value in ("a", "b"):
                assert await cache.set("key:1", value)
                await until(lambda value=value: _is(other, "key:1", value))
            assert await cache.set_many({"key:1": "c"})
            await until(lambda: _is(other, "key:1", "c"))

    run(main())


async def _is(other: Peer, key: str, value: object) -> bool:
    return await other.ask("get", key) == value


@needs_redis
def test_it_does_not_where_nobody_tells_it() -> None:
    async def main() -> None:
        async with two(backplane=False) as (cache, other, _):
            assert await other.ask("set", "k", 1)
            assert await cache.set("k", 2)
            assert await cache.delete("k")
            assert await other.ask("get", "k") == 1  # this is what l1_ttl bounds

    run(main())


@needs_redis
def test_what_others_say_leaves_the_rest_in_memory() -> None:
    async def main() -> None:
        async with two() as (cache, other, server):
            assert await other.ask("set_many", {"k": 1, "l": 2})
            assert await other.ask("get_many", ["k", "l"]) == {"k": 1, "l": 2}
            assert await cache.set("k", 3)
            await until(lambda: _is(other, "k", 3))
            server.kill()
            assert await other.ask("get", "l") in (2, None)  # by then it may have noticed

    run(main())


# --- one load for all -----------------------------------------------------------------------------


@needs_redis
def test_what_one_loads_the_other_waits_for() -> None:
    async def main() -> None:
        async with two() as (cache, other, server):
            theirs = other.ask("get_or_load", "k", load="theirs", hold=True)
            assert await other.loading.get() == "k"
            loader = Loader("ours")
            ours = asyncio.ensure_future(cache.get_or_load("k", loader))
            await until(lambda: str(server.cli("GET", "penstock:l:k")).endswith("w"))
            assert not ours.done()
            other.go()
            assert await theirs == "theirs"
            assert await ours == "theirs"
            assert loader.calls == 0

    run(main())


@needs_redis
def test_a_holder_that_fails_lets_the_other_go_on() -> None:
    async def main() -> None:
        async with two(lease=1000.0) as (cache, other, server):
            theirs = other.ask("get_or_load", "k", load="theirs", hold=True)
            assert await other.loading.get() == "k"
            ours = asyncio.ensure_future(cache.get_or_load("k", Loader("ours")))
            await until(lambda: str(server.cli("GET", "penstock:l:k")).endswith("w"))
            assert await cache.delete("k")  # what they load is not stored any more
            other.go()
            assert await theirs == "theirs"
            assert await ours == "ours"

    run(main())


@needs_redis
def test_a_holder_that_is_killed_holds_it_no_longer_than_the_lease() -> None:
    async def main() -> None:
        async with two(lease=0.5) as (cache, other, server):
            other.ask("get_or_load", "k", load="theirs", hold=True)
            assert await other.loading.get() == "k"
            await other.kill()
            assert server.cli("EXISTS", "penstock:l:k")
            loader = Loader("ours")
            assert await cache.get_or_load("k", loader) == "ours"
            assert loader.calls == 1
            assert await cache.get("k") == "ours"

    run(main())


@needs_redis
def test_a_holder_that_was_overtaken_stores_nothing() -> None:
    async def main() -> None:
        async with two(lease=0.3, l1=None) as (cache, other, _):
            theirs = other.ask("get_or_load", "k", load="theirs", hold=True)
            assert await other.loading.get() == "k"
            other.freeze()
            assert await cache.get_or_load("k", Loader("ours")) == "ours"
            await until(lambda: _has(cache, "k", "ours"))
            other.thaw()
            other.go()
            assert await theirs == "theirs"
            assert await other.ask("get", "k") == "ours"
            assert await cache.get("k") == "ours"

    run(main())


async def _has(cache: TieredCache, key: str, value: object) -> bool:
    return await cache.get(key) == value


@needs_redis
def test_many_processes_load_once() -> None:
    async def main() -> None:
        with RedisServer() as server:
            async with contextlib.AsyncExitStack() as stack:
                peers = [await stack.enter_async_context(peer(server.url)) for _ in range(3)]
                asked = [
                    each.ask("get_or_load", f"k{n}", load=at)
                    for n in range(20)
                    for at, each in enumerate(peers)
                ]
                values = await asyncio.gather(*asked)
                loads = [each.loading.qsize() for each in peers]
                assert sum(loads) == 20, loads
                for n in range(20):
                    assert len(set(values[3 * n : 3 * n + 3])) == 1

    run(main())


# --- a file ---------------------------------------------------------------------------------------


def test_a_file_is_shared(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "cache.db")
        async with (
            peer(path, l1=None) as other,
            TieredCache(store_of(path), ttl=60.0, l1=None) as cache,
        ):
            assert await cache.set("a:1", 1, tags=["t"])
            assert await other.ask("get", "a:1") == 1
            assert await other.ask("set", "a:1", 2, tags=["t"])
            assert await cache.get("a:1") == 2
            assert await other.ask("invalidate_tags", "t")
            assert await cache.get("a:1") is None
            assert await cache.set("a:1", 3)
            assert await other.ask("invalidate_prefix", "a:")
            assert await cache.get("a:1") is None
            assert await cache.set("a:1", 4)
            assert await other.ask("delete", "a:1")
            assert await cache.get("a:1") is None

    run(main())


def test_a_file_outlives_who_is_killed(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "cache.db")
        async with peer(path) as other:
            for number in range(20):
                assert await other.ask("set", f"k{number}", number)
            for number in range(20, 200):
                other.ask("set", f"k{number}", number)
            await other.kill()
        async with TieredCache(store_of(path), ttl=60.0) as cache:
            for number in range(200):
                assert await cache.get(f"k{number}") in (
                    (number,) if number < 20 else (number, None)
                )
            assert await cache.set("k", "v")

    run(main())
