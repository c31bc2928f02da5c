"""Tier: what comes in between when a store gets what it has missed."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from tests.clock import Clock
from tests.loading import settle
from tests.model_store import ModelStore
from tests.model_tiers import (
    WALL,
    end_of_outage,
    outage,
    record,
    tier_of,
    values,
)
from tests.steps import now, run, steps_of

from penstock import TieredCache

if TYPE_CHECKING:
    pass


def test_changes_say_when_they_were_on_the_clock_that_stores_know() -> None:
    """The timer of the cache may be any other."""

    async def main() -> None:
        store = ModelStore()
        clock = Clock(WALL)
        async with TieredCache(store, ttl=60, timer=Clock(5.0), clock=clock, lease=None) as cache:
            store.mode = "down"
            before = monotonic()
            assert not await cache.set("set", 1)
            assert not await cache.delete("delete")
            assert not await cache.invalidate_tags("tag")
            after = monotonic()
            store.mode = "ok"
            (tier,) = cache._tiers
            await end_of_outage(tier, store)
            assert len(store.replayed) == 3
            assert all(before <= change.at <= after for change in store.replayed)

    run(main())


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.6])
def test_what_is_written_during_a_replay_wins(delay: float) -> None:
    async def main() -> None:
        tier, store = tier_of(timeout=1.0)
        await outage(store, "a", "b")
        await tier.set([("a", record("missed")), ("b", record("missed"))])
        store.mode, store.delay = "late", 0.4
        await store.called("replay")
        await asyncio.sleep(delay)
        assert await tier.set([("a", record("new"))]) == [True]
        assert await tier.delete(["b"])
        await end_of_outage(tier, store)
        await asyncio.sleep(1.0)
        assert values(await tier.read(["a", "b"])) == ["new", None]

    run(main())


def test_what_is_missed_during_a_replay_is_replayed_after_it() -> None:
    async def main() -> None:
        tier, store = tier_of(timeout=1.0)
        await outage(store, "a")
        await tier.set([("a", record("missed"))])
        store.mode, store.delay = "late", 0.4
        await store.called("replay")
        store.mode = "down"
        assert await tier.set([("a", record("newer"))]) == [False]
        await asyncio.sleep(0.5)
        assert store.valid("a").value == "missed"
        assert tier.stats().pending == 1
        store.mode = "ok"
        assert values(await tier.read(["a"])) == [None]
        await end_of_outage(tier, store)
        assert values(await tier.read(["a"])) == ["newer"]
        assert tier.stats().replayed == 1

    run(main())


def test_an_answer_from_before_the_replay_is_not_served_after_it() -> None:
    async def main() -> None:
        tier, store = tier_of(timeout=10.0)
        await outage(store, "a", "b")
        await tier.delete(["a"])
        store.mode, store.delay = "slow", 5.0
        reading = asyncio.ensure_future(tier.read(["a", "b"]))
        await settle()
        await end_of_outage(tier, store)
        assert not reading.done()
        assert values(await reading) == [None, None]
        assert values(await tier.read(["a", "b"])) == [None, "old b"]

    run(main())


@pytest.mark.parametrize("mode", ["down", "hung", "deaf", "mute", "refusing"])
def test_an_outage_in_the_middle_of_a_replay_costs_nothing(mode: str) -> None:
    async def main() -> None:
        tier, store = tier_of(failures=10**6, min_calls=10**6)
        keys = [f"k{number}" for number in range(500)]
        await outage(store)
        for key in keys:
            assert await tier.set([(key, record(key))]) == [False]
            await asyncio.sleep(1e-5)
        store.mode = "ok"
        await store.called("replay")
        store.mode = mode
        await asyncio.sleep(5.0)
        stats = tier.stats()
        assert 0 < stats.pending < 500
        assert stats.pending + stats.replayed == 500
        # What was replayed is served, and the rest is not.
        store.mode = "ok"
        reading = await tier.read(keys)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if "Call" in repr(task):
                task.cancel()  # those of a deaf store
        assert values(reading) == keys[: stats.replayed] + [None] * stats.pending
        await end_of_outage(tier, store)
        assert values(await tier.read(keys)) == keys
        await settle()

    run(main())


def test_a_replay_may_be_cancelled_at_any_step() -> None:
    async def replay(tier: Any, store: ModelStore) -> None:
        await outage(store, "a", "b")
        await tier.delete(["a"])
        await tier.set([("b", record("new"))])
        store.mode, store.delay = "slow", 0.1
        await tier._recovery.attempt()
        await tier._recovery.stop()

    async def main() -> None:
        tier, store = tier_of()
        try:
            await replay(tier, store)
        finally:
            await settle()
            store.mode = "ok"
            has_missed = tier.stats().queued
            await asyncio.shield(asyncio.ensure_future(tier.aclose()))
            await settle()
            assert tier.stats().pending == 0
            if has_missed:
                assert store.valid("a") is None
            if has_missed > 1:
                assert store.valid("b").value == "new"

    for _, task in steps_of(main):
        assert task.cancelled() or task.exception() is None


def test_closing_in_the_middle_of_a_replay_tries_it_once_more() -> None:
    async def main() -> None:
        tier, store = tier_of(timeout=1.0)
        await outage(store, "a")
        await tier.delete(["a"])
        store.mode, store.delay = "slow", 0.4
        await store.called("replay")
        await tier.aclose()
        assert store.calls.count("replay") == 2
        assert tier.stats().pending == 0

    run(main())


def test_closing_during_an_outage_leaves_what_was_missed() -> None:
    async def main() -> None:
        tier, store = tier_of()
        await outage(store, "a")
        await tier.delete(["a"])
        begun = now()
        await tier.aclose()
        assert now() == begun
        assert tier.stats().pending == 1
        await asyncio.sleep(20.0)
        assert "replay" not in store.calls

    run(main())


# --- time ---


@pytest.mark.parametrize(("ttl", "stale_for"), [(5.0, 0.0), (2.0, 3.0)])
def test_a_value_that_is_of_no_use_any_more_is_deleted_instead(
    ttl: float, stale_for: float
) -> None:
    async def main() -> None:
        clock = Clock(WALL)
        tier, store = tier_of(clock=clock)
        await outage(store, "a")
        await tier.set([("a", record("missed", ttl, stale_for=stale_for))])
        await asyncio.sleep(5.0)
        clock.advance(5.0)
        await end_of_outage(tier, store)
        assert [change.kind for change in store.replayed] == ["delete"]
        assert store.valid("a") is None

    run(main())


def test_a_value_that_was_missed_long_ago_is_deleted_instead() -> None:
    """Who deleted it since then may have left no trace."""

    async def main() -> None:
        clock = Clock(WALL)
        tier, store = tier_of(clock=clock, keep_sets=60.0)
        await outage(store, "a")
        await tier.set([("a", record("missed", None))])
        await asyncio.sleep(61.0)
        clock.advance(61.0)
        await tier.set([("b", record("later", None))])
        await end_of_outage(tier, store)
        assert [change.kind for change in store.replayed] == ["delete", "set"]

    run(main())


def test_a_clock_that_is_set_back_makes_nothing_live_longer() -> None:
    async def main() -> None:
        clock = Clock(WALL)
        tier, store = tier_of(clock=clock)
        await outage(store, "a", "b")
        await tier.set([("a", record("missed", 5.0)), ("b", record("missed", 50.0))])
        await asyncio.sleep(5.0)
        clock.advance(-3600.0)
        await end_of_outage(tier, store)
        assert store.valid("a") is None
        assert store.valid("b").remaining(clock.now) <= 45.0

    run(main())


def test_a_clock_that_is_set_forward_makes_values_older() -> None:
    async def main() -> None:
        clock = Clock(WALL)
        tier, store = tier_of(clock=clock)
        await outage(store, "a")
        await tier.set([("a", record("missed", 50.0))])
        clock.advance(3600.0)
        await end_of_outage(tier, store)
        assert store.valid("a") is None

    run(main())
