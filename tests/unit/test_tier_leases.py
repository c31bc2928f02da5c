"""Tier: leases are passed on, and none is left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.loading import settle
from tests.model_store import LeasingStore
from tests.model_tiers import (
    heal,
    tier_of,
)
from tests.steps import now, run, steps_of

from penstock.stores import Grant

if TYPE_CHECKING:
    pass


def test_a_store_without_leases_has_nobody_wait() -> None:
    async def main() -> None:
        tier, _ = tier_of()
        assert not tier.leasing
        assert not tier.notifying
        assert await tier.acquire("key", 10.0) == Grant(0, 0.0)
        await tier.released("key", 10.0)
        await tier.release("key", 5)

    run(main())


def test_a_lease_is_passed_on() -> None:
    async def main() -> None:
        tier, store = tier_of(LeasingStore())
        assert tier.leasing
        grant = await tier.acquire("key", 10.0)
        assert grant == Grant(store.holders["key"])
        assert await tier.acquire("key", 10.0) == Grant(0, 10.0)
        waiting = asyncio.ensure_future(tier.released("key", 10.0))
        await settle()
        assert not waiting.done()
        await tier.release("key", grant.token)
        await waiting
        assert store.holders == {}

    run(main())


def test_who_waits_for_a_lease_waits_no_longer_than_he_wants() -> None:
    async def main() -> None:
        tier, store = tier_of(LeasingStore())
        begun = now()
        await tier.released("key", 3.0)
        assert now() - begun == pytest.approx(3.0)
        await tier.released("key", 0.0)
        store.mode = "down"
        await tier.released("key", 3.0)
        assert now() - begun == pytest.approx(3.0)
        store.mode = "ok"
        waiting = asyncio.ensure_future(tier.released("key", 3.0))
        await settle()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert tier.stats().errors == 0

    run(main())


@pytest.mark.parametrize("mode", ["down", "hung", "deaf"])
def test_without_an_answer_there_is_no_lease_and_nothing_to_wait_for(mode: str) -> None:
    async def main() -> None:
        tier, store = tier_of(LeasingStore())
        store.mode = mode
        assert await tier.acquire("key", 10.0) == Grant(0, 0.0)
        await tier.release("key", 5)
        await heal(tier, store)

    run(main())


@pytest.mark.parametrize("mode", ["ok", "slow", "late"])
def test_a_lease_that_nobody_waits_for_any_more_is_given_back(mode: str) -> None:
    async def main() -> None:
        tier, store = tier_of(LeasingStore())
        store.mode, store.delay = mode, 0.1
        is_done = False
        try:
            grant = await tier.acquire("key", 10.0)
            is_done = True
            await tier.release("key", grant.token)
        finally:
            await asyncio.sleep(1.0)
            assert store.holders == {}, is_done

    for _, task in steps_of(main):
        assert task.cancelled() or task.exception() is None


def test_a_lease_that_comes_too_late_is_given_back() -> None:
    """A store that does not let itself be cancelled goes on, and holds it."""

    async def main() -> None:
        tier, store = tier_of(LeasingStore())
        store.mode = "deaf"
        assert await tier.acquire("key", 10.0) == Grant(0, 0.0)
        store.mode = "ok"
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await settle()
        assert store.calls == ["acquire", "release"]
        assert store.holders == {}

    run(main())


def test_a_store_that_gives_no_leases_is_read_all_the_same() -> None:
    async def main() -> None:
        tier, store = tier_of(LeasingStore())
        store.mode = "refusing"
        for _ in range(20):
            assert await tier.acquire("key", 10.0) == Grant(0, 0.0)
        assert await tier.read(["key"]) is not None

    run(main())
