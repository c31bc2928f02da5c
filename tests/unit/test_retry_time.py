"""Delays, timeouts and deadlines of retries, on a clock that jumps."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.clock import Clock
from tests.retrying import Flaky, Oops, Steady, now

from penstock.bench._virtual_loop import run
from penstock.errors import DeadlineExceeded
from penstock.flow._backoff import ceiling, full_jitter
from penstock.flow._deadline import deadline, remaining
from penstock.flow._retry import retry
from penstock.flow._retry_stats import RetryInfo, RetryStats

durations = st.floats(1e-6, 1e6)


class TestDelays:
    def test_the_ceiling_doubles_up_to_the_cap(self) -> None:
        assert [ceiling(0.1, 1.0, number) for number in range(1, 7)] == [0.1, 0.2, 0.4, 0.8, 1, 1]
        assert ceiling(2.0, 1.0, 1) == 1.0
        assert ceiling(0.001, 1e12, 41) == 0.001 * 2.0**40

    @given(st.floats(1e-9, 9e9), st.floats(1e-9, 9e9), st.integers(1, 10**9))
    def test_no_attempt_is_too_many(self, base: float, cap: float, number: int) -> None:
        assert 0.0 < ceiling(base, cap, number) <= cap

    @given(durations, durations, st.integers(1, 100), st.integers())
    def test_a_delay_is_anything_up_to_the_ceiling(
        self, base: float, cap: float, number: int, seed: int
    ) -> None:
        top = min(cap, base * 2.0 ** (number - 1))
        assert 0.0 <= full_jitter(base, cap, number, Random(seed)) <= top

    def test_they_are_spread_evenly(self) -> None:
        rng = Random(5)
        drawn = [full_jitter(1.0, 8.0, 3, rng) for _ in range(4000)]
        for low in range(4):
            assert 900 < sum(low <= one < low + 1 for one in drawn) < 1100

    @given(
        base=st.floats(0.001, 10),
        cap=st.floats(0.001, 10),
        failures=st.integers(0, 12),
        limit=st.floats(0.001, 30),
        inner=st.floats(0.001, 30) | st.none(),
        takes=st.sampled_from([0.0, 0.01, 0.7]),
        seed=st.integers(0, 10**6),
    )
    def test_no_delay_is_too_long_and_none_goes_beyond_a_deadline(
        self, base: float, cap: float, failures: int, limit: float, inner: float | None,
        takes: float, seed: int,
    ) -> None:  # fmt: skip
        slept: list[float] = []
        calls = 0

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            await asyncio.sleep(seconds)

        @retry(None, base=base, cap=cap, deadline=inner, rng=Random(seed), sleep=sleep)
        async def call() -> int:
            nonlocal calls
            calls += 1
            await asyncio.sleep(takes)
            if calls <= failures:
                raise Oops
            return calls

        async def main() -> None:
            start = now()
            limits = [one for one in (limit, inner) if one is not None]
            with deadline(limit):
                try:
                    assert await call() == failures + 1
                except (Oops, DeadlineExceeded):
                    stats = call.stats()
                    assert stats.failures == 1
            # A running attempt is cut off by a deadline of its own only.
            allowed = min(limits) + (takes if inner is None or inner > limit else 0.0)
            assert now() - start <= allowed + 1e-6 or calls == 1
            assert sum(slept) <= min(limits) + 1e-6
            for number, delay in enumerate(slept):
                assert 0.0 <= delay <= min(cap, base * 2**number) * (1 + 1e-9) + 1e-9

        run(main())


class TestDeadline:
    def test_a_delay_that_would_go_beyond_it_is_not_begun(self) -> None:
        flaky = Flaky(*[Oops] * 9)

        async def main() -> None:
            start = now()
            with pytest.raises(Oops):
                await call()
            assert now() - start == 3.0

        call = retry(9, base=1, deadline=6.9, rng=Steady())(flaky.call_later)
        run(main())
        assert flaky.calls == 3
        expected = RetryStats(calls=1, failures=1, retries=2, out_of_time=1, delay_seconds=3.0)
        assert call.stats() == expected

    def test_a_delay_that_fits_exactly_is_too_long(self) -> None:
        flaky = Flaky(*[Oops] * 9)
        with pytest.raises(Oops):
            run(retry(9, base=1, deadline=3, rng=Steady())(flaky.call_later)())
        assert flaky.calls == 2

    def test_a_running_attempt_is_cut_off(self) -> None:
        seen = []

        async def hang() -> None:
            seen.append(remaining())
            if len(seen) < 2:
                raise Oops("first")
            await asyncio.sleep(100)

        async def main() -> DeadlineExceeded:
            start = now()
            with pytest.raises(DeadlineExceeded) as caught:
                await call()
            assert now() - start == 5.0
            return caught.value

        call = retry(9, base=1, deadline=5, rng=Steady())(hang)
        error = run(main())
        assert seen == [5.0, 4.0]
        assert error.seconds == 5.0
        assert isinstance(error.__cause__, asyncio.CancelledError)
        gave_up, earlier = error.__notes__
        assert gave_up.endswith(": the next one would come after the deadline")
        assert earlier == "retry: attempt 1 failed with Oops('first')"
        assert call.stats().failures == call.stats().out_of_time == 1

    def test_each_call_has_one_of_its_own(self) -> None:
        @retry(2, base=1, deadline=5, rng=Steady())
        async def call(seconds: float) -> float | None:
            await asyncio.sleep(seconds)
            return remaining()

        async def main() -> None:
            one, two = asyncio.ensure_future(call(1)), asyncio.ensure_future(call(4))
            await asyncio.sleep(2)
            assert await call(4.5) == 0.5
            assert (await one, await two) == (4.0, 1.0)
            assert remaining() is None

        run(main())

    def test_for_a_function_it_limits_what_waits_below(self) -> None:
        seen = []

        @retry(3, base=0, deadline=timedelta(hours=1), sleep=lambda _: None)
        def call() -> None:
            seen.append(remaining())
            raise Oops

        with pytest.raises(Oops):
            call()
        assert len(seen) == 3
        for left in seen:
            assert left is not None
            assert 3500 < left <= 3600
        assert seen[0] >= seen[2]
        assert remaining() is None

    def test_a_function_does_not_sleep_beyond_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            clock.advance(seconds)

        monkeypatch.setattr("penstock.flow._deadline.monotonic", clock)
        call = retry(9, base=1, rng=Steady(), sleep=sleep, deadline=10)(Flaky(*[Oops] * 9).call)
        with pytest.raises(Oops):
            call()
        assert slept == [1.0, 2.0, 4.0]
        slept.clear()
        with deadline(2.5), pytest.raises(Oops):
            call()
        assert slept == [1.0]

    def test_one_around_the_call_counts_as_well(self) -> None:
        flaky = Flaky(*[Oops] * 9)
        call = retry(9, base=1, rng=Steady())(flaky.call_later)

        async def main() -> None:
            with deadline(4), pytest.raises(Oops):
                await call()
            assert now() == 1003.0
            async with deadline(4):  # the same, unless an attempt hangs
                with pytest.raises(Oops):
                    await call()

        run(main())
        assert flaky.calls == 6

    def test_its_own_error_is_not_retried_once_it_is_over(self) -> None:
        calls = []

        @retry(9, base=0)
        async def call() -> None:
            calls.append(now())
            async with deadline(5):
                await asyncio.sleep(100)

        async def main() -> None:
            with deadline(2), pytest.raises(DeadlineExceeded) as caught:
                await call()
            assert caught.value.seconds == 2.0

        run(main())
        assert calls == [1000.0]

    def test_the_error_of_another_one_below_is_retried(self) -> None:
        calls = []

        @retry(3, base=0)
        async def call() -> int:
            calls.append(now())
            async with deadline(5):
                await asyncio.sleep(100 if len(calls) < 3 else 1)
            return len(calls)

        async def main() -> None:
            with deadline(60):
                assert await call() == 3

        run(main())
        assert calls == [1000.0, 1005.0, 1010.0]

    def test_a_hook_that_takes_long_counts(self) -> None:
        async def hook(info: RetryInfo) -> None:
            await asyncio.sleep(3)

        flaky = Flaky(error := Oops(), Oops())

        async def main() -> None:
            with deadline(3.5), pytest.raises(Oops) as caught:
                await retry(base=1, rng=Steady(), on_retry=hook)(flaky.call_later)()
            assert caught.value is error
            assert now() == 1003.0

        run(main())
        assert flaky.calls == 1

    def test_so_does_one_in_a_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        slept: list[float] = []
        monkeypatch.setattr("penstock.flow._deadline.monotonic", clock)
        flaky = Flaky(Oops)
        call = retry(base=1, rng=Steady(), sleep=slept.append, on_retry=lambda _: clock.advance(3))
        with deadline(3.5), pytest.raises(Oops):
            call(flaky.call)()
        assert slept == []
        assert flaky.calls == 1

    def test_a_sleep_that_takes_longer_than_asked_counts(self) -> None:
        async def oversleep(seconds: float) -> None:
            await asyncio.sleep(seconds + 10)

        flaky = Flaky(error := Oops(), Oops())
        call = retry(base=1, rng=Steady(), sleep=oversleep)(flaky.call_later)

        async def main() -> None:
            with deadline(5), pytest.raises(Oops) as caught:
                await call()
            assert caught.value is error

        run(main())
        assert flaky.calls == 1
        expected = RetryStats(calls=1, failures=1, out_of_time=1, delay_seconds=1.0)
        assert call.stats() == expected


class TestTimeout:
    def test_each_attempt_is_cut_off(self) -> None:
        times = []

        @retry(3, base=1, timeout=5, rng=Steady())
        async def call() -> None:
            times.append(now())
            assert remaining() == 5.0
            await asyncio.sleep(100)

        with pytest.raises(TimeoutError) as caught:
            run(call())
        assert times == [1000.0, 1006.0, 1013.0]
        assert isinstance(caught.value, DeadlineExceeded)
        assert caught.value.seconds == 5.0
        expected = RetryStats(calls=1, failures=1, exhausted=1, retries=2, delay_seconds=3.0)
        assert call.stats() == expected

    def test_an_attempt_after_one_that_was_cut_off_may_succeed(self) -> None:
        seconds = [10.0, 10.0, 1.0]

        @retry(timeout=5, base=0, on=TimeoutError)
        async def call() -> str:
            await asyncio.sleep(seconds.pop(0))
            return "done"

        async def main() -> None:
            assert await call() == "done"
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0

        run(main())

    def test_it_is_not_retried_unless_it_is_for_timeouts(self) -> None:
        calls: list[float] = []

        @retry(9, timeout=5, base=0, on=OSError)  # a TimeoutError is one
        async def retried() -> None:
            calls.append(now())
            await asyncio.sleep(100)

        @retry(9, timeout=5, base=0, on=ConnectionError)
        async def not_retried() -> None:
            calls.append(now())
            await asyncio.sleep(100)

        with pytest.raises(DeadlineExceeded):
            run(retried())
        assert len(calls) == 9
        with pytest.raises(DeadlineExceeded):
            run(not_retried())
        assert len(calls) == 10

    def test_the_sooner_one_of_it_and_the_deadline_counts(self) -> None:
        ends = []

        @retry(9, timeout=4, deadline=10, base=1, rng=Steady())
        async def call() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                ends.append(now())

        with pytest.raises(DeadlineExceeded) as caught:
            run(call())
        assert ends == [1004.0, 1009.0]  # a delay of 2 s would end later than the deadline
        assert caught.value.seconds == 4.0

        ends.clear()
        with pytest.raises(DeadlineExceeded) as caught:
            run(retry(9, timeout=4, deadline=6, base=1, rng=Steady())(call.__wrapped__)())
        assert ends == [1004.0, 1006.0]
        assert caught.value.seconds == 6.0

    def test_a_plain_deadline_around_it_cuts_off_as_well(self) -> None:
        @retry(9, timeout=5, base=1, rng=Steady())
        async def call() -> None:
            await asyncio.sleep(100)

        async def main() -> None:
            with deadline(3), pytest.raises(DeadlineExceeded) as caught:
                await call()
            assert caught.value.seconds == 3.0
            assert now() == 1003.0

        run(main())
        assert call.stats() == RetryStats(calls=1, failures=1, out_of_time=1)

    def test_nothing_is_called_when_the_time_is_over_already(self) -> None:
        flaky = Flaky()
        call = retry(timeout=5)(flaky.call_later)

        async def main() -> None:
            with deadline(1):
                await asyncio.sleep(2)
                with pytest.raises(DeadlineExceeded):
                    await call()

        run(main())
        assert flaky.calls == 0
        assert call.stats() == RetryStats(calls=1, failures=1)

    @pytest.mark.parametrize("options", [{"timeout": 5}, {"timeout": timedelta(hours=1)}])
    def test_functions_cannot_be_interrupted(self, options: Any) -> None:
        with pytest.raises(
            TypeError,
            match=r"^timeout needs a coroutine function: nothing can interrupt Flaky\.call$",
        ):
            retry(**options)(Flaky().call)
