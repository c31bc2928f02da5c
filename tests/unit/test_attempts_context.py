"""What surrounds loops of `attempts`: timeouts, deadlines, cancellation, and attempts before."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.loading import settle
from tests.retrying import AT_ONCE, Flaky, Oops, Steady, now

from penstock.bench._virtual_loop import run
from penstock.errors import DeadlineExceeded
from penstock.flow._attempt import previous_attempts
from penstock.flow._attempts import attempts
from penstock.flow._deadline import deadline, remaining
from penstock.flow._retry import retry
from penstock.flow._retry_stats import RetryInfo, RetryStats


class TestInterruptions:
    def block(self, call: Callable[[], Awaitable[object]], **options: Any) -> Any:
        """A coroutine function with a loop in it, and the object looped over."""
        again = attempts(**options)

        async def block() -> object:
            async for attempt in again:
                with attempt:
                    return await call()
            raise AssertionError

        return block, again

    def test_an_attempt_that_takes_too_long_is_cut_off(self) -> None:
        times = []

        async def hang() -> None:
            times.append(now())
            await asyncio.sleep(100 if len(times) < 3 else 4)

        block, again = self.block(hang, timeout=5, base=1, rng=Steady())

        async def main() -> None:
            await block()
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0

        run(main())
        assert times == [1000.0, 1006.0, 1013.0]
        assert again.stats().successes == 1

    def test_all_attempts_together_are_cut_off(self) -> None:
        async def hang() -> None:
            await asyncio.sleep(3)
            raise Oops

        block, _ = self.block(hang, attempts=None, deadline=10, base=1, rng=Steady(0.0))

        async def main() -> None:
            with pytest.raises(DeadlineExceeded) as caught:
                await block()
            assert now() == 1010.0
            assert caught.value.seconds == 10.0
            assert caught.value.__notes__[-1] == "retry: attempt 3 failed with Oops()"
            assert remaining() is None

        run(main())

    def test_the_deadline_begins_with_the_loop(self) -> None:
        again = attempts(deadline=5)

        async def main() -> None:
            await asyncio.sleep(100)
            async for attempt in again:
                with attempt:
                    assert remaining() == 5.0
                assert remaining() is None

        run(main())

    @pytest.mark.parametrize("step", range(30))
    @pytest.mark.parametrize("options", [{}, {"timeout": 50, "deadline": 500}])
    def test_a_cancelled_loop_ends_at_once(self, step: int, options: Any) -> None:
        async def fail() -> None:
            await settle(3)
            raise Oops

        async def sleep(_: float) -> None:
            await settle(3)

        async def main() -> None:
            block, again = self.block(fail, attempts=4, sleep=sleep, **options)
            task = asyncio.ensure_future(block())
            await settle(step)
            if task.done():
                assert isinstance(task.exception(), Oops)
                return
            task.cancel()
            await settle(1)
            assert task.cancelled()
            assert again.stats().cancelled == (0 if step == 0 else 1)

        run(main())

    def test_a_plain_loop_cannot_be_interrupted(self) -> None:
        message = r"^timeout needs `async for`: nothing can interrupt a plain loop$"
        with pytest.raises(TypeError, match=message):
            iter(attempts(timeout=5))

    def test_a_plain_loop_awaits_no_hook(self) -> None:
        async def hook(info: RetryInfo) -> None:
            pass

        message = r"^on_retry must be a plain function in a plain loop$"
        with pytest.raises(TypeError, match=message):
            iter(attempts(on_retry=hook))

    def test_without_a_task_a_timeout_says_what_is_missing(self) -> None:
        errors: list[BaseException] = []
        again = attempts(timeout=5)

        def call_back() -> None:
            stepping = again.__aiter__().__anext__()
            try:
                stepping.send(None)
            except StopIteration as end:
                try:
                    end.value.__enter__()
                except RuntimeError as error:
                    errors.append(error)

        async def main() -> None:
            asyncio.get_running_loop().call_soon(call_back)
            await settle()

        run(main())
        assert len(errors) == 1
        assert again.stats() == RetryStats(calls=1, failures=1)

    def test_a_keyboard_interrupt_in_a_delay_ends_it(self) -> None:
        def sleep(seconds: float) -> None:
            raise KeyboardInterrupt

        again = attempts(sleep=sleep)
        flaky = Flaky(Oops)

        def block() -> None:
            for attempt in again:
                with attempt:
                    flaky.call()

        with pytest.raises(KeyboardInterrupt):
            block()
        assert again.stats() == RetryStats(calls=1, cancelled=1)


class TestPreviousAttempts:
    def test_there_are_none_in_a_first_attempt(self) -> None:
        assert previous_attempts() == 0
        assert retry(previous_attempts)() == 0

    def test_they_are_counted(self) -> None:
        seen = []

        @retry(4, **AT_ONCE)
        def call() -> None:
            seen.append(previous_attempts())
            raise Oops

        @retry(4, base=0)
        async def later() -> None:
            seen.append(previous_attempts())
            await asyncio.sleep(0)
            seen.append(previous_attempts())
            raise Oops

        with pytest.raises(Oops):
            call()
        assert seen == [0, 1, 2, 3]
        assert previous_attempts() == 0
        seen.clear()
        with pytest.raises(Oops):
            run(later())
        assert seen == [0, 0, 1, 1, 2, 2, 3, 3]

    def test_those_of_nested_calls_are_added_up(self) -> None:
        seen = []

        @retry(2, **AT_ONCE)
        def inner() -> None:
            seen.append(previous_attempts())
            raise Oops

        with pytest.raises(Oops):
            retry(3, **AT_ONCE)(inner)()
        assert seen == [0, 1, 1, 2, 2, 3]

    def test_concurrent_calls_have_their_own(self) -> None:
        @retry(9, base=0)
        async def call(failures: list[int]) -> int:
            await asyncio.sleep(0)
            if failures:
                failures.pop()
                raise Oops
            return previous_attempts()

        async def main() -> list[int]:
            return await asyncio.gather(*(call([0] * number) for number in range(6)))

        assert run(main()) == [0, 1, 2, 3, 4, 5]

    def test_a_task_started_by_an_attempt_has_them_too(self) -> None:
        async def child() -> int:
            return previous_attempts()

        flaky = Flaky(Oops, Oops)

        @retry(base=0)
        async def call() -> int:
            task = asyncio.ensure_future(child())
            found = await task
            flaky.call()
            return found

        assert run(call()) == 2
        assert contextvars.copy_context().run(previous_attempts) == 0

    def test_delays_and_hooks_are_between_attempts(self) -> None:
        seen = []

        def look(_: object) -> None:
            seen.append((previous_attempts(), remaining()))

        call = retry(3, base=0, sleep=look, on_retry=look, deadline=50)(Flaky(Oops, Oops).call)
        with deadline(7000):
            call()
        assert [one[0] for one in seen] == [0, 0, 0, 0]
        assert all(left is not None and left > 6000 for _, left in seen)
