"""`map_concurrent`: what it returns, what it is told, and how many calls run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from tests.loading import settle
from tests.steps import now, run, tasks_left

from penstock.errors import DeadlineExceeded
from penstock.flow._deadline import deadline, remaining
from penstock.flow._limiter import Limiter
from penstock.flow._map import map_concurrent


async def double(number: int) -> int:
    await asyncio.sleep(1)
    return 2 * number


class Gauge:
    """A coroutine function that knows how many of its calls run."""

    def __init__(self, seconds: Callable[[int], float] = lambda _: 1.0) -> None:
        self.seconds = seconds
        self.running = self.most = 0
        self.started: list[int] = []

    async def __call__(self, number: int) -> int:
        self.started.append(number)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds(number))
        finally:
            self.running -= 1
        return number


# What comes out


def test_awaiting_it_gives_the_list_of_results_in_the_order_of_the_items() -> None:
    async def main() -> None:
        gauge = Gauge(lambda number: 5.0 - number)
        assert await map_concurrent(gauge, range(5), limit=5) == [0, 1, 2, 3, 4]

    run(main())


def test_unordered_results_come_as_calls_end() -> None:
    async def main() -> None:
        gauge = Gauge(lambda number: 5.0 - number)
        assert await map_concurrent(gauge, range(5), limit=5, ordered=False) == [4, 3, 2, 1, 0]

    run(main())


def test_no_items_give_no_results() -> None:
    async def main() -> None:
        assert await map_concurrent(double, [], limit=3) == []
        assert [result async for result in map_concurrent(double, [], limit=3)] == []

    run(main())


def test_none_is_a_result_and_an_item() -> None:
    async def identity(item: object) -> object:
        return item

    async def main() -> None:
        assert await map_concurrent(identity, [None, None], limit=1) == [None, None]

    run(main())


def test_calls_run_at_once_up_to_the_limit() -> None:
    async def main() -> None:
        gauge = Gauge()
        start = now()
        assert await map_concurrent(gauge, range(10), limit=4) == list(range(10))
        assert now() - start == 3.0
        assert gauge.most == 4
        assert gauge.started == list(range(10))

    run(main())


def test_a_slow_call_holds_up_no_other() -> None:
    async def main() -> None:
        gauge = Gauge(lambda number: 9.0 if number == 0 else 1.0)
        start = now()
        await map_concurrent(gauge, range(10), limit=2)
        assert now() - start == 9.0

    run(main())


def test_one_by_one_with_a_limit_of_one() -> None:
    async def main() -> None:
        gauge = Gauge()
        await map_concurrent(gauge, range(3), limit=1)
        assert gauge.most == 1

    run(main())


def test_a_limit_far_above_the_number_of_items_costs_nothing() -> None:
    async def main() -> None:
        waiting = asyncio.ensure_future(map_concurrent(double, range(3), limit=10**9))
        await settle()
        assert tasks_left() == 1 + 3
        assert await waiting == [0, 2, 4]

    run(main())


@pytest.mark.parametrize(
    "function",
    [
        double,
        partial(double),
        lambda number: double(2 * number),
        lambda number: asyncio.ensure_future(double(number)),
        Gauge(),
    ],
    ids=["coroutine function", "partial", "lambda", "future", "object"],
)
def test_anything_that_returns_an_awaitable_will_do(
    function: Callable[[int], Awaitable[int]],
) -> None:
    async def main() -> None:
        assert await map_concurrent(function, [0, 0], limit=2) == [0, 0]

    run(main())


def test_it_can_be_gathered_and_waited_for() -> None:
    async def main() -> None:
        maps = [map_concurrent(double, [number], limit=1) for number in range(3)]
        assert await asyncio.gather(*maps) == [[0], [2], [4]]
        assert await asyncio.wait_for(map_concurrent(double, [1], limit=1), 2) == [2]

    run(main())


def test_nothing_is_called_before_it_is_awaited() -> None:
    async def main() -> None:
        taken: list[int] = []

        def numbers() -> Iterator[int]:
            for number in range(3):
                taken.append(number)
                yield number

        doubled = map_concurrent(double, numbers(), limit=3)
        await settle()
        assert taken == []
        assert await doubled == [0, 2, 4]

    run(main())


def test_a_map_that_is_never_awaited_is_dropped_in_silence() -> None:
    map_concurrent(double, [1], limit=1)  # a task that was cancelled early looks the same

    async def main() -> None:
        task = asyncio.ensure_future(map_concurrent(double, [1], limit=1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_it_is_read_once() -> None:
    async def main() -> None:
        doubled = map_concurrent(double, [1], limit=1)
        assert await doubled == [2]
        with pytest.raises(RuntimeError, match=r"^map_concurrent\(\) was used already, by await$"):
            await doubled
        with pytest.raises(RuntimeError, match=r"^map_concurrent\(\) is being read already$"):
            await anext(doubled)
        doubled = map_concurrent(double, [1, 2], limit=1)
        assert await anext(doubled) == 2
        with pytest.raises(RuntimeError, match="used already, by async for"):
            await doubled
        assert [result async for result in doubled] == [4]

    run(main())


def test_calls_that_never_wait_leave_the_loop_its_turns() -> None:
    async def main() -> None:
        turns = 0
        calls = 0

        async def at_once(number: int) -> int:
            nonlocal calls
            calls += 1
            return number

        async def other() -> None:
            nonlocal turns
            while calls < 5000:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        await map_concurrent(at_once, range(5000), limit=20)
        await task
        assert turns > 5000 / (128 + 20) / 2

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks cannot start eagerly")
@pytest.mark.parametrize("limit", [3, Limiter(3)])
def test_tasks_that_start_eagerly_change_nothing(limit: int | Limiter) -> None:
    async def at_once(number: int) -> int:
        return number

    async def numbers() -> AsyncIterator[int]:
        for number in range(3000):
            yield number

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        assert await map_concurrent(at_once, range(3000), limit=limit) == list(range(3000))
        assert await map_concurrent(at_once, numbers(), limit=limit) == list(range(3000))
        gauge = Gauge()
        assert await map_concurrent(gauge, range(10), limit=limit) == list(range(10))
        assert gauge.most == 3
        assert gauge.started == list(range(10))

    run(main())


def test_calls_start_in_the_order_of_the_items() -> None:
    async def main() -> None:
        started: list[int] = []

        async def wait_for_some(number: int) -> None:
            started.append(number)
            if number % 3 == 0:
                await asyncio.sleep(number % 7)

        await map_concurrent(wait_for_some, range(500), limit=5, ordered=False)
        assert started == list(range(500))

    run(main())


# Context variables

var: ContextVar[int] = ContextVar("var", default=0)


def test_calls_see_the_context_of_the_reader_and_not_of_each_other() -> None:
    async def main() -> None:
        async def count_up(_: int) -> int:
            var.set(var.get() + 1)
            await asyncio.sleep(0)
            return var.get()

        var.set(10)
        assert await map_concurrent(count_up, range(50), limit=3) == [11] * 50
        assert var.get() == 10

    run(main())


def test_values_that_cannot_be_compared_do_no_harm() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

        __hash__ = None  # type: ignore[assignment]

    odd: ContextVar[object] = ContextVar("odd")

    async def set_it(number: int) -> int:
        before = odd.get()
        odd.set(Odd())
        assert before is first
        return number

    first = Odd()

    async def main() -> None:
        odd.set(first)
        assert await map_concurrent(set_it, range(5), limit=2) == list(range(5))

    run(main())


# Deadlines


def test_the_ambient_deadline_holds_for_the_whole() -> None:
    async def main() -> None:
        gauge = Gauge()
        start = now()
        with deadline(2.5), pytest.raises(DeadlineExceeded, match=r"^the deadline of 2.5 s is"):
            await map_concurrent(gauge, range(100), limit=2, on_error="skip")
        assert now() - start == 2.5
        assert gauge.running == 0
        assert gauge.started == list(range(6))

    run(main())


def test_a_deadline_that_cuts_off_is_what_the_block_raises() -> None:
    async def main() -> None:
        gauge = Gauge()
        with pytest.raises(DeadlineExceeded, match=r"^the deadline of 2.5 s is over$"):
            async with deadline(2.5):
                await map_concurrent(gauge, range(100), limit=2)
        assert gauge.running == 0

    run(main())


def test_nothing_is_taken_when_the_deadline_is_over() -> None:
    async def main() -> None:
        gauge = Gauge()
        items = iter(range(10))
        with deadline(1):
            await asyncio.sleep(1)
            with pytest.raises(DeadlineExceeded):
                await map_concurrent(gauge, items, limit=2)
        assert next(items) == 0
        assert gauge.started == []

    run(main())


def test_a_deadline_that_is_not_reached_leaves_no_timer() -> None:
    async def main() -> None:
        with deadline(1000):
            assert await map_concurrent(double, range(2), limit=2) == [0, 2]
            assert await map_concurrent(remaining_later, [0], limit=2) == [998.0]
        loop: Any = asyncio.get_running_loop()
        assert [handle for handle in loop._scheduled if not handle.cancelled()] == []

    async def remaining_later(_: int) -> float | None:
        await asyncio.sleep(1)
        return remaining()

    run(main())
