"""`async with deadline(...)`: what it cuts off, and cancellations that are somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.loading import settle

from penstock.bench._virtual_loop import run
from penstock.errors import DeadlineExceeded
from penstock.flow._deadline import deadline, remaining

#: More steps than any block here takes.
STEPS = range(16)


def now() -> float:
    """What time it is on the running loop."""
    return asyncio.get_running_loop().time()


async def raised_by(call: Awaitable[object]) -> BaseException | None:
    """What awaiting it raises."""
    try:
        await call
    except BaseException as error:
        return error
    return None


def test_a_block_that_takes_too_long_is_cut_off_in_time() -> None:
    async def main() -> None:
        start = now()
        with pytest.raises(DeadlineExceeded, match=r"^the deadline of 2 s is over$") as caught:
            async with deadline(2):
                await asyncio.sleep(10)
        assert now() - start == 2.0
        assert caught.value.seconds == 2.0
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)  # says where it was
        assert remaining() is None
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(main())


def test_a_block_that_ends_in_time_is_left_alone() -> None:
    async def main() -> str:
        async with deadline(2) as limit:
            assert limit.seconds == 2.0
            await asyncio.sleep(1.5)
        await asyncio.sleep(10)
        return "done"

    assert run(main()) == "done"


def test_an_error_in_the_block_passes_unchanged() -> None:
    async def main() -> None:
        error = KeyError("mine")
        with pytest.raises(KeyError) as caught:
            async with deadline(2):
                raise error
        assert caught.value is error
        for own in (TimeoutError("mine"), DeadlineExceeded("mine", seconds=9.0)):
            with pytest.raises(TimeoutError, match=r"^mine$") as passed:
                async with deadline(2):
                    raise own
            assert passed.value is own

    run(main())


def test_an_error_on_the_way_out_of_a_block_that_was_cut_off_passes() -> None:
    async def block() -> None:
        async with deadline(2):
            try:
                await asyncio.sleep(10)
            finally:
                raise KeyError("while leaving")

    async def main() -> None:
        with pytest.raises(KeyError, match="while leaving"):
            await block()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(main())


@pytest.mark.parametrize(("outer", "inner", "whose"), [(5, 2, 2), (2, 5, 2), (3, 3, 3)])
def test_the_error_says_whose_time_was_over(outer: float, inner: float, whose: float) -> None:
    inside = []

    async def block() -> None:
        async with deadline(outer):
            try:
                async with deadline(inner):
                    await asyncio.sleep(10)
            except BaseException as error:
                inside.append(type(error))
                raise

    async def main() -> None:
        with pytest.raises(DeadlineExceeded) as caught:
            await block()
        assert caught.value.seconds == whose
        if inner < outer:
            assert inside == [DeadlineExceeded]
        elif inner > outer:
            assert inside == [asyncio.CancelledError]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(main())


def test_the_outer_deadline_goes_on_after_the_inner_one() -> None:
    async def block() -> None:
        async with deadline(5):
            with pytest.raises(DeadlineExceeded):
                async with deadline(2):
                    await asyncio.sleep(10)
            assert remaining() == 3.0
            await asyncio.sleep(10)

    async def main() -> None:
        start = now()
        with pytest.raises(DeadlineExceeded) as caught:
            await block()
        assert caught.value.seconds == 5.0
        assert now() - start == 5.0

    run(main())


def test_a_plain_deadline_around_it_counts_as_well() -> None:
    async def main() -> None:
        start = now()
        with deadline(1), pytest.raises(DeadlineExceeded) as caught:
            async with deadline(5):
                await asyncio.sleep(10)
        assert caught.value.seconds == 1.0
        assert now() - start == 1.0

    run(main())


def test_a_deadline_that_was_inherited_cuts_off_a_child_task() -> None:
    async def child() -> None:
        async with deadline(50):
            await asyncio.sleep(100)

    async def main() -> None:
        with deadline(3):
            task = asyncio.ensure_future(child())
        error = await raised_by(task)
        assert isinstance(error, DeadlineExceeded)
        assert error.seconds == 3.0

    run(main())


def test_nothing_begins_when_the_time_is_over_already() -> None:
    async def main() -> None:
        reached = []
        with deadline(1):
            await asyncio.sleep(2)
            with pytest.raises(DeadlineExceeded) as caught:
                async with deadline(5):
                    reached.append("the block")
        assert caught.value.seconds == 1.0
        assert reached == []
        assert remaining() is None

    run(main())


def test_a_block_that_swallows_its_end_goes_on() -> None:
    async def main() -> str:
        async with deadline(1):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(3)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(1)
        return "done"

    assert run(main()) == "done"


def test_outside_of_a_task_it_says_what_is_missing() -> None:
    async def main() -> None:
        errors: list[BaseException] = []
        limit = deadline(5)

        def call_back() -> None:
            entering = limit.__aenter__()
            try:
                entering.send(None)
            except BaseException as error:
                errors.append(error)

        asyncio.get_running_loop().call_soon(call_back)
        await settle()
        assert [type(error) for error in errors] == [RuntimeError]
        with limit:  # it was not entered
            pass

    run(main())


class TestCancelledFromOutside:
    """A cancellation by somebody else is never turned into a timeout."""

    def cancel_at(self, moment: float, *, more: Callable[[asyncio.Task[None]], object]) -> None:
        """Cancel a block with a deadline of 5 s, which takes a second to leave."""

        async def block() -> None:
            async with deadline(5):
                try:
                    await asyncio.sleep(10)
                finally:
                    await asyncio.sleep(1)

        async def main() -> None:
            task = asyncio.ensure_future(block())
            asyncio.get_running_loop().call_at(now() + moment, more, task)
            error = await raised_by(task)
            assert isinstance(error, asyncio.CancelledError), error
            assert task.cancelled()

        run(main())

    @pytest.mark.parametrize("moment", [0.0, 4.9, 5.0, 5.5])
    def test_before_with_and_after_the_end_of_the_time(self, moment: float) -> None:
        self.cancel_at(moment, more=lambda task: task.cancel())

    @pytest.mark.parametrize("moment", [0.0, 4.9, 5.0])
    def test_twice(self, moment: float) -> None:
        def twice(task: asyncio.Task[None]) -> None:
            task.cancel()
            task.cancel()

        self.cancel_at(moment, more=twice)

    @pytest.mark.parametrize("step", STEPS)
    def test_at_any_step(self, step: int) -> None:
        ended = []

        async def block() -> None:
            async with deadline(5):
                async with deadline(4):
                    for _ in range(3):
                        await asyncio.sleep(0)
                for _ in range(3):
                    await asyncio.sleep(0)
            ended.append("block")

        async def main() -> None:
            task = asyncio.ensure_future(block())
            await settle(step)
            was_done = task.done()
            task.cancel()
            error = await raised_by(task)
            if was_done:
                assert error is None
                assert ended == ["block"]
            else:
                assert isinstance(error, asyncio.CancelledError)
                assert ended == []

        run(main())

    def test_a_task_that_was_cancelled_before_can_still_be_cut_off(self) -> None:
        async def block() -> str:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                try:
                    async with deadline(2):  # of the clean-up
                        await asyncio.sleep(10)
                except DeadlineExceeded as error:
                    return f"clean-up took more than {error.seconds:g} s"
                raise
            return "not cancelled"

        async def main() -> None:
            task = asyncio.ensure_future(block())
            await settle()
            task.cancel()
            assert await task == "clean-up took more than 2 s"

        run(main())

    def test_a_task_group_below_ends_as_usual(self) -> None:
        ended = []

        async def child(name: str) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                ended.append(name)

        async def block() -> None:
            async with deadline(2), asyncio.TaskGroup() as group:
                group.create_task(child("a"))
                group.create_task(child("b"))

        async def main() -> None:
            with pytest.raises(DeadlineExceeded):
                await block()
            assert sorted(ended) == ["a", "b"]

        run(main())
