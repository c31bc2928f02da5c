"""`TieredCache`: event loops, forks, deadlines, and its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import weakref
from typing import Any

import pytest
from tests.forks import in_child
from tests.loading import HeldLoader, settle
from tests.steps import now, run
from tests.stores import MemoryStore, Tiers
from tests.threads import spawn

from penstock import TieredCache
from penstock.bench._virtual_loop import VirtualLoop
from penstock.errors import ClosedError, DeadlineExceeded, WrongEventLoop
from penstock.flow import deadline

# its end


def test_closing_waits_for_what_is_on_its_way() -> None:
    async def main() -> None:
        tiers = Tiers(2)
        load = HeldLoader()
        calls: list[Any] = [
            tiers.cache.get_or_load("a", load),
            tiers.cache.set("b", 1),
            tiers.cache.delete("c"),
            tiers.cache.get("d"),
            asyncio.ensure_future(tiers.cache.get_or_load_many(["e"], lambda keys: keys)),
        ]
        await settle()
        closing = asyncio.ensure_future(tiers.cache.aclose())
        await settle()
        assert tiers.cache.closed
        assert not closing.done()
        load.release()
        await closing
        assert await asyncio.gather(*calls) == ["a 1", True, True, None, {"e": "e"}]
        assert tiers.stored("a") == ["a 1"] * 2
        assert tiers.stored("e") == ["e"] * 2
        assert all(store.closed for store in tiers.stores)
        await tiers.cache.aclose()

    run(main())


@pytest.mark.parametrize("stores", [0, 1])
def test_closed_cache_refuses_calls(stores: int) -> None:
    async def main() -> None:
        tiers = Tiers(stores)
        cache: Any = tiers.cache
        await cache.set("k", 1)
        assert not cache.closed
        await cache.aclose()
        for call in [
            lambda: cache.get("k"),
            lambda: cache.get_many([*"k"]),
            lambda: cache.get_or_load("k", str),
            lambda: cache.get_or_load_many([*"k"], str),
            lambda: cache.set("k", 1),
            lambda: cache.set_many({"k": 1}),
            lambda: cache.delete("k"),
            lambda: cache.delete_many([*"k"]),
            lambda: cache.invalidate_tags("t"),
            cache.clear,
        ]:
            with pytest.raises(ClosedError, match="the TieredCache is closed"):
                await call()
        assert cache._local.cache.peek("k") is None
        assert cache.stats().sets == 1

    run(main())


def test_closing_cancels_what_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        tiers = Tiers()
        load = HeldLoader()
        calls = [tiers.cache.get_or_load("a", load), tiers.cache.get_or_load("a", load)]
        await settle()
        start = now()
        await tiers.cache.aclose(timeout=5)
        assert now() - start == pytest.approx(5)
        assert load.cancelled == [1]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [ClosedError] * 2

    run(main())
    assert "was closed before 1 of its tasks ended" in caplog.text


def test_closing_does_not_wait_for_what_nobody_waits_for() -> None:
    async def main() -> None:
        tiers = Tiers(refresh_after=10)
        await tiers.cache.set("k", "old")
        await asyncio.sleep(11)
        load = HeldLoader()
        assert await tiers.cache.get_or_load("k", load) == "old"
        await settle()
        start = now()
        await tiers.cache.aclose()
        assert now() == start
        assert load.cancelled == [1]

    run(main())


def test_closing_gives_up_a_store_that_does_not_answer() -> None:
    async def main() -> None:
        tiers = Tiers()
        tiers.stores[0].hang()
        setting = tiers.cache.set("k", 1)
        reading = tiers.cache.get("l")
        await tiers.cache.aclose()
        assert [await setting, await reading] == [False, None]

    run(main())


def test_error_of_a_store_that_is_closed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        tiers = Tiers()

        async def fails() -> None:
            raise OSError("cannot close")

        tiers.stores[0].aclose = fails  # type: ignore[method-assign]
        await tiers.cache.aclose()

    run(main())
    assert "closing the store store 0 failed: cannot close" in caplog.text


def test_loader_cannot_close_its_cache() -> None:
    async def main() -> None:
        async with Tiers() as tiers:

            async def load(_: str) -> None:
                await tiers.cache.aclose()

            with pytest.raises(RuntimeError, match="a loader cannot close the cache"):
                await tiers.cache.get_or_load("k", load)

    run(main())


def test_block_closes_the_cache() -> None:
    async def main() -> None:
        store = MemoryStore()
        async with TieredCache(store, ttl=60) as cache:
            assert await cache.set("k", 1)
        assert cache.closed
        assert store.closed

    run(main())


# event loops


def test_another_loop_is_refused_while_the_first_one_lives() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            await tiers.cache.set("k", 1)

            def elsewhere() -> Any:
                async def read() -> Any:
                    return await tiers.cache.get("k")

                async def miss() -> Any:
                    return await tiers.cache.get("l")

                assert asyncio.run(read()) == 1
                with pytest.raises(WrongEventLoop, match="is bound to another event loop"):
                    asyncio.run(miss())
                return True

            assert spawn(elsewhere).result()

    run(main())


def test_loop_is_needed_for_what_is_not_in_memory() -> None:
    cache = TieredCache(MemoryStore(), ttl=60)
    calls: list[Any] = [
        lambda: cache.get("k"), lambda: cache.get_or_load("k", str), lambda: cache.set("k", 1),
        lambda: cache.delete("k"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(RuntimeError, match="no running event loop"):
            call()
    assert cache._local.cache.peek("k") is None


def test_closed_loop_is_replaced() -> None:
    store = MemoryStore()
    cache = TieredCache(store, ttl=60, lease=10)
    load = HeldLoader()

    async def leave() -> None:
        await cache.set("k", 1)
        _ = cache.get("l"), cache.get_or_load("m", load), cache.set("n", 1), cache.delete("o")
        await settle()
        _ = cache.get("p"), cache.get_or_load("q", load), cache.set("r", 1), cache.delete("s")

    loop = VirtualLoop()
    loop.run_until_complete(leave())
    # As a program does that ends without cancelling its tasks.
    tasks = asyncio.all_tasks(loop)
    loop.close()
    load.forget()
    logging.getLogger("asyncio").disabled = True
    try:
        for task in tasks:
            task.get_coro().close()  # type: ignore[union-attr]
        del tasks, task
        gc.collect()
    finally:
        logging.getLogger("asyncio").disabled = False

    async def come() -> None:
        assert await cache.get("k") == 1
        store.shared.leases.clear()
        assert await cache.get_or_load("m", str) == "m"
        assert await cache.get_or_load("q", str) == "q"
        assert await cache.set("n", 2)
        assert await cache.delete("o")
        assert await cache.get("n") == 2
        assert cache.stats().writing == 0
        await cache.aclose()

    asyncio.run(come())


def test_cache_that_nobody_holds_is_freed() -> None:
    async def main() -> weakref.ref[TieredCache]:
        cache = TieredCache(MemoryStore(), ttl=60, name="gone")
        await cache.get_or_load("k", str)
        await cache.aclose()
        return weakref.ref(cache)

    reference = asyncio.run(main())
    gc.collect()
    assert reference() is None


# forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_forked_child_begins_anew() -> None:
    async def main() -> None:
        store = MemoryStore()
        cache = TieredCache(store, ttl=60)
        load = HeldLoader()
        await cache.set("k", 1)
        call = cache.get_or_load("l", load)
        setting = cache.set("m", 1)
        await settle(2)

        def child() -> None:
            asyncio._set_running_loop(None)

            async def use() -> None:
                assert await cache.get("k") == 1
                assert await cache.get_or_load("l", str) == "l"
                assert await cache.set("m", 2)
                await cache.aclose()

            store.shared.leases.clear()
            asyncio.run(use())

        assert in_child(child)
        await settle()
        load.release()
        assert await call == "l 1"
        assert await setting
        await cache.aclose()

    asyncio.run(main())


# deadlines


def test_deadline_bounds_who_waits_and_not_the_load() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            load = HeldLoader()
            patient = tiers.cache.get_or_load("k", load)
            start = now()
            with deadline(1), pytest.raises(DeadlineExceeded):
                await tiers.cache.get_or_load("k", load)
            assert now() - start == pytest.approx(1)
            assert load.cancelled == []
            load.release()
            assert await patient == "k 1"

    run(main())


def test_loader_does_not_see_the_deadline_of_who_asked() -> None:
    async def main() -> None:
        async with Tiers() as tiers:

            async def load(_: str) -> str:
                with deadline(100):
                    await asyncio.sleep(0)
                from penstock import remaining

                return str(remaining())

            with deadline(5):
                assert await tiers.cache.get_or_load("k", load) == "None"

    run(main())


def test_deadline_bounds_reads_and_writes() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            cache: Any = tiers.cache
            tiers.stores[0].hang()
            for call in [
                lambda: cache.get("k"), lambda: cache.set("k", 1), lambda: cache.delete("l"),
                lambda: cache.get_many([*"ab"]), cache.clear,
            ]:  # fmt: skip
                with deadline(0.01), pytest.raises(DeadlineExceeded):
                    await call()

    run(main())


def test_hit_in_memory_has_no_deadline() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            await tiers.cache.set("k", 1)
            with deadline(0.001):
                await asyncio.sleep(1)
                assert await tiers.cache.get("k") == 1
                with pytest.raises(DeadlineExceeded):
                    await tiers.cache.get("l")

    run(main())
