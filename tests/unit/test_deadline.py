"""`deadline`: what it tells those below it, and whose it is when they are nested."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.loading import settle
from tests.threads import spawn

from penstock.bench._virtual_loop import VirtualLoop, run
from penstock.errors import DeadlineExceeded
from penstock.flow._deadline import ambient, check, deadline, remaining, sooner

#: Nothing is due within the test.
HOUR = 3600.0


def test_outside_of_a_deadline_there_is_no_limit() -> None:
    assert remaining() is None
    assert ambient() is None
    assert sooner(None) == (None, None)
    assert sooner(2.5) == (2.5, None)
    check()


def test_what_is_left_gets_less_as_time_passes() -> None:
    async def main() -> None:
        with deadline(5):
            assert remaining() == 5.0
            await asyncio.sleep(2)
            assert remaining() == 3.0
            await asyncio.sleep(2.5)
            assert remaining() == 0.5
            await asyncio.sleep(100)
            assert remaining() == 0.0
        assert remaining() is None

    run(main())


def test_a_plain_block_is_not_interrupted() -> None:
    async def main() -> str:
        with deadline(1):
            await asyncio.sleep(10)
            return "done"

    assert run(main()) == "done"


def test_without_a_loop_the_clock_is_that_of_the_system() -> None:
    with deadline(HOUR):
        left = remaining()
        assert left is not None
        assert HOUR - 60 < left <= HOUR


def test_the_sooner_of_two_counts() -> None:
    async def main() -> None:
        with deadline(5):
            with deadline(10):
                assert remaining() == 5.0
            with deadline(2):
                assert remaining() == 2.0
                await asyncio.sleep(1)
                assert remaining() == 1.0
            assert remaining() == 4.0
            with deadline(4.5):
                assert remaining() == 4.0

    run(main())


@given(st.lists(st.floats(0.001, 100.0), min_size=1, max_size=6))
def test_of_any_number_the_soonest_counts(seconds: list[float]) -> None:
    async def main() -> None:
        blocks = [deadline(one) for one in seconds]
        for number, block in enumerate(blocks):
            block.__enter__()
            assert remaining() == pytest.approx(min(seconds[: number + 1]))
        due = ambient()
        assert due is not None
        assert due.seconds == pytest.approx(min(seconds))
        for number in reversed(range(len(blocks))):
            blocks[number].__exit__(None, None, None)
            left = remaining()
            assert left == (pytest.approx(min(seconds[:number])) if number else None)

    run(main())


def test_an_error_in_a_plain_block_passes_and_ends_the_deadline() -> None:
    with pytest.raises(KeyError), deadline(HOUR):
        raise KeyError("mine")
    assert remaining() is None


def test_whose_time_it_is_goes_with_the_time_left() -> None:
    async def main() -> None:
        with deadline(5):
            left, due = sooner(3.0)
            assert (left, due) == (3.0, None)
            for seconds in (5.0, 5.1, 8.0):
                left, due = sooner(seconds)
                assert left == 5.0
                assert due is ambient()
            left, due = sooner(None)
            assert left == 5.0
            assert due is not None
            error = due.error()
            assert isinstance(error, TimeoutError)
            assert error.seconds == 5.0
            assert str(error) == "the deadline of 5 s is over"

    run(main())


def test_a_check_raises_once_the_time_is_over() -> None:
    async def main() -> None:
        with deadline(0.5):
            check()
            await asyncio.sleep(0.5)
            with pytest.raises(DeadlineExceeded, match=r"^the deadline of 0\.5 s is over$"):
                check()

    run(main())


def test_a_task_has_the_deadline_of_who_started_it() -> None:
    async def main() -> None:
        with deadline(5):
            task = asyncio.ensure_future(asyncio.sleep(1, remaining()))

            async def child() -> float | None:
                await asyncio.sleep(1)
                return remaining()

            other = asyncio.ensure_future(child())
        assert remaining() is None
        assert await task == 5.0
        assert await other == 4.0

    run(main())


def test_a_thread_that_is_handed_the_context_has_the_deadline() -> None:
    async def main() -> float | None:
        with deadline(HOUR):
            return await asyncio.to_thread(remaining)

    left = asyncio.run(main())
    assert left is not None
    assert HOUR - 60 < left <= HOUR


def test_a_thread_does_not_ask_the_loop_what_time_it_is() -> None:
    class Loop(VirtualLoop):
        """Its clock is of use on the loop alone, as that of libuv is."""

        def time(self) -> float:
            assert asyncio._get_running_loop() is self
            return super().time()

    async def main() -> float | None:
        with deadline(HOUR):
            context = contextvars.copy_context()
            return spawn(context.run, remaining).result()

    with asyncio.Runner(loop_factory=Loop) as runner:
        left = runner.run(main())
    assert left is not None
    assert HOUR - 60 < left <= HOUR


def test_a_thread_of_its_own_has_none() -> None:
    with deadline(HOUR):
        assert spawn(remaining).result() is None


def test_the_deadline_of_one_loop_is_understood_on_another() -> None:
    # Loops need not agree on what time it is.
    one, other = VirtualLoop(start=1000.0), VirtualLoop(start=5.0)

    async def enter() -> contextvars.Context:
        deadline(HOUR).__enter__()
        return contextvars.copy_context()

    async def cut_off() -> None:
        left = remaining()
        assert left is not None
        assert HOUR - 60 < left <= HOUR
        async with deadline(2 * HOUR):
            await asyncio.sleep(3 * HOUR)

    try:
        context = one.run_until_complete(enter())
        with pytest.raises(DeadlineExceeded) as caught:
            context.run(other.run_until_complete, cut_off())
        assert caught.value.seconds == HOUR
        assert other.time() == pytest.approx(5.0 + HOUR, abs=60)
    finally:
        one.close()
        other.close()


def test_a_deadline_may_be_used_again_once_it_was_left() -> None:
    async def main() -> None:
        limit = deadline(5)
        for _ in range(3):
            with limit:
                assert remaining() == 5.0
                await asyncio.sleep(1)
            async with limit:
                assert remaining() == 5.0
                await asyncio.sleep(1)

    run(main())


def test_a_deadline_cannot_be_entered_twice_at_a_time() -> None:
    async def main() -> None:
        limit = deadline(5)
        message = r"^deadline\(5\) is entered already, make another$"
        with limit:
            with pytest.raises(RuntimeError, match=message):
                limit.__enter__()
            with pytest.raises(RuntimeError, match=message):
                await limit.__aenter__()
            assert remaining() == 5.0
        assert remaining() is None

    run(main())


@pytest.mark.parametrize(
    ("seconds", "error", "message"),
    [
        (0, ValueError, "seconds must be > 0, got 0"),
        (-1.5, ValueError, "seconds must be > 0, got -1.5"),
        (float("inf"), ValueError, "seconds must be finite, got inf"),
        (float("nan"), ValueError, "seconds must be finite, got nan"),
        ("5", TypeError, "seconds must be a number of seconds or a timedelta, got str"),
        (True, TypeError, "seconds must be a number of seconds or a timedelta, got bool"),
        (None, TypeError, "seconds must be a number of seconds or a timedelta, got NoneType"),
    ],
)
def test_wrong_durations_are_refused(seconds: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        deadline(seconds)


def test_a_timedelta_will_do() -> None:
    assert deadline(timedelta(minutes=1)).seconds == 60.0


def test_an_abandoned_async_generator_is_closed_in_peace() -> None:
    async def numbers() -> AsyncIterator[int]:
        with deadline(5):
            yield 1
            yield 2

    async def main() -> None:
        problems: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda *told: problems.append(told))
        async for _ in numbers():
            break  # what is left of it is closed by a task of the loop
        await settle()
        gc.collect()
        assert problems == []

    run(main())


class TestDecorated:
    def test_each_call_has_a_deadline_of_its_own(self) -> None:
        @deadline(5)
        async def left_after(seconds: float) -> float | None:
            await asyncio.sleep(seconds)
            return remaining()

        async def main() -> None:
            calls = [left_after(one) for one in (1.0, 2.0)]
            assert await asyncio.gather(*calls) == [4.0, 3.0]
            assert await left_after(1.5) == 3.5
            with pytest.raises(DeadlineExceeded):
                await left_after(6.0)

        assert inspect.iscoroutinefunction(left_after)
        assert left_after.__name__ == "left_after"
        run(main())

    def test_a_plain_function_has_one_too(self) -> None:
        @deadline(HOUR)
        def left() -> float | None:
            return remaining()

        found = left()
        assert found is not None
        assert found <= HOUR
        assert remaining() is None

    def test_methods_are_bound(self) -> None:
        class Service:
            @deadline(5)
            async def left(self, extra: float) -> tuple[Service, float | None]:
                await asyncio.sleep(extra)
                return self, remaining()

        service = Service()
        assert run(service.left(1.0)) == (service, 4.0)

    def test_recursion_keeps_to_the_outermost(self) -> None:
        @deadline(5)
        async def descend(depth: int) -> float | None:
            await asyncio.sleep(1)
            return await descend(depth - 1) if depth else remaining()

        assert run(descend(3)) == 1.0

    def test_what_is_no_function_is_refused(self) -> None:
        def numbers() -> Iterator[int]:
            yield 1

        async def numbers_later() -> AsyncIterator[int]:
            yield 1

        for wrong in (numbers, numbers_later, partial(numbers)):
            with pytest.raises(TypeError, match=r"^deadline cannot wrap the generator function "):
                deadline(5)(wrong)
        with pytest.raises(TypeError, match=r"^deadline needs a function, got int$"):
            deadline(5)(5)  # type: ignore[type-var]
        with pytest.raises(TypeError, match=r"^deadline needs a function, got the class KeyError$"):
            deadline(5)(KeyError)
        with pytest.raises(TypeError, match=r"^deadline goes below staticmethod, next to the func"):
            deadline(5)(staticmethod(run))
