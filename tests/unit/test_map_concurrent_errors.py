"""`map_concurrent`: calls that fail, and callbacks."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from itertools import count, product
from typing import Any

import pytest
from tests.loading import settle
from tests.steps import now, run, tasks_left

from penstock.flow._limiter import Limiter
from penstock.flow._map import Progress, map_concurrent
from penstock.flow._retry import retry


class Oops(Exception):
    """What a call fails with."""


class Fatal(BaseException):
    """What is no Exception."""


class Failing:
    """Fails for some items after as many seconds as they say, and knows what was cancelled."""

    def __init__(self, *items: int, error: type[BaseException] = Oops) -> None:
        self.items = items
        self.error = error
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self.raised: list[BaseException] = []

    async def __call__(self, item: int) -> int:
        self.started.append(item)
        try:
            await asyncio.sleep(item)
        except asyncio.CancelledError:
            self.cancelled.append(item)
            await asyncio.sleep(3)  # cleaning up takes its time
            raise
        if item in self.items:
            self.raised.append(self.error(item))
            raise self.raised[-1]
        return item


def test_an_error_cancels_the_other_calls_and_is_raised_as_it_was_when_they_have_ended() -> None:
    async def main() -> None:
        failing = Failing(3, 5)
        start = now()
        with pytest.raises(Oops) as caught:
            await map_concurrent(failing, [1, 7, 3, 5, 9, 8], limit=4)
        assert caught.value is failing.raised[0]
        assert caught.value.args == (3,)
        assert not hasattr(caught.value, "__notes__")
        assert failing.started == [1, 7, 3, 5, 9]
        assert sorted(failing.cancelled) == [5, 7, 9]
        assert now() - start == 3 + 3
        assert tasks_left() == 0

    run(main())


def test_of_several_errors_at_once_the_first_is_raised() -> None:
    async def main() -> None:
        async def fail(item: int) -> None:
            await asyncio.sleep(1)
            raise Oops(item)

        with pytest.raises(Oops) as caught:
            await map_concurrent(fail, range(10), limit=10)
        assert caught.value.args == (0,)

    run(main())


def test_nothing_more_is_taken_after_an_error() -> None:
    async def main() -> None:
        items = iter(range(100))

        async def fail(item: int) -> None:
            await asyncio.sleep(item)
            if item == 2:
                raise Oops

        with pytest.raises(Oops):
            await map_concurrent(fail, items, limit=3)
        assert next(items) == 5

    run(main())


def test_returned_errors_are_in_the_place_of_the_results() -> None:
    async def main() -> None:
        failing = Failing(2, 1)
        results = await map_concurrent(failing, [3, 2, 1], limit=2, on_error="return")
        assert results == [3, failing.raised[0], failing.raised[1]]
        results = await map_concurrent(failing, [3, 2], limit=2, on_error="return", ordered=False)
        assert results == [failing.raised[2], 3]

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_skipped_errors_are_left_out_and_counted(ordered: bool) -> None:
    async def main() -> None:
        failing = Failing(2, 1)
        mapped = map_concurrent(
            failing, [1, 2, 3, 4], limit=2, on_error="skip", ordered=ordered, buffer=0
        )
        assert [result async for result in mapped] == [3, 4]
        assert mapped.progress == Progress(done=4, failed=2, total=4, seconds=6.0)
        mapped = map_concurrent(failing, [1, 2, 3, 4], limit=2, on_error="skip", ordered=ordered)
        assert await mapped == [3, 4]

    run(main())


def test_an_infinite_series_of_skipped_errors_can_be_left() -> None:
    async def main() -> None:
        async def fail(item: int) -> int:
            if item < 1000:
                raise Oops
            return item

        async with map_concurrent(fail, count(), limit=3, on_error="skip") as mapped:
            assert await anext(mapped) == 1000

    run(main())


def test_a_callback_makes_results_of_errors() -> None:
    async def main() -> None:
        def repair(item: int, error: Exception) -> str:
            return f"{item} {error!r}"

        results = await map_concurrent(Failing(2), [1, 2, 3], limit=2, on_error=repair)
        assert results == [1, "2 Oops(2)", 3]

    run(main())


def test_what_the_callback_raises_ends_it_all() -> None:
    async def main() -> None:
        def judge(item: int, error: Exception) -> None:
            if item == 3:
                raise LookupError(item)
            if item == 5:
                raise error

        failing = Failing(2, 3)
        with pytest.raises(LookupError) as caught:
            await map_concurrent(failing, range(1, 9), limit=3, on_error=judge)
        assert isinstance(caught.value.__context__, Oops)
        failing = Failing(2, 5)
        with pytest.raises(Oops) as again:
            await map_concurrent(failing, range(1, 9), limit=3, on_error=judge)
        assert again.value is failing.raised[1]
        assert tasks_left() == 0

    run(main())


@pytest.mark.parametrize("on_error", ["raise", "return", "skip", lambda _, __: None])
@pytest.mark.parametrize("kind", [Fatal, asyncio.CancelledError, GeneratorExit])
def test_what_is_no_exception_ends_it_all(kind: type[BaseException], on_error: Any) -> None:
    async def main() -> None:
        failing = Failing(2, error=kind)
        with pytest.raises(kind) as caught:
            await map_concurrent(failing, range(1, 9), limit=3, on_error=on_error)
        assert caught.value is failing.raised[0]
        assert failing.started == [1, 2, 3, 4]
        assert sorted(failing.cancelled) == [3, 4]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(main())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("step", [0, 1])
def test_what_stops_the_loop_stops_it(kind: type[BaseException], step: int) -> None:
    failing = Failing(step, error=kind)

    async def main() -> None:
        await map_concurrent(failing, [step, 5], limit=2, on_error="return")

    with pytest.raises(kind):
        run(main())
    assert failing.cancelled == [5]


def test_an_error_of_a_function_called_in_vain_is_an_error_of_its_call() -> None:
    async def main() -> None:
        def fail_early(item: int) -> asyncio.Future[int]:
            raise Oops(item)

        results = await map_concurrent(fail_early, [1, 2], limit=2, on_error="return")
        assert [type(result) for result in results] == [Oops, Oops]

    run(main())


def test_calls_that_do_not_care_for_cancellation_are_waited_for() -> None:
    async def main() -> None:
        ended: list[int] = []

        async def stubborn(item: int) -> int:
            if item == 1:
                await asyncio.sleep(1)
                raise Oops
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(item)
            ended.append(item)
            if item == 3:
                raise LookupError
            return item

        start = now()
        mapped = map_concurrent(stubborn, range(1, 100), limit=4, on_error="raise")
        with pytest.raises(Oops):
            await mapped
        assert now() - start == 1 + 4
        assert ended == [2, 3, 4]
        assert (mapped.progress.done, mapped.progress.failed) == (0, 1)

    run(main())


def test_a_call_that_is_cancelled_by_a_stranger_ends_it_all() -> None:
    async def main() -> None:
        failing = Failing()
        waiting = asyncio.ensure_future(map_concurrent(failing, [5, 5, 5, 5], limit=2))
        await asyncio.sleep(1)
        stranger = asyncio.current_task()
        victim = next(task for task in asyncio.all_tasks() if task not in {stranger, waiting})
        victim.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert failing.cancelled == [5, 5]

    run(main())


def test_a_call_that_is_cancelled_by_a_stranger_before_it_began_ends_it_all() -> None:
    async def main() -> None:
        failing = Failing()
        waiting = asyncio.ensure_future(map_concurrent(failing, [5, 5, 5, 5], limit=2))
        await settle(1)
        assert failing.started == []
        stranger = asyncio.current_task()
        victim = next(task for task in asyncio.all_tasks() if task not in {stranger, waiting})
        victim.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert failing.started == failing.cancelled == [5]

    run(main())


def test_a_cancellation_while_calls_end_because_of_an_error_is_not_lost() -> None:
    async def main() -> None:
        failing = Failing(1)
        task = asyncio.ensure_future(map_concurrent(failing, [1, 5], limit=2))
        await asyncio.sleep(2)
        assert failing.cancelled == [5]
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert tasks_left() == 0

    run(main())


# Progress


def test_progress_is_told_after_each_call() -> None:
    async def main() -> None:
        told: list[Progress] = []
        await map_concurrent(
            Failing(2), [3, 2, 1], limit=2, on_error="return", progress=told.append
        )
        assert told == [
            Progress(done=1, failed=1, total=3, seconds=2.0),
            Progress(done=2, failed=1, total=3, seconds=3.0),
            Progress(done=3, failed=1, total=3, seconds=3.0),
        ]

    run(main())


def test_progress_has_no_total_where_there_is_no_length() -> None:
    async def main() -> None:
        told: list[Progress] = []
        mapped = map_concurrent(Failing(), iter([1]), limit=2, progress=told.append)
        assert mapped.progress == Progress(done=0, failed=0, total=None, seconds=0.0)
        await mapped
        assert [progress.total for progress in told] == [None]

    run(main())


def test_an_error_that_ends_it_all_is_counted_but_not_told() -> None:
    async def main() -> None:
        told: list[Progress] = []
        mapped = map_concurrent(Failing(2), [1, 2, 5], limit=3, progress=told.append)
        with pytest.raises(Oops):
            await mapped
        assert [progress.done for progress in told] == [1]
        assert (mapped.progress.done, mapped.progress.failed) == (1, 1)

    run(main())


def test_what_progress_raises_ends_it_all() -> None:
    async def main() -> None:
        def show(progress: Progress) -> None:
            raise LookupError(progress.done)

        failing = Failing()
        with pytest.raises(LookupError, match="1"):
            await map_concurrent(failing, [1, 2, 3, 4], limit=3, on_error="skip", progress=show)
        assert failing.cancelled == [2, 3]

    run(main())


# What is left


def test_errors_and_results_leave_no_cycle_behind() -> None:
    class Item:
        pass

    async def fail(item: Item) -> Item:
        await asyncio.sleep(0)
        raise Oops

    async def succeed(item: Item) -> Item:
        await asyncio.sleep(0)
        return item

    async def main() -> None:
        for function, on_error in product([fail, succeed], ["raise", "return", "skip"]):
            mapped: Any = map_concurrent(function, [Item()], limit=2, on_error=on_error)  # type: ignore[call-overload]
            with suppress(Oops):
                await mapped
            mapped = map_concurrent(function, [Item()], limit=2, on_error=on_error)  # type: ignore[call-overload]
            with suppress(Oops):
                assert [result async for result in mapped] or on_error == "skip"
            with suppress(Oops, StopAsyncIteration):
                mapped = map_concurrent(function, [Item()] * 9, limit=2, on_error=on_error)  # type: ignore[call-overload]
                async with mapped:
                    await anext(mapped)
                    await settle()
            limiter = Limiter(2)
            mapped = map_concurrent(function, [Item()] * 9, limit=limiter, retry=retry(1))  # type: ignore[assignment]
            with suppress(Oops):
                await mapped
            mapped = None
            await settle()
            assert [one for one in gc.get_objects() if type(one) is Item] == []

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()
