"""Cancelled calls: they end at once, in an attempt or between two, and stay cancelled."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from tests.loading import settle
from tests.retrying import Flaky, Oops, Steady, now

from penstock.bench._virtual_loop import VirtualLoop, run
from penstock.flow._budget import RetryBudget
from penstock.flow._deadline import remaining
from penstock.flow._retry import retry
from penstock.flow._retry_stats import RetryStats

#: More steps than a call below takes.
STEPS = range(40)

#: The ways in which a call is made.
OPTIONS: dict[str, Any] = {
    "plain": {},
    "with a budget": {"budget": RetryBudget(min_per_second=1e6)},
    "with a timeout": {"timeout": 50},
    "with a deadline": {"deadline": 500},
    "with all": {"timeout": 50, "deadline": 500, "budget": RetryBudget(min_per_second=1e6)},
}


@pytest.fixture(params=OPTIONS)
def options(request: pytest.FixtureRequest) -> Any:
    return OPTIONS[request.param]


async def outcome(task: asyncio.Task[Any]) -> object:
    """What a task returns or raises."""
    try:
        return await task
    except BaseException as error:
        return type(error)


@pytest.mark.parametrize("step", STEPS)
def test_at_any_step_a_cancelled_call_ends_at_once(step: int, options: Any) -> None:
    running = []

    async def fail() -> None:
        running.append("attempt")
        try:
            await settle(3)
            raise Oops
        finally:
            running.pop()

    async def sleep(_: float) -> None:
        running.append("sleep")
        try:
            await settle(3)
        finally:
            running.pop()

    async def main() -> None:
        call = retry(4, sleep=sleep, **options)(fail)
        task = asyncio.ensure_future(call())
        await settle(step)
        if task.done():
            assert await outcome(task) is Oops
            assert call.stats().failures == 1
            return
        task.cancel()
        await settle(1)  # no more
        assert task.done()
        assert await outcome(task) is asyncio.CancelledError
        assert running == []
        assert task.cancelled()
        assert call.stats().cancelled == (0 if step == 0 else 1)  # it had not begun

    run(main())


def test_all_of_these_steps_are_steps_of_a_call() -> None:
    async def main() -> None:
        async def fail() -> None:
            await settle(3)
            raise Oops

        async def sleep(_: float) -> None:
            await settle(3)

        task = asyncio.ensure_future(retry(4, sleep=sleep, timeout=50)(fail)())
        await settle(STEPS[-20])
        assert not task.done()
        await settle(20)
        assert await outcome(task) is Oops

    run(main())


def test_a_delay_is_left_at_once(options: Any) -> None:
    flaky = Flaky(*[Oops] * 9)

    async def main() -> None:
        call = retry(9, base=30, cap=30, rng=Steady(), **options)(flaky.call_later)
        task = asyncio.ensure_future(call())
        await asyncio.sleep(70)
        assert flaky.calls == 3
        task.cancel()
        start = now()
        assert await outcome(task) is asyncio.CancelledError
        assert now() == start
        assert flaky.calls == 3
        expected = RetryStats(calls=1, cancelled=1, retries=2, delay_seconds=60.0)
        assert call.stats() == expected

    run(main())


@pytest.mark.parametrize("moment", [50.0, 50.5])
def test_a_cancellation_beside_a_timeout_is_no_timeout(moment: float) -> None:
    calls = []

    async def hang() -> None:
        calls.append(now())
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)

    async def main() -> None:
        call = retry(9, timeout=50, base=0)(hang)
        task = asyncio.ensure_future(call())
        asyncio.get_running_loop().call_at(now() + moment, task.cancel)
        assert await outcome(task) is asyncio.CancelledError
        assert calls == [1000.0]

    run(main())


def test_a_call_that_swallows_its_cancellation_may_still_fail_and_be_retried() -> None:
    flaky = Flaky(Oops)

    async def stubborn() -> int:
        if not flaky.calls:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(100)
        return await flaky.call_later()

    async def main() -> None:
        task = asyncio.ensure_future(retry(base=0)(stubborn)())
        await settle()
        task.cancel()
        assert await task == 2

    run(main())


def test_a_group_of_errors_with_a_cancellation_in_it_is_not_retried() -> None:
    group = BaseExceptionGroup("both", [Oops(), asyncio.CancelledError()])
    flaky = Flaky(group)
    with pytest.raises(BaseExceptionGroup) as caught:
        run(retry(flaky.call_later)())
    assert caught.value is group
    assert flaky.calls == 1


@pytest.mark.parametrize("hung_in", ["the attempt", "the delay", "the hook"])
def test_a_loop_that_closes_leaves_nothing(hung_in: str, options: Any) -> None:
    class Thing:
        pass

    things: weakref.WeakSet[Thing] = weakref.WeakSet()

    def hangs(where: str) -> Callable[..., Coroutine[Any, Any, None]]:
        async def hang(*_: object) -> None:
            if where == hung_in:
                await asyncio.get_running_loop().create_future()
            elif where == "the attempt":
                thing = Thing()
                things.add(thing)
                raise Oops

        return hang

    async def main() -> None:
        again = retry(sleep=hangs("the delay"), on_retry=hangs("the hook"), **options)
        call = again(hangs("the attempt"))
        task = asyncio.ensure_future(call())
        await settle(20)
        assert not task.done()
        task._log_destroy_pending = False  # type: ignore[attr-defined]

    loop = VirtualLoop()
    loop.run_until_complete(main())
    loop.close()
    del loop
    gc.collect()
    assert not things
    assert remaining() is None
