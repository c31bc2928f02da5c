"""What a handler may raise, and what each of those who wait gets from that."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest
from tests.batches import assert_balanced, echo, outcomes
from tests.loading import settle
from tests.steps import run

from penstock import BatchCancelled, Batcher, ItemError
from penstock.bench._virtual_loop import VirtualLoop


def test_one_waiter_gets_the_exception_itself() -> None:
    error = ValueError("a")

    async def handler(items: list[int]) -> list[int]:
        raise error

    assert run(outcomes(handler, 1))[0] is error


def test_several_waiters_get_a_copy_each() -> None:
    class Custom(OSError):
        def __init__(self, path: str) -> None:
            super().__init__(2, f"no {path}", path)
            self.path = path

    error = Custom("a")
    error.add_note("noted")

    async def handler(items: list[int]) -> list[int]:
        raise error

    errors = run(outcomes(handler))
    # Its constructor cannot make it from its arguments.
    assert all(each is error for each in errors)

    class Plain(Exception):
        def __init__(self, code: int = 0) -> None:
            super().__init__(f"code {code}")
            self.code = code

    error = Plain(5)  # type: ignore[assignment]
    error.add_note("noted")
    errors = run(outcomes(handler))
    assert len({id(each) for each in [error, *errors]}) == 4
    for each in errors:
        assert (type(each), each.args, each.code) == (Plain, ("code 5",), 5)
        assert each.__cause__ is error
        assert each.__notes__ == ["noted"]
        assert each.__notes__ is not error.__notes__
        assert "handler" in "".join(traceback.format_tb(each.__traceback__))
    errors[0].add_note("another")
    assert errors[1].__notes__ == ["noted"]


def test_traceback_does_not_grow_from_waiter_to_waiter() -> None:
    async def handler(items: list[int]) -> list[int]:
        raise ValueError

    async def wait(batcher: Batcher[int, int]) -> int:
        try:
            await batcher.submit(1)
        except ValueError as error:
            return len(traceback.extract_tb(error.__traceback__))
        return 0

    async def main() -> None:
        batcher = Batcher(handler, linger=0)
        depths = await asyncio.gather(*[wait(batcher) for _ in range(5)])
        assert len(set(depths)) == 1
        await batcher.aclose()

    run(main())


class Uncopied(Exception):
    # Not __reduce_ex__: dask teaches copyreg another way to copy the exceptions that there are.
    def __copy__(self) -> Any:
        raise RuntimeError("no copies")


class Replaced(Exception):
    def __copy__(self) -> Any:
        return ValueError("another")


class Same(Exception):
    def __copy__(self) -> Any:
        return self


@pytest.mark.parametrize("kind", [Uncopied, Replaced, Same])
def test_exception_that_cannot_be_copied_is_shared(kind: type[Exception]) -> None:
    error = kind("a")

    async def handler(items: list[int]) -> list[int]:
        raise error

    assert all(each is error for each in run(outcomes(handler)))


def test_exception_group_is_copied() -> None:
    error = ExceptionGroup("two", [ValueError(1), KeyError(2)])

    async def handler(items: list[int]) -> list[int]:
        raise error

    for each in run(outcomes(handler)):
        assert each is not error
        assert each.exceptions == error.exceptions


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_stop_iteration_reaches_waiters_as_runtime_error(kind: type[Exception]) -> None:
    def handler(items: list[int]) -> list[int]:
        raise kind("a")

    async def item_errors(items: list[int]) -> list[Any]:
        return [ItemError(kind("a")) for _ in items]

    expected = RuntimeError if kind is StopIteration else kind
    for function in (handler, item_errors):
        assert [type(each) for each in run(outcomes(function))] == [expected] * 3


def test_handler_that_cancels_itself_fails_its_items() -> None:
    async def handler(items: list[int]) -> list[int]:
        raise asyncio.CancelledError

    for each in run(outcomes(handler)):
        assert type(each) is BatchCancelled
        assert "was cancelled" in str(each)


def test_batch_task_cancelled_by_somebody_else_fails_its_items_and_others_go_on() -> None:
    async def main(steps: int) -> None:
        started = []

        async def handler(items: list[int]) -> list[int]:
            started.append(items)
            if items == [1]:
                await asyncio.sleep(100)
            return items

        batcher = Batcher(handler, linger=0, max_items=1)
        before = asyncio.all_tasks()
        futures = [batcher.submit(1), batcher.submit(2)]
        await settle(steps)
        (task,) = asyncio.all_tasks() - before
        task.cancel()
        with pytest.raises(BatchCancelled):
            await futures[0]
        assert await futures[1] == 2
        assert task.cancelled()
        assert started == [[1], [2]][2 - len(started) :]
        await batcher.aclose()
        assert_balanced(batcher)

    run(main(1))  # before its first step
    run(main(5))


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_end_of_the_program_goes_on_out_of_the_loop(kind: type[BaseException]) -> None:
    async def handler(items: list[int]) -> list[int]:
        raise kind("end")

    async def main() -> Batcher[int, int]:
        batcher = Batcher(handler, linger=0)
        futures.extend([batcher.submit(1), batcher.submit(2)])
        await asyncio.sleep(10)
        return batcher

    futures: list[asyncio.Future[int]] = []
    with pytest.raises(kind), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    for future in futures:
        error = future.exception()
        assert isinstance(error, BatchCancelled)
        assert isinstance(error.__cause__, kind)


def test_other_base_exceptions_fail_the_batch_and_are_told_to_the_loop() -> None:
    class Stop(BaseException):
        pass

    async def handler(items: list[int]) -> list[int]:
        raise Stop

    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, each: reports.append(each))
        batcher = Batcher(handler, linger=0)
        with pytest.raises(BatchCancelled) as caught:
            await batcher.submit(1)
        assert isinstance(caught.value.__cause__, Stop)
        del caught
        await batcher.aclose()
        await settle()
        assert [type(report["exception"]) for report in reports] == [Stop]

    run(main())


def test_errors_of_put_items_are_told_to_the_loop_once_a_batch() -> None:
    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, each: reports.append(each))
        answer: list[Any] = []

        async def handler(items: list[int]) -> Any:
            if not answer:
                raise OSError("disk")
            return answer

        batcher = Batcher(handler, linger=0)
        for number in range(3):
            batcher.put_nowait(number)
        await batcher.flush()
        (report,) = reports
        assert isinstance(report["exception"], OSError)
        assert "handler failed for 3 items for which nobody waits" in report["message"]
        answer[:] = [0, ItemError(KeyError(1)), ItemError(KeyError(2))]
        for number in range(3):
            batcher.put_nowait(number)
        await batcher.flush()
        assert len(reports) == 2
        assert "for 2 items" in reports[1]["message"]
        assert (batcher.stats().completed, batcher.stats().failed) == (1, 5)
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


def test_error_does_not_stop_the_next_batch() -> None:
    async def main() -> None:
        async def handler(items: list[int]) -> list[int]:
            return [1 // item for item in items]

        async with Batcher(handler, linger=0) as batcher:
            with pytest.raises(ZeroDivisionError):
                await batcher.submit(0)
            assert await batcher.submit(1) == 1

    run(main())


def test_task_factory_that_fails_fails_the_batch() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        batcher = Batcher(echo, linger=0)

        def factory(*_: object, **__: object) -> Any:
            raise OSError("no tasks")

        future = batcher.submit(1)
        loop.set_task_factory(factory)
        await settle()
        loop.set_task_factory(None)
        with pytest.raises(RuntimeError, match="cannot run a batch: OSError"):
            await future
        assert await batcher.submit(2) == 2
        await batcher.aclose()
        assert_balanced(batcher)

    run(main())


class Stubborn(Exception):
    """Lets nobody change it."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class Fixed(Exception):
    """Has a cause that is none."""

    __cause__ = property(lambda self: None)  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Stubborn, Fixed])
def test_error_that_cannot_be_changed_reaches_all(kind: type[Exception]) -> None:
    async def handler(items: list[int]) -> list[int]:
        raise kind

    assert [type(each) for each in run(outcomes(handler))] == [kind] * 3


def test_error_whose_copy_ends_the_program_leaves_nobody_behind() -> None:
    class Stop(BaseException):
        pass

    class Fatal(Exception):
        def __copy__(self) -> Fatal:
            raise Stop

    async def handler(items: list[int]) -> list[int]:
        raise Fatal

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        batcher = Batcher(handler, linger=0)
        found = await asyncio.gather(*map(batcher.submit, range(3)), return_exceptions=True)
        assert [type(each) for each in found] == [BatchCancelled] * 3
        await batcher.aclose()
        assert_balanced(batcher)

    asyncio.run(main())
