"""Tier: what is asked of a store, within its time, and what it does not take."""

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
from tests.steps import now, run

from penstock.caching._tier import Tier
from penstock.caching._tier_stats import TIER_FIELDS, TierStats
from penstock.stores import Reading

if TYPE_CHECKING:
    pass


def test_what_is_set_is_read() -> None:
    async def main() -> None:
        tier, store = tier_of()
        assert await tier.set([("a", record(1)), ("b", record(2))]) == [True, True]
        reading = await tier.read(["a", "x", "b"])
        assert values(reading) == [1, None, 2]
        assert reading is not None
        assert reading.base == store.clock
        assert await tier.delete(["a"])
        assert values(await tier.read(["a", "b"])) == [None, 2]
        assert store.calls == ["set_many", "get_many", "delete_many", "get_many"]

    run(main())


def test_tags_and_patterns_are_invalidated() -> None:
    async def main() -> None:
        tier, _ = tier_of()
        await tier.set([("a", record(tags=("t",))), ("b", record()), ("c", record())])
        assert await tier.invalidate(["t"], ["b*"])
        assert values(await tier.read(["a", "b", "c"])) == [None, None, "value"]

    run(main())


def test_what_changed_since_the_miss_is_not_filled() -> None:
    async def main() -> None:
        tier, _ = tier_of()
        reading = await tier.read(["a", "b"])
        assert reading is not None
        await tier.set([("a", record("new"))])
        await tier.fill([("a", record("old")), ("b", record("b"))], reading.base)
        assert values(await tier.read(["a", "b"])) == ["new", "b"]
        assert tier.stats().fills == 1

    run(main())


def test_nothing_is_asked_when_there_is_nothing_to_ask() -> None:
    async def main() -> None:
        tier, store = tier_of()
        assert await tier.set([]) == []
        assert await tier.delete([])
        assert await tier.invalidate()
        await tier.fill([], 0)
        assert store.calls == []

    run(main())


# --- time ---


@pytest.mark.parametrize("mode", ["hung", "deaf", "mute", "late"])
def test_no_store_keeps_anybody_waiting_for_longer_than_the_timeout(mode: str) -> None:
    async def main() -> None:
        tier, store = tier_of(timeout=0.25)
        store.mode, store.delay = mode, 3.0
        begun = now()
        assert await tier.read(["key"]) is None
        assert now() - begun == pytest.approx(0.25)
        assert await tier.set([("key", record())]) == [False]
        assert await tier.delete(["key"]) is False
        assert await tier.invalidate(["tag"]) is False
        await tier.fill([("other", record())], 0)
        assert now() - begun == pytest.approx(1.25)
        stats = tier.stats()
        assert stats.timeouts >= 5
        assert stats.errors == stats.timeouts
        assert stats.last_error == "StoreTimeout: no answer in 0.25 s"
        await heal(tier, store)

    run(main())


def test_a_read_that_is_slow_and_in_time_is_answered() -> None:
    async def main() -> None:
        tier, store = tier_of(timeout=0.25)
        await tier.set([("key", record())])
        store.mode, store.delay = "slow", 0.24
        assert values(await tier.read(["key"])) == ["value"]
        assert tier.stats().read_seconds == pytest.approx(0.24)

    run(main())


def test_an_answer_that_is_there_counts_after_the_loop_was_kept_from_running() -> None:
    """A timer that is due is run before what the store has to do with its answer."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        tier, store = tier_of(timeout=0.25)
        await tier.set([("key", record())])
        store.mode, store.delay = "slow", 0.2
        reading = asyncio.ensure_future(tier.read(["key"]))
        await settle(3)
        loop.jump(5.0)  # somebody blocked it
        assert values(await reading) == ["value"]
        store.mode = "hung"
        reading = asyncio.ensure_future(tier.read(["key"]))
        await settle(3)
        loop.jump(5.0)
        begun = now()
        assert await reading is None
        assert now() - begun == pytest.approx(0.05)

    run(main())


def test_the_deadline_of_who_asks_does_not_reach_the_store() -> None:
    from penstock.flow import deadline, remaining

    async def main() -> None:
        tier, store = tier_of()
        seen: list[float | None] = []

        async def get_many(keys: object) -> Reading:
            seen.append(remaining())
            return Reading([None], 0)

        store.get_many = get_many
        with deadline(0.01):
            await tier.read(["key"])
        assert seen == [None]

    run(main())


# --- what a store does not take ---


def test_what_cannot_be_encoded_is_left_out_of_a_fill() -> None:
    async def main() -> None:
        tier, store = tier_of()
        store.refused["b"] = TypeError("no")
        await tier.fill([(key, record(key)) for key in "abc"], 5)
        assert sorted(store.data) == ["a", "c"]
        await tier.fill([("b", record())], 5)
        stats = tier.stats()
        assert (stats.fills, stats.errors, stats.state) == (2, 2, "closed")
        with pytest.raises(TypeError, match="no"):
            tier.encode("b", record())

    run(main())


def test_values_that_are_not_taken_are_no_fault_of_the_store() -> None:
    async def main() -> None:
        tier, store = tier_of()
        store.refused["a"] = ValueError("too large")
        for _ in range(20):
            assert await tier.set([("a", record())]) == [False]
            await tier.fill([("a", record())], 0)
        assert tier.stats().state == "closed"
        await tier.aclose()

    run(main())


def test_what_is_not_taken_replaces_what_was_there_by_nothing() -> None:
    async def main() -> None:
        tier, store = tier_of()
        await tier.set([("a", record("old")), ("b", record("old")), ("c", record("old"))])
        await asyncio.sleep(0.001)
        store.refused["a"] = ValueError("too large")
        assert await tier.set([("a", record("new"))]) == [False]
        del store.refused["a"]
        store.skipped.add("b")
        assert await tier.set([("b", record("new")), ("c", record("new"))]) == [False, True]
        assert values(await tier.read(["a", "b", "c"])) == [None, None, "new"]
        await asyncio.sleep(1.0)
        assert store.valid("a") is store.valid("b") is None
        assert tier.stats().pending == 0

    run(main())


# --- figures ---


def test_hits_are_what_is_fresh() -> None:
    async def main() -> None:
        clock = Clock(WALL)
        tier, _ = tier_of(clock=clock)
        await tier.set([("a", record()), ("b", record(ttl=None)), ("c", record(stale_for=100.0))])
        await tier.read(["a", "b", "c", "d"])
        clock.advance(61.0)
        await tier.read(["b", "c", "d"])
        stats = tier.stats()
        assert (stats.reads, stats.hits, stats.misses) == (2, 4, 3)
        assert stats.hit_ratio == 4 / 7

    run(main())


def test_its_figures_are_described_and_named() -> None:
    async def main() -> None:
        tier, store = tier_of(name="users:model")
        store.undecodable = 3
        stats = tier.stats()
        assert (tier.name, stats.name, stats.undecodable) == ("users:model", "model", 3)
        assert stats.hit_ratio == 0.0
        assert repr(tier) == "Tier('model', state='closed')"
        for field, _, _ in TIER_FIELDS:
            assert isinstance(getattr(stats, field), int | float)

    run(main())
    assert TierStats(state="open").open == 1
    assert TierStats(state="half_open").half_open == 1


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), "1", None])
def test_a_timeout_is_a_positive_number_of_seconds(timeout: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^timeout must be"):
        Tier(ModelStore(), timeout=timeout)
