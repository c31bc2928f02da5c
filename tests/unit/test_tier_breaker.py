"""Tier: a store that fails is left alone, and what it raises reaches nobody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.loading import settle
from tests.model_tiers import (
    record,
    tier_of,
)
from tests.steps import now, run

from penstock.caching._tier import Tier
from penstock.stores import Reading

if TYPE_CHECKING:
    pass


async def fail(tier: Tier, times: int) -> None:
    for _ in range(times):
        assert await tier.read(["key"]) is None


def test_after_five_failures_in_a_row_it_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        tier, store = tier_of()
        store.mode = "down"
        await fail(tier, 5)
        assert tier.stats().state == "open"
        store.calls.clear()
        begun = now()
        await fail(tier, 10)
        assert await tier.set([("key", record())]) == [False]
        assert await tier.delete(["key"]) is False
        assert await tier.invalidate(["tag"]) is False
        await tier.fill([("key", record())], 0)
        assert (now(), store.calls) == (begun, [])
        stats = tier.stats()
        assert (stats.errors, stats.opened, stats.refused, stats.open) == (5, 1, 13, 1)
        store.mode = "ok"
        await tier.aclose()

    run(main())
    assert caplog.messages == ["model is left alone: StoreUnavailable: the model is down"]


def test_four_failures_and_a_success_leave_it_as_it_is() -> None:
    async def main() -> None:
        tier, store = tier_of(min_calls=1000)
        for _ in range(5):
            store.mode = "down"
            await fail(tier, 4)
            store.mode = "ok"
            assert await tier.read(["key"]) is not None
        assert tier.stats().opened == 0

    run(main())


def test_it_opens_when_half_of_ten_calls_fail() -> None:
    async def main() -> None:
        tier, store = tier_of()
        for number in range(10):
            assert tier.stats().state == "closed"
            store.mode = "down" if number % 2 else "ok"
            await tier.read(["key"])
        assert tier.stats().state == "open"

    run(main())


def test_one_call_goes_through_on_trial_after_two_seconds() -> None:
    async def main() -> None:
        tier, store = tier_of()
        store.mode = "down"
        await fail(tier, 5)
        store.calls.clear()
        await asyncio.sleep(1.7)
        await fail(tier, 1)
        assert store.calls == []
        await asyncio.sleep(0.6)
        store.mode, store.delay = "slow", 0.1
        readings = await asyncio.gather(*[tier.read(["key"]) for _ in range(20)])
        assert sum(reading is not None for reading in readings) == 1
        assert store.calls == ["get_many"]
        assert tier.stats().state == "closed"
        assert await tier.read(["key"]) is not None

    run(main())


def test_calls_that_fail_when_it_is_open_already_keep_it_open_no_longer() -> None:
    async def main() -> None:
        tier, store = tier_of(timeout=0.25, open_for=0.5)
        store.mode = "hung"
        early = [asyncio.ensure_future(tier.read(["key"])) for _ in range(5)]
        await asyncio.sleep(0.24)
        late = [asyncio.ensure_future(tier.read(["key"])) for _ in range(5)]
        await asyncio.gather(*early, *late)
        assert tier.stats().errors == 10
        store.mode = "ok"
        await asyncio.sleep(0.25 + 0.55 + 0.05 - 0.49)
        assert await tier.read(["key"]) is not None

    run(main())


def test_a_call_that_has_ended_leaves_no_timer() -> None:
    async def main() -> None:
        tier, _ = tier_of()
        await tier.read(["key"])
        await tier.delete(["key"])
        loop: Any = asyncio.get_running_loop()
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []

    run(main())


def test_whoever_is_cancelled_says_nothing_about_the_store() -> None:
    async def main() -> None:
        tier, store = tier_of(timeout=1.0)
        store.mode = "hung"
        for _ in range(20):
            reading = asyncio.ensure_future(tier.read(["key"]))
            await asyncio.sleep(0.5)
            reading.cancel()
            await asyncio.wait([reading])
            assert reading.cancelled()
        await settle()
        assert store.busy == 0
        stats = tier.stats()
        assert (stats.state, stats.errors, stats.reads) == ("closed", 0, 20)

    run(main())


def test_whoever_is_cancelled_on_trial_makes_room_for_another_one() -> None:
    async def main() -> None:
        tier, store = tier_of(timeout=100.0)
        store.mode = "down"
        await fail(tier, 5)
        await asyncio.sleep(2.5)
        store.mode = "hung"
        reading = asyncio.ensure_future(tier.read(["key"]))
        await settle()
        await fail(tier, 1)
        reading.cancel()
        await asyncio.wait([reading])
        store.mode = "ok"
        assert await tier.read(["key"]) is not None
        assert tier.stats().state == "closed"

    run(main())


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), KeyError("x"), OSError(5)])
def test_whatever_the_store_raises_is_a_miss(error: Exception) -> None:
    async def main() -> None:
        tier, store = tier_of()

        async def get_many(keys: object) -> Reading:
            raise error

        store.get_many = get_many
        assert await tier.read(["key"]) is None
        assert tier.stats().errors == 1

    run(main())


def test_a_store_that_is_no_coroutine_function_is_as_good_as_one_that_fails() -> None:
    async def main() -> None:
        tier, store = tier_of()
        store.get_many = lambda keys: Reading([None], 0)
        assert await tier.read(["key"]) is None
        store.get_many = None
        assert await tier.read(["key"]) is None

    run(main())
