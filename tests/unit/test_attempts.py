"""`attempts`: loops around what is retried, in coroutines and elsewhere, and their attempts."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.loading import settle
from tests.retrying import AT_ONCE, Flaky, Oops, Steady
from tests.threads import spawn

from penstock.bench._virtual_loop import run
from penstock.flow._attempt import Attempt
from penstock.flow._attempts import attempts
from penstock.flow._deadline import remaining
from penstock.flow._retry_stats import RetryStats


class TestLoops:
    def test_a_block_that_succeeds_runs_once(self) -> None:
        flaky = Flaky()
        again = attempts(**AT_ONCE)
        for attempt in again:
            with attempt:
                assert flaky.call() == 1
        assert flaky.calls == 1
        assert again.stats() == RetryStats(calls=1, successes=1)

    def test_a_block_that_fails_runs_again(self) -> None:
        flaky = Flaky(Oops, Oops)
        numbers = []
        again = attempts(**AT_ONCE)
        for attempt in again:
            with attempt:
                numbers.append(attempt.number)
                flaky.call()
        assert numbers == [1, 2, 3]
        assert again.stats() == RetryStats(calls=1, successes=1, retries=2)

    def test_the_last_error_comes_out(self) -> None:
        errors = [Oops(number) for number in range(5)]
        flaky = Flaky(*errors)
        again = attempts(4, name="it", **AT_ONCE)

        def block() -> None:
            for attempt in again:
                with attempt:
                    flaky.call()

        with pytest.raises(Oops) as caught:
            block()
        assert caught.value is errors[3]
        assert caught.value.__context__ is None
        assert caught.value.__notes__[0].startswith("retry of it: gave up after 4 attempts, ")
        assert again.stats() == RetryStats(calls=1, failures=1, exhausted=1, retries=3)

    def test_without_a_name_there_is_none_in_the_note(self) -> None:
        def block() -> None:
            for attempt in attempts(1):
                with attempt:
                    raise Oops

        with pytest.raises(Oops) as caught:
            block()
        assert caught.value.__notes__ == ["retry: gave up after 1 attempt"]

    def test_in_a_coroutine_delays_are_slept_on_the_loop(self) -> None:
        flaky = Flaky(*[Oops] * 3)

        async def main() -> int:
            async for attempt in attempts(5, base=0.5, rng=Steady()):
                with attempt:
                    return await flaky.call_later()
            raise AssertionError

        assert run(main()) == 4
        assert [time - flaky.times[0] for time in flaky.times] == [0.0, 0.5, 1.5, 3.5]

    @pytest.mark.parametrize("way_out", ["return", "break", "continue", "fall through"])
    def test_every_way_out_of_the_block_is_a_success(self, way_out: str) -> None:
        again = attempts(**AT_ONCE)
        flaky = Flaky(Oops)

        def block() -> str:
            for attempt in again:
                with attempt:
                    flaky.call()
                    if way_out == "return":
                        return "returned"
                    if way_out == "break":
                        break
                    if way_out == "continue":
                        continue
            else:
                return "ended"
            return "broken"

        assert block() == {"return": "returned", "break": "broken"}.get(way_out, "ended")
        assert again.stats() == RetryStats(calls=1, successes=1, retries=1)

    @pytest.mark.parametrize("way_out", ["return", "break", "continue", "fall through"])
    def test_in_a_coroutine_too(self, way_out: str) -> None:
        again = attempts(**AT_ONCE)
        flaky = Flaky(Oops)

        async def block() -> str:
            async for attempt in again:
                with attempt:
                    await flaky.call_later()
                    if way_out == "return":
                        return "returned"
                    if way_out == "break":
                        break
                    if way_out == "continue":
                        continue
            else:
                return "ended"
            return "broken"

        assert run(block()) == {"return": "returned", "break": "broken"}.get(way_out, "ended")
        assert again.stats() == RetryStats(calls=1, successes=1, retries=1)

    def test_what_follows_the_block_runs_after_failures_too(self) -> None:
        flaky = Flaky(Oops)
        seen = []
        for attempt in attempts(**AT_ONCE):
            with attempt:
                flaky.call()
            seen.append(attempt.number)
        assert seen == [1, 2]

    def test_an_error_outside_of_the_block_is_nobodys(self) -> None:
        again = attempts(**AT_ONCE)

        def block() -> None:
            for attempt in again:
                with attempt:
                    pass
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            block()
        assert again.stats() == RetryStats(calls=1, successes=1)

    def test_one_object_may_be_used_by_many_loops_at_a_time(self) -> None:
        again = attempts(4, base=1, rng=Steady())
        tried: dict[int, list[int]] = {}

        async def block(number: int) -> None:
            async for attempt in again:
                with attempt:
                    tried.setdefault(number, []).append(attempt.number)
                    await asyncio.sleep(0.1)
                    if attempt.number <= number:
                        raise Oops(number)

        async def main() -> list[BaseException | None]:
            return await asyncio.gather(*map(block, range(5)), return_exceptions=True)

        *fine, last = run(main())
        assert fine == [None] * 4
        assert isinstance(last, Oops)
        expected = {n: list(range(1, min(n + 1, 4) + 1)) for n in range(5)}
        assert tried == expected
        stats = again.stats()
        assert (stats.calls, stats.successes, stats.failures, stats.retries) == (5, 4, 1, 9)

    def test_loops_in_threads_are_counted_one_by_one(self) -> None:
        again = attempts(3, **AT_ONCE)

        def block() -> None:
            for number in range(200):
                for attempt in again:
                    with attempt:
                        if attempt.number <= number % 3:
                            raise Oops

        for thread in [spawn(block) for _ in range(4)]:
            thread.result()
        retries = 4 * sum(number % 3 for number in range(200))
        assert again.stats() == RetryStats(calls=800, successes=800, retries=retries)

    def test_loops_may_be_nested(self) -> None:
        flaky = Flaky(*[Oops] * 99)

        def block() -> None:
            for outer in attempts(3, **AT_ONCE):
                with outer:
                    for inner in attempts(2, **AT_ONCE):
                        with inner:
                            flaky.call()

        with pytest.raises(Oops):
            block()
        assert flaky.calls == 6

    def test_in_an_async_generator(self) -> None:
        flaky = Flaky(Oops, Oops)
        seen = []

        async def numbers() -> AsyncIterator[int]:
            async for attempt in attempts(base=0, timeout=50):
                with attempt:
                    seen.append(attempt.number)
                    yield await flaky.call_later()

        async def main() -> None:
            assert [number async for number in numbers()] == [3]
            flaky.calls = 0
            problems: list[Any] = []
            asyncio.get_running_loop().set_exception_handler(lambda *told: problems.append(told))
            async for _ in numbers():
                break  # abandoned inside the block, closed by a task of the loop
            await settle()
            gc.collect()
            assert problems == []

        run(main())
        assert seen == [1, 2, 3] * 2
        assert remaining() is None


class TestAttempt:
    def test_it_says_what_is_to_come(self) -> None:
        slept: list[float] = []
        seen = []

        def block() -> None:
            for attempt in attempts(3, base=0.5, sleep=slept.append):
                assert attempt.next_delay == attempt.next_delay
                with attempt as same:
                    assert same is attempt
                    seen.append((attempt.number, attempt.is_last, attempt.next_delay))
                    raise Oops

        with pytest.raises(Oops):
            block()
        assert [one[:2] for one in seen] == [(1, False), (2, False), (3, True)]
        assert [one[2] for one in seen] == [*slept, None]

    def test_without_a_limit_none_is_the_last(self) -> None:
        for attempt in attempts(None, **AT_ONCE):
            with attempt:
                assert not attempt.is_last
                assert attempt.next_delay == 0.0
                if attempt.number < 50:
                    raise Oops
                assert repr(attempt) == "<Attempt 50>"

    def test_one_that_is_over_says_what_it_said(self) -> None:
        kept: list[Attempt] = []
        for attempt in attempts(4, base=1, rng=Steady(), sleep=lambda _: None):
            with attempt:
                kept.append(attempt)
                if attempt.number < 4:
                    raise Oops
        assert [one.number for one in kept] == [1, 2, 3, 4]
        assert [one.next_delay for one in kept] == [1.0, 2.0, 4.0, None]

    def test_a_loop_without_the_block_is_an_error(self) -> None:
        message = r"^attempt 1 was not made: the loop needs `with attempt:` in it$"
        with pytest.raises(RuntimeError, match=message):
            for _ in attempts():
                pass

        async def main() -> None:
            async for _ in attempts():
                pass

        with pytest.raises(RuntimeError, match=message):
            run(main())

    def test_it_is_made_once(self) -> None:
        again = attempts(**AT_ONCE)
        seen = []

        def block(*, fails: bool) -> None:
            for attempt in again:
                with attempt:
                    seen.append("first")
                    if fails:
                        raise Oops
                with attempt:
                    seen.append("second")

        for fails in (False, True):
            with pytest.raises(RuntimeError, match=r"^attempt 1 was made already$"):
                block(fails=fails)
        assert seen == ["first", "first"]

    def test_another_one_before_it_has_ended_is_an_error(self) -> None:
        course = iter(attempts())
        with next(course), pytest.raises(RuntimeError, match=r"^attempt 1 is still running$"):
            next(course)

    def test_a_course_that_is_over_stays_so(self) -> None:
        course = iter(attempts())
        for attempt in course:
            with attempt:
                pass
        assert list(course) == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"attempts": 0}, ValueError, "attempts must be >= 1, got 0"),
        (
            {"attempts": len},
            TypeError,
            "attempts must be an int or None, got builtin_function_or_m",
        ),
        ({"on": 5}, TypeError, "on must be types of exceptions or a predicate, got int"),
        (
            {"deadline": "x"},
            TypeError,
            "deadline must be a number of seconds or a timedelta, got s",
        ),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        attempts(**options)
