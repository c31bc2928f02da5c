"""Tier: cancelled, closed, in another loop, and in a forked process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.clock import Clock
from tests.loading import settle
from tests.model_store import ModelStore
from tests.model_tiers import (
    WALL,
    heal,
    record,
    tier_of,
    values,
)
from tests.steps import now, run, steps_of

from penstock.caching._tier import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


@pytest.mark.parametrize("mode", ["ok", "slow", "late", "down"])
def test_a_read_may_be_cancelled_at_any_step(mode: str) -> None:
    async def main() -> None:
        tier, store = tier_of()
        store.mode, store.delay = mode, 0.1
        try:
            await tier.read(["key"])
        finally:
            await asyncio.gather(*store.background)
            await settle()
            assert store.busy == 0
            stats = tier.stats()
            assert stats.reads >= len(store.calls)
            assert stats.errors == (mode == "down" and stats.reads and len(store.calls))

    for _, task in steps_of(main):
        assert task.cancelled() or task.exception() is None


CHANGES: list[Any] = [
    pytest.param(lambda tier: tier.delete(["key"]), id="delete"),
    pytest.param(lambda tier: tier.invalidate(["tag"]), id="tags"),
    pytest.param(lambda tier: tier.invalidate((), ["k*"]), id="patterns"),
    pytest.param(lambda tier: tier.set([("key", record("new"))]), id="set"),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mode", ["ok", "slow", "mute", "down", "refusing"])
def test_a_change_that_was_begun_is_made_whoever_is_cancelled(
    mode: str, change: Callable[[Tier], Coroutine[Any, Any, object]]
) -> None:
    seen: list[bool] = []

    async def main() -> None:
        tier, store = tier_of()
        await tier.set([("key", record("old", tags=("tag",)))])
        await asyncio.sleep(0.001)
        store.mode, store.delay = mode, 0.1
        calls = len(store.calls)
        try:
            await change(tier)
        finally:
            has_begun = len(store.calls) > calls or tier._writes
            seen.append(bool(has_begun))
            store.mode = "ok"
            await tier.aclose()
            found = store.valid("key")
            assert found is None or found.value == "new" or not has_begun
            assert tier.stats().pending == 0

    for _, task in steps_of(main):
        assert task.cancelled() or task.exception() is None
    assert seen[-1]


# --- the end ---


def test_a_closed_tier_has_nothing_and_takes_nothing() -> None:
    async def main() -> None:
        tier, store = tier_of()
        await tier.aclose()
        assert not store.is_closed
        assert await tier.read(["key"]) is None
        assert await tier.set([("key", record())]) == [False]
        assert await tier.delete(["key"]) is False
        assert tier.stats().pending == 0
        assert store.calls == []
        await tier.aclose(close_store=True)
        assert store.is_closed

    run(main())


def test_closing_waits_for_what_is_being_changed() -> None:
    async def main() -> None:
        tier, store = tier_of()
        store.mode, store.delay = "late", 0.2
        deleting = asyncio.ensure_future(tier.delete(["key"]))
        await settle(3)
        deleting.cancel()
        await tier.aclose()
        assert isinstance(store.data["key"], int)
        assert tier.stats().pending == 0

    run(main())


def test_closing_takes_no_longer_than_it_may_while_the_store_hangs() -> None:
    async def main() -> None:
        tier, store = tier_of()
        store.mode = "hung"
        await tier.delete(["key"])
        begun = now()
        await tier.aclose(0.1, close_store=True)
        assert now() - begun == pytest.approx(0.35)
        assert tier.stats().pending == 1
        await settle()

    run(main())


def test_it_goes_on_in_another_loop_when_the_first_is_closed() -> None:
    store = ModelStore()
    clock = Clock(1e6)  # above that of any loop, which the store goes by
    tier = Tier(store, timer=clock, clock=Clock(WALL))

    async def before() -> None:
        await tier.set([("key", record())])
        store.mode = "down"
        assert await tier.delete(["key"]) is False

    async def after() -> None:
        store.mode = "ok"
        assert values(await tier.read(["key"])) == [None]
        await asyncio.sleep(1.0)
        assert store.valid("key") is None
        assert tier.stats().pending == 0
        await tier.aclose()

    asyncio.run(before())
    run(after())


def test_what_is_being_changed_when_its_loop_ends_is_made_up_for_in_the_next() -> None:
    store = ModelStore()
    tier = Tier(store, timer=Clock(1e6), clock=Clock(WALL))

    async def before() -> None:
        await tier.set([("key", record())])
        store.mode = "hung"
        deleting = asyncio.ensure_future(tier.delete(["key"]))
        await settle(3)
        assert not deleting.done()

    async def after() -> None:
        store.mode = "ok"
        assert values(await tier.read(["key"])) == [None]
        await tier.aclose()
        assert store.valid("key") is None

    asyncio.run(before())
    assert tier.stats().pending == 1
    assert tier._recovery._task is None
    run(after())


def test_closing_does_not_wait_for_what_a_closed_loop_has_left() -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    store = ModelStore()
    tier = Tier(store)
    tasks: list[object] = []

    async def before() -> None:
        store.mode = "hung"
        tasks.append(asyncio.ensure_future(tier.delete(["key"])))
        await settle(3)

    loop.run_until_complete(before())
    loop.close()
    assert len(tier._writes) == 1

    async def after() -> None:
        store.mode = "ok"
        await tier.aclose()
        assert isinstance(store.data["key"], int)

    run(after())
    assert tier.stats().pending == 0


def test_a_forked_process_begins_anew() -> None:
    async def main() -> None:
        tier, store = tier_of()
        store.mode = "hung"
        deleting = asyncio.ensure_future(tier.delete(["key"]))
        await settle(3)
        left = tier.begin_anew()
        assert left is not None
        assert tier._writes == set()
        await asyncio.wait([deleting])
        await heal(tier, store)

    run(main())
