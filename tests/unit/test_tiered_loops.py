"""`TieredCache` and the end of what listens for it: of an event loop, or of all of its tasks."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from tests.loading import settle
from tests.steps import run
from tests.stores import MemoryStore, Shared, Tiers

from penstock import TieredCache
from penstock.bench._virtual_loop import VirtualLoop
from penstock.stores import Message
from penstock.stores._store import Record


def cancel_and_close(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)


def only_close(main: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop()
    loop.run_until_complete(main)
    loop.close()


@pytest.mark.parametrize("ends", [cancel_and_close, only_close])
def test_hits_of_a_loop_before_are_looked_up_again(
    ends: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    store = MemoryStore(Shared())
    cache = TieredCache(store, ttl=3600, lease=None)

    async def first() -> None:
        assert await cache.set("k", "old")
        assert await cache.get("k") == "old"
        await settle()

    ends(first())
    # What was sent then has reached nobody here.
    store.shared.put("k", Record("new", store.shared.clock(), 3600), None)

    async def second() -> None:
        for _ in range(2):
            assert await cache.get("k") == "new"
        assert len(store.asked("get")) == 1
        assert store.receive is not None
        await cache.aclose()

    run(second())


def test_a_closed_cache_does_not_wait_for_the_end_of_the_loop() -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with Tiers(backplane=True) as tiers:
            await tiers.cache.get("k")
            waiting = [timer for timer in loop._scheduled if timer.when() > 1e6]
            assert len(waiting) == 1
        assert waiting[0].cancelled()

    run(main())


def test_a_cache_that_nobody_has_any_more_is_not_kept_by_the_loop() -> None:
    async def main() -> None:
        store = MemoryStore(Shared())
        cache = TieredCache(store, ttl=3600, lease=None)
        await cache.get("k")
        await asyncio.sleep(1)
        left = weakref.ref(cache)
        del cache, store
        gc.collect()
        assert left() is None

    run(main())


def test_who_cancels_all_tasks_does_not_end_the_attempts_to_listen() -> None:
    async def main() -> None:
        async with Tiers(backplane=True) as one, Tiers(shared=one.shared, backplane=True) as two:
            store = two.stores[0]
            store.fail()
            assert await two.cache.get_or_load("k", str) == "k"
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            assert tasks
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            store.mend()
            await asyncio.sleep(6)
            assert await two.cache.get_or_load("k", str) == "k"
            await one.cache.set("k", "new")
            await settle()
            assert await two.cache.get("k") == "new"

    run(main())


def in_a_loop_that_takes_long_to_end(begin: Callable[[], object]) -> list[dict[str, Any]]:
    """What a loop complains about that is closed a second after its tasks were cancelled."""
    reports: list[dict[str, Any]] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))
        tasks.append(asyncio.create_task(slow()))
        begin()
        await settle(30)

    tasks: list[asyncio.Task[None]] = []
    cancel_and_close(main())
    gc.collect()
    return reports


def test_a_loop_that_takes_long_to_end_has_nothing_to_complain_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "penstock.caching")  # what is kept of errors holds the cache
    stores = [MemoryStore(Shared())]
    stores[0].fail()

    def begin() -> None:
        TieredCache(stores[0], ttl=3600, lease=None).get("k")

    reports = in_a_loop_that_takes_long_to_end(begin)
    assert len(stores[0].asked("listen")) > 1
    stores.clear()  # their errors hold it as well
    gc.collect()
    assert reports == []


def test_nor_of_a_connection_that_is_kept() -> None:
    pytest.importorskip("hiredis")
    from penstock.stores._redis_bus import Keeper

    missed: list[object] = []

    async def connected() -> Any:
        return SimpleNamespace(ended=asyncio.get_running_loop().create_future())

    def begin() -> None:
        session: Any = SimpleNamespace(loop=asyncio.get_running_loop())
        link: Any = SimpleNamespace(connected=connected)
        Keeper(link, session, lambda: missed.append(1))

    assert in_a_loop_that_takes_long_to_end(begin) == []
    assert missed == [1]


def test_who_is_cancelled_before_he_listens_is_told_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from penstock.stores import _redis_binding

    async def main() -> None:
        tried = asyncio.Event()
        client: Any = SimpleNamespace(
            loop=asyncio.get_running_loop(), listen=lambda: SimpleNamespace(tried=tried.wait)
        )
        maker: Any = lambda *_: ("here", lambda *_: client)  # noqa: E731
        monkeypatch.setattr(_redis_binding, "_maker", maker)
        counts: Any = SimpleNamespace(messages_in=0)
        nothing: Any = None
        binding = _redis_binding.Binding("", nothing, counts, nothing)
        got: list[Message] = []
        for _ in range(2):
            listening = asyncio.ensure_future(binding.listen(got.append, got.clear))
            await settle()
            listening.cancel()
            await asyncio.wait([listening])
        tried.set()
        await binding.listen(got.append, got.clear)
        binding._receive(Message("set", ("k",), 0))
        assert got == [Message("set", ("k",), 0)]

    run(main())


def test_a_cache_that_is_closed_by_then_does_not_listen_again() -> None:
    async def main() -> None:
        async with Tiers(backplane=True) as tiers:
            store = tiers.stores[0]
            store.fail()
            await tiers.cache.get("k")
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await settle()
        asked = len(store.asked("listen"))
        await asyncio.sleep(10)
        assert len(store.asked("listen")) == asked

    run(main())


def test_what_was_to_be_looked_at_when_all_tasks_were_cancelled_is_told() -> None:
    pytest.importorskip("hiredis")
    from penstock.stores._redis_options import Names
    from penstock.stores._redis_tracking import Tracking

    async def main() -> None:
        loop = asyncio.get_running_loop()
        names = Names("penstock", 0)
        session: Any = SimpleNamespace(loop=loop, options=SimpleNamespace(names=names))
        wire: Any = SimpleNamespace(ask=lambda _: loop.create_future())
        got: list[Message] = []
        for ends in ("cancelled", "closed"):
            tracking = Tracking(session, got.append)
            tracking.note(["k"], 1)
            tracking.pushed(wire, [b"invalidate", [f"{names.entry}k".encode()]])
            await settle()
            if ends == "closed":
                await tracking.aclose()
            else:
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    if "_check" in repr(task):
                        task.cancel()
            await settle()
            assert got == [Message("set", ("k",), 0)]

    run(main())
