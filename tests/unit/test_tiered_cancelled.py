"""`TieredCache`: whoever is cancelled, at any step, leaves a cache as good as new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import pytest
from tests.loading import Source, settle
from tests.steps import SteppedLoop, run
from tests.stores import Tiers

from penstock import TieredCache

CALLS: dict[str, Callable[[TieredCache], Awaitable[object]]] = {
    "get": lambda cache: cache.get("k"),
    "get_many": lambda cache: cache.get_many(["k", "other"]),
    "get_or_load": lambda cache: cache.get_or_load("k", Source(0.1)),
    "set": lambda cache: cache.set("k", "set"),
    "delete": lambda cache: cache.delete("k"),
    "clear": lambda cache: cache.clear(),
}


@pytest.mark.parametrize("l1", [None, 100])
@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_may_be_cancelled_at_any_step(call: str, prompt: bool, l1: int | None) -> None:
    async def cancelled(step: int) -> bool:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        async with Tiers(2, prompt=prompt, l1=l1) as tiers:
            cache = tiers.cache

            async def use() -> None:
                await CALLS[call](cache)

            task = loop.create_task(use())
            loop.in_steps(step + 1, task.cancel)
            await asyncio.wait([task])
            await settle(50)
            await asyncio.sleep(1)
            assert len({str(store) for store in tiers.stored("k")}) <= 1, "in some stores only"
            found = await cache.get("k")
            assert found in {None, "set", "k 1"}
            again = Source()
            assert await cache.get_or_load("k", again) == (found or "k 1")
            assert len(again.calls) == (found is None)
            assert await cache.set("k", "new")
            assert await cache.get("k") == "new"
            assert await cache.delete("k")
            assert await cache.get("k") is None
            return task.cancelled()

    for step in count():
        if not run(cancelled(step), collect=step == 0):
            assert step > 1
            return
