"""`TieredCache`: loads that take long, and who waits for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.loading import HeldLoader, Source, settle
from tests.steps import now, run
from tests.stores import Tiers

from penstock.errors import LoadTimeout

# timeouts


def test_value_past_its_time_serves_when_loading_takes_long() -> None:
    async def main() -> None:
        async with Tiers(ttl=10, stale_for=100, soft_timeout=1) as tiers:
            source = Source(5)
            await tiers.cache.get_or_load("k", source)
            await asyncio.sleep(20)
            start = now()
            assert await tiers.cache.get_or_load("k", source) == "k 1"
            assert now() - start == pytest.approx(1)
            assert await tiers.cache.get_or_load("k", source) == "k 1"
            assert now() - start == pytest.approx(1)
            await asyncio.sleep(5)
            assert await tiers.cache.get_or_load("k", source) == "k 2"
            assert tiers.stored("k") == ["k 2"]
            stats = tiers.cache.stats()
            assert (stats.soft_timeouts, stats.stale_served, stats.loads) == (1, 1, 2)

    run(main())


def test_without_such_a_value_the_call_waits() -> None:
    async def main() -> None:
        async with Tiers(soft_timeout=1) as tiers:
            assert await tiers.cache.get_or_load("k", Source(5)) == "k 1"
            assert tiers.cache.stats().soft_timeouts == 0

    run(main())


def test_call_ends_when_loading_takes_too_long_and_the_load_goes_on() -> None:
    async def main() -> None:
        async with Tiers(hard_timeout=1) as tiers:
            source = Source(5)
            start = now()
            with pytest.raises(LoadTimeout, match="loading 'k' took longer than 1 s") as caught:
                await tiers.cache.get_or_load("k", source)
            assert caught.value.seconds == 1
            assert now() - start == pytest.approx(1)
            with pytest.raises(TimeoutError):
                await tiers.cache.get_or_load("k", source)
            assert await tiers.cache.get_or_load("k", source, hard_timeout=None) == "k 1"
            assert now() - start == pytest.approx(5)
            assert source.calls == ["k"]
            assert tiers.cache.stats().hard_timeouts == 2

    run(main())


def test_hard_timeout_prefers_a_value_past_its_time() -> None:
    async def main() -> None:
        async with Tiers(ttl=10, stale_for=100, hard_timeout=6) as tiers:
            source = Source(5)
            await tiers.cache.get_or_load("k", source)
            await asyncio.sleep(20)
            source.seconds = 10
            start = now()
            assert await tiers.cache.get_or_load("k", source) == "k 1"
            assert now() - start == pytest.approx(6)

    run(main())


def test_load_that_nobody_waits_for_any_more_is_cancelled_in_the_end() -> None:
    async def main() -> None:
        async with Tiers(hard_timeout=1, completion_timeout=10) as tiers:
            load = HeldLoader()
            with pytest.raises(LoadTimeout):
                await tiers.cache.get_or_load("k", load)
            await asyncio.sleep(9)
            # Whoever waits keeps it alive, and then the time begins anew.
            with pytest.raises(LoadTimeout):
                await tiers.cache.get_or_load("k", load, hard_timeout=5)
            assert load.calls == ["k"]
            await asyncio.sleep(9)
            assert load.cancelled == []
            await asyncio.sleep(2)
            assert load.cancelled == [1]

    run(main())


def test_timeouts_leave_no_timers_behind() -> None:
    async def main() -> None:
        async with Tiers(soft_timeout=1000, hard_timeout=1000) as tiers:
            for key in "abc":
                await tiers.cache.get_or_load(key, Source())
        await settle()
        loop: Any = asyncio.get_running_loop()
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []

    run(main())


def test_waiting_calls_get_the_value_when_it_comes_in_time() -> None:
    async def main() -> None:
        async with Tiers(ttl=10, stale_for=100, soft_timeout=10, hard_timeout=20) as tiers:
            source = Source(5)
            await tiers.cache.get_or_load("k", source)
            await asyncio.sleep(20)
            assert await tiers.cache.get_or_load("k", source) == "k 2"

    run(main())
