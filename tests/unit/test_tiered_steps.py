"""`TieredCache`: whoever is cancelled at whatever step, tiers are right and others get theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest
from tests.loading import settle
from tests.steps import now, run
from tests.stores import Tiers

from penstock import TieredCache

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "leases": {"lease": 10},
    "prompt": {"prompt": True, "lease": 10},
    "backplane": {"backplane": True},
    "no memory": {"l1": None},
    "timeouts": {"soft_timeout": 5, "hard_timeout": 9, "stale_for": 100, "lease": 10},
}


class Seen:
    """What a call that was cancelled at some step got, and another one beside it."""

    def __init__(self) -> None:
        self.call: asyncio.Task[object]
        self.beside: object = None
        self.loads: list[str] = []

    async def load(self, key: str) -> str:
        self.loads.append(key)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return f"loaded {key}"


Act = Callable[[TieredCache, Seen], Awaitable[object]]


async def go_through(
    step: int,
    options: dict[str, Any],
    before: Callable[[TieredCache], Awaitable[object]],
    act: Act,
    after: Callable[[Tiers], Awaitable[None]],
    beside: Act | None,
) -> tuple[Seen, bool]:
    """Cancel *act* before that step; return what came of it, and whether it was in time."""
    loop: Any = asyncio.get_running_loop()
    cancelled: list[bool] = []
    seen = Seen()
    async with Tiers(2, **options) as tiers:
        await before(tiers.cache)
        other = None if beside is None else beside(tiers.cache, seen)
        seen.call = call = loop.create_task(act(tiers.cache, seen))
        loop.in_steps(step + 1, lambda: cancelled.append(call.cancel()))
        await asyncio.wait([call])
        seen.beside = None if other is None else await other
        await settle(60)
        assert tiers.cache._loads.flights == {}
        assert tiers.cache._core.writing == {}
        assert tiers.cache._core.tasks == set()
        assert tiers.cache.stats().writing == 0
        await after(tiers)
    return seen, cancelled == [True]


def each_step(
    options: str,
    before: Callable[[TieredCache], Awaitable[object]],
    act: Act,
    after: Callable[[Tiers], Awaitable[None]],
    expected: object,
    beside: Act | None = None,
) -> list[Seen]:
    """Cancel *act* before each of its steps: it gets what is expected, or is cancelled."""
    found = []
    for step in count():
        seen, is_in_time = run(
            go_through(step, OPTIONS[options], before, act, after, beside), collect=step % 10 == 0
        )
        assert seen.call.cancelled() or seen.call.result() == expected
        found.append(seen)
        if not is_in_time:
            break
    assert found[0].call.cancelled()
    assert not found[-1].call.cancelled()
    assert len(found) > 3
    return found


async def nothing(_: TieredCache) -> None:
    pass


async def consistent(tiers: Tiers) -> None:
    """All tiers that have the key have the same."""
    values = {value for value in [tiers.in_memory("k"), *tiers.stored("k")] if value != "nothing"}
    assert len(values) <= 1


@pytest.mark.parametrize("options", OPTIONS)
def test_get(options: str) -> None:
    async def before(cache: TieredCache) -> None:
        await cache.set("k", 1)
        cache._local.cache.clear()

    async def after(tiers: Tiers) -> None:
        await consistent(tiers)
        assert await tiers.cache.get("k") == 1

    def act(cache: TieredCache, _: Seen) -> Awaitable[object]:
        return cache.get("k")

    each_step(options, before, act, after, 1)
    assert all(seen.beside == 1 for seen in each_step(options, before, act, after, 1, act))


@pytest.mark.parametrize("options", OPTIONS)
def test_get_or_load(options: str) -> None:
    async def after(tiers: Tiers) -> None:
        await consistent(tiers)
        # Nobody is kept waiting by what the cancelled one has left.
        start = now()
        assert await tiers.cache.get_or_load("k", lambda _: "loaded k") == "loaded k"
        assert now() - start < 1
        await settle(40)
        assert all(not shared.leases for shared in tiers.shared)
        await consistent(tiers)

    def act(cache: TieredCache, seen: Seen) -> Awaitable[object]:
        return cache.get_or_load("k", seen.load)

    each_step(options, nothing, act, after, "loaded k")
    for seen in each_step(options, nothing, act, after, "loaded k", act):
        assert seen.beside == "loaded k"
        assert seen.loads == ["k"]


@pytest.mark.parametrize("options", OPTIONS)
def test_get_or_load_of_many(options: str) -> None:
    async def load(keys: list[str]) -> dict[str, str]:
        await asyncio.sleep(0)
        return {key: f"loaded {key}" for key in keys}

    async def after(tiers: Tiers) -> None:
        await consistent(tiers)
        assert await tiers.cache.get_or_load("k", lambda _: "loaded k") == "loaded k"

    def act(cache: TieredCache, _: Seen) -> Awaitable[object]:
        return cache.get_or_load_many(["k", "l"], load)

    def single(cache: TieredCache, seen: Seen) -> Awaitable[object]:
        return cache.get_or_load("k", seen.load)

    expected = {"k": "loaded k", "l": "loaded l"}
    each_step(options, nothing, act, after, expected)
    for seen in each_step(options, nothing, act, after, expected, single):
        assert seen.beside == "loaded k"


@pytest.mark.parametrize("options", OPTIONS)
def test_set(options: str) -> None:
    async def before(cache: TieredCache) -> None:
        await cache.set("k", "old")

    async def after(tiers: Tiers) -> None:
        # Whoever was cancelled has begun: all tiers have it.
        await consistent(tiers)
        assert tiers.stored("k") == ["new"] * 2
        assert await tiers.cache.get("k") == "new"
        tiers.forget()
        assert await tiers.cache.get("k") == "new"

    each_step(options, before, lambda cache, _: cache.set("k", "new"), after, True)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("how", ["delete", "tags", "clear"])
def test_delete(how: str, options: str) -> None:
    def act(cache: TieredCache, _: Seen) -> Awaitable[bool]:
        if how == "delete":
            return cache.delete("k")
        return cache.invalidate_tags("t") if how == "tags" else cache.clear()

    async def before(cache: TieredCache) -> None:
        await cache.set("k", "old", tags=["t"])

    async def after(tiers: Tiers) -> None:
        assert tiers.stored("k") == ["nothing"] * 2
        assert await tiers.cache.get("k", "nothing") == "nothing"
        tiers.forget()
        assert await tiers.cache.get("k", "nothing") == "nothing"

    each_step(options, before, act, after, True)


@pytest.mark.parametrize("options", ["plain", "leases", "backplane"])
def test_get_or_load_while_the_key_is_deleted(options: str) -> None:
    async def before(cache: TieredCache) -> None:
        await cache.set("k", "old")
        cache._local.cache.clear()

    async def after(tiers: Tiers) -> None:
        await consistent(tiers)
        assert await tiers.cache.get("k", "nothing") != "old"

    async def act(cache: TieredCache, seen: Seen) -> object:
        assert await cache.get_or_load("k", seen.load) in {"old", "loaded k"}
        return True

    for seen in each_step(options, before, act, after, True, lambda cache, _: cache.delete("k")):
        assert seen.beside is True


def test_aclose() -> None:
    async def main(step: int) -> bool:
        loop: Any = asyncio.get_running_loop()
        cancelled: list[bool] = []
        seen = Seen()
        tiers = Tiers(2, lease=10, backplane=True)
        loading = tiers.cache.get_or_load("k", seen.load)
        setting = tiers.cache.set("l", 1)
        closing = loop.create_task(tiers.cache.aclose())
        loop.in_steps(step + 1, lambda: cancelled.append(closing.cancel()))
        await asyncio.wait([closing])
        assert step == 0 or tiers.cache.closed
        await tiers.cache.aclose()
        assert tiers.stored("l") == [1, 1]
        assert tiers.stored("k") == ["loaded k"] * 2
        assert all(store.closed for store in tiers.stores)
        assert [await loading, await setting] == ["loaded k", True]
        return cancelled == [True]

    steps = 0
    while run(main(steps)):
        steps += 1
    assert steps > 5
