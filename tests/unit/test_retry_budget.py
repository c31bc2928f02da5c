"""`RetryBudget`: how many retries there may be, for all calls together."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.clock import Clock
from tests.retrying import Flaky, Oops, Steady
from tests.threads import spawn

from penstock.bench._virtual_loop import run
from penstock.flow._attempts import attempts
from penstock.flow._budget import RetryBudget
from penstock.flow._retry import retry
from penstock.flow._retry_stats import RetryStats


@pytest.fixture
def clock() -> Clock:
    """A clock at some time."""
    return Clock(1234.5)


def withdrawn(budget: RetryBudget, tries: int = 1000) -> int:
    """How many of so many retries there may be."""
    return sum(budget.try_withdraw() for _ in range(tries))


def test_some_retries_are_allowed_without_any_call(clock: Clock) -> None:
    budget = RetryBudget(ttl=10, min_per_second=3, timer=clock)
    assert budget.available == 30
    assert withdrawn(budget) == 30
    assert budget.available == 0


def test_calls_pay_for_retries(clock: Clock) -> None:
    budget = RetryBudget(min_per_second=0, ratio=0.1, timer=clock)
    for _ in range(9):
        budget.deposit()
    assert withdrawn(budget) == 0
    budget.deposit()
    assert withdrawn(budget) == 1
    for _ in range(255):
        budget.deposit()
    assert budget.available == 25
    assert withdrawn(budget) == 25


@pytest.mark.parametrize(("ratio", "calls", "retries"), [(0, 99, 0), (1, 7, 7), (2.5, 3, 7)])
def test_the_ratio_may_be_any(clock: Clock, ratio: float, calls: int, retries: int) -> None:
    budget = RetryBudget(min_per_second=0, ratio=ratio, timer=clock)
    for _ in range(calls):
        budget.deposit()
    assert withdrawn(budget) == retries


def test_calls_are_forgotten_after_their_time(clock: Clock) -> None:
    budget = RetryBudget(ttl=10, min_per_second=0, ratio=1, timer=clock)
    for _ in range(10):
        budget.deposit()
        clock.advance(1)
    assert budget.available == 9  # the first is ten seconds old
    clock.advance(4)
    assert budget.available == 5
    clock.advance(60)
    assert budget.available == 0


def test_retries_are_forgotten_after_their_time(clock: Clock) -> None:
    budget = RetryBudget(ttl=10, min_per_second=1, ratio=0, timer=clock)
    assert withdrawn(budget) == 10
    clock.advance(9.9)
    assert withdrawn(budget) == 0
    clock.advance(0.1)
    assert withdrawn(budget) == 10


def test_retries_that_outlive_the_calls_that_paid_count_as_none_left(clock: Clock) -> None:
    budget = RetryBudget(ttl=10, min_per_second=0, ratio=1, timer=clock)
    budget.deposit()
    clock.advance(8)
    assert budget.try_withdraw()
    clock.advance(3)
    assert budget.available == 0
    budget.deposit()
    assert not budget.try_withdraw()
    clock.advance(8)
    assert budget.available == 1


def test_a_clock_that_goes_back_changes_nothing(clock: Clock) -> None:
    budget = RetryBudget(ttl=10, min_per_second=0, ratio=1, timer=clock)
    clock.advance(5)
    budget.deposit()
    for step in (-3, -1000, 999):
        clock.advance(step)
        budget.deposit()
    assert budget.available == 4
    clock.advance(14)
    assert budget.available == 0


def test_a_clock_that_jumps_far_ahead_does_no_work(clock: Clock) -> None:
    budget = RetryBudget(timer=clock)
    clock.advance(1e15)
    assert budget.available == 30


# Numbers that are exact, as is a tenth of each time to live below.
seconds = st.integers(0, 240).map(lambda sixteenths: sixteenths / 16)
steps = st.lists(
    st.tuples(st.just("pass"), seconds) | st.tuples(st.sampled_from(["in", "out"])), max_size=80
)


@given(
    steps,
    st.sampled_from([0.625, 10.0, 60.0]),
    st.sampled_from([0.0, 0.3, 3.0]),
    st.sampled_from([0.0, 0.1, 0.25, 1.5]),
)
def test_there_are_never_more_retries_than_the_calls_allow(
    actions: list[tuple[Any, ...]], ttl: float, minimum: float, ratio: float
) -> None:
    clock = Clock()
    budget = RetryBudget(ttl=ttl, min_per_second=minimum, ratio=ratio, timer=clock)
    history: list[tuple[int, str]] = []
    for action, *seconds in actions:
        if action == "pass":
            clock.advance(*seconds)
        slot = int(clock.now / (ttl / 10))
        if action == "in":
            budget.deposit()
            history.append((slot, "in"))
        # What a plain sum over the last ten tenths of the time says.
        recent = [what for when, what in history if when > slot - 10]
        share = Fraction(str(ratio)) * recent.count("in") + Fraction(str(minimum)) * Fraction(ttl)
        allowed = share - recent.count("out")
        assert budget.available == max(0, allowed // 1)
        if action == "out":
            assert budget.try_withdraw() is (allowed >= 1)
            if allowed >= 1:
                history.append((slot, "out"))


def test_threads_share_it_to_the_unit(clock: Clock) -> None:
    budget = RetryBudget(min_per_second=0, ratio=0.5, timer=clock)

    def calls() -> int:
        got = 0
        for _ in range(500):
            budget.deposit()
            got += budget.try_withdraw()
        return got

    threads = [spawn(calls) for _ in range(4)]
    assert sum(thread.result() for thread in threads) + budget.available == 1000


class TestInRetries:
    def test_each_retry_takes_from_it(self, clock: Clock) -> None:
        budget = RetryBudget(min_per_second=0.5, ratio=0, timer=clock)
        flaky = Flaky(*[Oops] * 99)
        call = retry(9, base=0, budget=budget, sleep=lambda _: None)(flaky.call)
        with pytest.raises(Oops) as caught:
            call()
        assert flaky.calls == 6
        assert call.stats() == RetryStats(calls=1, failures=1, retries=5, out_of_budget=1)
        [note] = caught.value.__notes__
        assert note.endswith(": the retry budget is exhausted")
        with pytest.raises(Oops):
            call()
        assert flaky.calls == 7

    def test_many_concurrent_calls_retry_no_more_than_it_allows(self) -> None:
        clock = Clock()
        budget = RetryBudget(ttl=10, min_per_second=2, ratio=0.1, timer=clock)
        tries = []

        @retry(5, base=0.01, budget=budget)
        async def down(number: int) -> None:
            tries.append(number)
            await asyncio.sleep(0.01 * (number % 7))
            raise Oops

        async def main() -> None:
            results = await asyncio.gather(*map(down, range(500)), return_exceptions=True)
            assert all(isinstance(result, Oops) for result in results)

        run(main())
        assert len(tries) == 500 + 500 * 0.1 + 20
        stats = down.stats()
        assert (stats.calls, stats.failures, stats.retries) == (500, 500, 70)
        assert stats.out_of_budget + stats.exhausted == 500
        assert budget.available == 0

    def test_calls_that_succeed_pay_for_those_that_fail(self, clock: Clock) -> None:
        budget = RetryBudget(min_per_second=0, ratio=0.1, timer=clock)

        @retry(budget=budget)
        async def fine() -> None:
            pass

        async def main() -> None:
            for _ in range(40):
                await fine()

        run(main())
        assert budget.available == 4

    @pytest.mark.parametrize("options", [{}, {"deadline": 3600}])
    def test_a_call_pays_once_whatever_becomes_of_it(self, clock: Clock, options: Any) -> None:
        budget = RetryBudget(min_per_second=0, ratio=1, timer=clock)
        at_once: Any = {"base": 0, "sleep": lambda _: None}
        call = retry(3, budget=budget, **at_once, **options)(Flaky(*[Oops] * 3).call)
        with pytest.raises(Oops):
            call()  # pays 1, takes 1
        assert budget.available == 0
        call()  # pays 1, takes 1
        call()
        assert budget.available == 1
        for attempt in attempts(budget=budget):
            with attempt:
                pass
        assert budget.available == 2

    def test_what_is_not_retried_anyway_takes_nothing(self, clock: Clock) -> None:
        budget = RetryBudget(timer=clock)
        for options in ({"attempts": 1}, {"on": KeyError}, {"deadline": 1, "base": 1e6}):
            call = retry(budget=budget, cap=1e6, rng=Steady(), **options)(Flaky(Oops).call)  # type: ignore[arg-type]
            with pytest.raises(Oops):
                call()
        assert budget.available == 30


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ttl": 0}, ValueError, "ttl must be > 0, got 0"),
        ({"ttl": "10"}, TypeError, "ttl must be a number of seconds or a timedelta, got str"),
        ({"min_per_second": -1}, ValueError, "min_per_second must be >= 0, got -1"),
        ({"min_per_second": "3"}, TypeError, "min_per_second must be a number, got str"),
        ({"min_per_second": True}, TypeError, "min_per_second must be a number, got bool"),
        (
            {"min_per_second": 1e300},
            ValueError,
            r"min_per_second must be <= 1000000000, got 1e\+300",
        ),
        ({"ratio": -0.1}, ValueError, "ratio must be >= 0, got -0.1"),
        ({"ratio": float("nan")}, ValueError, "ratio must be finite, got nan"),
        ({"ratio": float("inf")}, ValueError, "ratio must be finite, got inf"),
        ({"ratio": None}, TypeError, "ratio must be a number, got NoneType"),
        ({"timer": 5}, TypeError, "timer must be callable, got int"),
    ],
)
def test_wrong_arguments_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        RetryBudget(**options)


def test_it_says_what_it_was_made_of() -> None:
    budget = RetryBudget(ttl=timedelta(minutes=1), min_per_second=2, ratio=0.25)
    assert (budget.ttl, budget.min_per_second, budget.ratio) == (60.0, 2.0, 0.25)
    assert repr(budget) == "RetryBudget(ttl=60, min_per_second=2, ratio=0.25)"
    assert repr(RetryBudget()) == "RetryBudget(ttl=10, min_per_second=3, ratio=0.1)"
