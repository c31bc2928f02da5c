"""`TieredCache` under the eager task factory: stores and loaders may be done before they begin."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from tests.loading import settle
from tests.stores import Shared, Tiers

from penstock import SqliteStore, TieredCache
from penstock.bench._virtual_loop import VirtualLoop
from penstock.caching._tier import Tier
from penstock.errors import StoreError
from penstock.stores import Record

if TYPE_CHECKING:
    from collections.abc import Coroutine

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="there are no eager tasks before Python 3.12"
)

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """Run in a loop of virtual time whose tasks are eager."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.get_loop().set_task_factory(asyncio.eager_task_factory)
        return runner.run(main)


@pytest.mark.parametrize(
    "options",
    [{"stores": 0}, {}, {"stores": 2, "backplane": True, "lease": 10}, {"prompt": True}],
)
def test_everything_is_done_at_once(options: dict[str, Any]) -> None:
    async def main() -> None:
        async with Tiers(**options) as tiers:
            cache = tiers.cache
            assert await cache.get("k") is None
            assert await cache.get_or_load("k", str.upper) == "K"
            assert await cache.get_or_load_many([*"ab"], list) == {"a": "a", "b": "b"}
            assert await cache.set("k", 2) is True
            assert await cache.delete("a") is True
            assert await cache.invalidate_tags("t") is True
            tiers.forget()
            if options.get("stores") != 0:
                assert await cache.get_many([*"kab"]) == {"k": 2, "b": "b"}
            for tier in cache.stats().tiers:
                assert (tier.errors, tier.state, tier.pending) == (0, "closed", 0)
            await settle()
            assert not cache._core.tasks

    run(main())


def test_what_two_processes_do_is_heard() -> None:
    async def main() -> None:
        shared = [Shared(asyncio.get_running_loop().time)]
        async with (
            Tiers(shared=shared, backplane=True, lease=10) as one,
            Tiers(shared=shared, backplane=True, lease=10) as two,
        ):
            for number in range(3):
                assert await one.cache.set("k", number) is True
                await asyncio.sleep(0.01)
                assert await two.cache.get_or_load("k", str.upper) == number
            results = [tiers.cache.get_or_load("other", str.upper) for tiers in (one, two)]
            assert await asyncio.gather(*results) == ["OTHER"] * 2

    run(main())


def test_errors_at_once_take_no_time() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            tiers.stores[0].fail(StoreError("no"))
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert await tiers.cache.set("k", 1) is False
            assert await tiers.cache.get("other") is None
            assert loop.time() == began
            tiers.stores[0].mend()
            await asyncio.sleep(10)
            assert tiers.stored("k") == [1]

    run(main())


def test_no_write_is_left_over() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            loop = asyncio.get_running_loop()
            tier = Tier(tiers.stores[0], timer=loop.time, clock=loop.time)
            assert await tier.set([("k", Record(1, 0.0, 60.0))]) == [True]
            assert await tier.delete(["k"]) is True
            assert tier._writes == set()
            assert tier.stats().write_seconds == 0.0
            assert (await tier.acquire("k", 1.0)).token
            await tier.aclose()

    run(main())


def test_a_sqlite_file() -> None:
    async def main(folder: str) -> None:
        async with TieredCache(SqliteStore(f"{folder}/cache.db"), ttl=60) as cache:
            assert await cache.set("k", 1) is True
            cache._local.clear()
            assert await cache.get("k") == 1
            assert await cache.delete("k") is True

    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(asyncio.eager_task_factory)
        runner.run(main(folder))
