"""`cached` under the eager task factory: tasks that run until they first wait, at once."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, TypeVar

import pytest
from tests.clock import Clock
from tests.loading import HeldLoader, settle

from penstock import RecursiveLoad, cached

if TYPE_CHECKING:
    from collections.abc import Coroutine

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="there are no eager tasks before Python 3.12"
)

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """Run in a loop whose tasks are eager."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(asyncio.eager_task_factory)
        return runner.run(main)


def test_load_that_never_waits_is_done_at_once() -> None:
    calls = []

    @cached
    async def load(key: str) -> str:
        calls.append(key)
        return key

    async def main() -> None:
        assert await load("a") == "a"
        assert await asyncio.gather(*[load("b") for _ in range(5)]) == ["b"] * 5

    run(main())
    assert calls == ["a", "b"]


def test_concurrent_misses_make_one_load() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        waiters = [asyncio.ensure_future(load("a")) for _ in range(100)]
        await settle()
        assert held.calls == ["a"]
        held.release()
        assert await asyncio.gather(*waiters) == ["a 1"] * 100

    run(main())


@pytest.mark.parametrize("steps", range(3))
def test_failure_reaches_the_caller_and_is_not_logged(
    steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    @cached
    async def load(key: str) -> str:
        await settle(steps)
        raise ValueError(key)

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(ValueError, match="a"):
                await load("a")
        await settle()

    run(main())
    assert caplog.records == []
    assert load.stats().load_failures == 2


@pytest.mark.parametrize("steps", range(3))
def test_own_key_is_a_recursive_load(steps: int) -> None:
    @cached
    async def load(key: str) -> str:
        await settle(steps)
        return await load(key)

    @cached
    async def gather(key: str) -> list[str]:
        await settle(steps)
        return await asyncio.gather(gather(key), asyncio.sleep(0))

    async def main() -> None:
        for function in (load, gather):
            with pytest.raises(RecursiveLoad):
                await function("a")

    run(main())


@pytest.mark.parametrize("steps", range(3))
def test_functions_that_await_each_other_are_a_recursive_load(steps: int) -> None:
    @cached
    async def one(key: str) -> str:
        await settle(steps)
        return await other(key)

    @cached
    async def other(key: str) -> str:
        return await one(key)

    async def main() -> None:
        for function in (one, other):
            with pytest.raises(RecursiveLoad):
                await function("a")

    run(main())


@pytest.mark.parametrize("step", range(8))
def test_waiter_cancelled_at_any_step(step: int) -> None:
    async def main() -> None:
        calls = []

        @cached
        async def load(key: str) -> str:
            calls.append(key)
            await settle(3)
            return key

        waiters = [asyncio.ensure_future(load("a")) for _ in range(2)]
        await settle(step)
        waiters[0].cancel()
        assert await waiters[1] == "a"
        assert calls == ["a"]
        await settle()
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_last_waiter_to_leave_cancels_the_load() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        waiter = asyncio.ensure_future(load("a"))
        await settle()
        waiter.cancel()
        await settle()
        assert held.cancelled == [1]
        again = asyncio.ensure_future(load("a"))
        await settle()
        held.release()
        assert await again == "a 2"

    run(main())


@pytest.mark.parametrize("steps", range(3))
def test_stale_value_is_refreshed(steps: int) -> None:
    clock = Clock()
    calls = []

    @cached(ttl=10, stale=5, timer=clock)
    async def load(key: str) -> int:
        calls.append(key)
        await settle(steps)
        return len(calls)

    async def main() -> None:
        for number in range(1, 5):
            assert await load("a") == number
            clock.advance(10)
            assert await load("a") == number
            await settle()
            assert await load("a") == number + 1
            clock.advance(20)
            load.invalidate("a")
            calls.pop()

    run(main())


@pytest.mark.parametrize("steps", range(3))
def test_failing_refresh_of_a_stale_value_is_logged(
    steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()

    @cached(ttl=10, stale=5, timer=clock)
    async def load(key: str) -> str:
        await settle(steps)
        if clock.now:
            raise ValueError(key)
        return key

    async def main() -> None:
        await load("a")
        clock.advance(10)
        assert await load("a") == "a"
        await settle()

    run(main())
    assert [record.name for record in caplog.records] == ["penstock.caching"]


def test_hit_is_accepted_as_a_coroutine() -> None:
    @cached
    async def load(key: str) -> str:
        return key

    async def main() -> None:
        await load("a")
        assert await asyncio.create_task(load("a")) == "a"
        assert await asyncio.gather(load("a"), load("a")) == ["a", "a"]
        async with asyncio.TaskGroup() as group:
            task = group.create_task(load("a"))
        assert task.result() == "a"

    run(main())
