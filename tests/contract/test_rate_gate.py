"""RateGate: so many per second, some of them at once."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.clock import Clock
from tests.permits import make_gate


def test_a_burst_goes_through_and_then_one_per_interval(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 4.0, 3, clock)
    assert (gate.rate, gate.burst, gate.available) == (4.0, 3, 3)
    assert [gate.try_acquire() for _ in range(4)] == [True, True, True, False]
    assert gate.available == 0
    for _ in range(3):
        clock.advance(0.25)
        assert gate.available == 1
        assert gate.try_acquire()
        assert not gate.try_acquire()
    clock.advance(100)
    assert gate.available == 3
    assert [gate.try_acquire() for _ in range(4)] == [True, True, True, False]
    assert gate._stats() == (9, 0)
    assert gate.told == []


def test_without_a_burst_they_are_spaced_evenly(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 2.0, 1, clock)
    times = []
    for _ in range(40):
        if gate.try_acquire():
            times.append(clock.now)
        clock.advance(0.125)
    assert times == [0.5 * number for number in range(10)]


def test_it_says_how_long_to_wait(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 2.0, 4, clock)
    assert gate._take(3) == 0.0
    assert gate._take(3) == 1.0
    assert gate._take() == 0.0
    assert gate._take() == 0.5
    assert gate._take(4) == 2.0
    clock.advance(1.875)
    assert gate._take(4) == 0.125
    clock.advance(0.125)
    assert gate._take(4) == 0.0
    assert gate._stats()[0] == 3


def test_what_is_refused_costs_nothing(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 1.0, 2, clock)
    gate._take(2)
    for _ in range(50):
        assert not gate.try_acquire()
        assert gate._take(2) == 2.0
    clock.advance(2)
    assert gate._take(2) == 0.0


def test_a_weight_counts_for_several(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 10.0, 5, clock)
    assert gate.try_acquire(3)
    assert gate.available == 2
    assert not gate.try_acquire(3)
    assert gate.try_acquire(weight=2)
    clock.advance(0.25)
    assert gate.available == 2
    assert not gate.try_acquire(3)
    assert gate._stats() == (2, 0)


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ("1", TypeError, "weight must be an int, got str"),
        (1.0, TypeError, "weight must be an int, got float"),
        (None, TypeError, "weight must be an int, got NoneType"),
        (True, TypeError, "weight must be an int, got bool"),
        (0, ValueError, "weight must be >= 1, got 0"),
        (-3, ValueError, "weight must be >= 1, got -3"),
        (6, ValueError, "weight must be <= burst (5), got 6"),
        (2**63, ValueError, f"weight must be <= {2**63 - 1}, got {2**63}"),
    ],
)
@pytest.mark.parametrize("method", ["acquire", "try_acquire", "_take"])
def test_a_weight_is_a_whole_number_up_to_the_burst(
    backend: ModuleType, method: str, weight: Any, error: type[Exception], message: str
) -> None:
    gate = make_gate(backend, 1.0, 5, Clock())
    with pytest.raises(error) as caught:
        getattr(gate, method)(weight)
    assert str(caught.value) == message
    assert gate.available == 5


def test_whoever_is_early_waits(backend: ModuleType, clock: Clock) -> None:
    async def main() -> None:
        assert type(gate.acquire()) is backend.Ready
        gate._set_rate(1.0, 2)
        assert await gate.acquire() is None
        clock.advance(1)
        async with gate as entered:
            assert entered is None

    gate = make_gate(backend, 1.0, 1, clock)
    asyncio.run(main())
    assert gate.told == []
    deadline = object()
    assert gate.acquire() == "waiting"
    assert gate.acquire(2, deadline=deadline) == "waiting"
    assert gate.__aenter__() == "waiting"
    assert gate.told == [("wait", 1, None), ("wait", 2, deadline), ("wait", 1, None)]
    assert gate._stats() == (3, 0)


def test_a_thread_blocks_when_it_is_early(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 1.0, 1, clock)
    with gate as entered:
        assert entered is None
        assert gate.told == []
        assert gate.__enter__() is None
        assert gate.told == [("block", 1, None)]


def test_leaving_a_block_gives_nothing_back(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 1.0, 3, clock)
    with gate:
        pass
    with pytest.raises(LookupError), gate:
        raise LookupError

    async def main() -> None:
        async with gate:
            pass
        with pytest.raises(LookupError):
            async with gate:
                raise LookupError

    gate._set_rate(1.0, 4)
    asyncio.run(main())
    assert gate.available == 0


def test_nobody_overtakes_those_in_line(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 1.0, 5, clock)
    gate._hold(1)
    gate._hold(1)
    assert gate._stats() == (0, 2)
    assert gate.try_acquire() is False
    assert gate.acquire() == "waiting"
    assert gate.__aenter__() == "waiting"
    gate.__enter__()
    assert len(gate.told) == 3
    # The one in line itself takes.
    assert gate._take(2) == 0.0
    assert gate.available == 3
    gate._hold(-1)
    assert gate.try_acquire() is False
    gate._hold(-1)
    assert gate.try_acquire() is True
    gate._hold(-1)
    assert gate._stats() == (2, 0)


def test_a_clock_that_goes_back_stands_still(backend: ModuleType) -> None:
    clock = Clock(-7.0)
    gate = make_gate(backend, 1.0, 2, clock)
    assert gate._take(2) == 0.0
    clock.advance(1)
    assert gate.available == 1
    clock.advance(-50)
    assert gate.available == 1
    assert gate._take(2) == 1.0
    assert gate.try_acquire()
    assert gate._take(2) == 2.0
    clock.advance(50)
    assert gate._take(2) == 2.0
    clock.advance(1)
    assert gate._take(2) == 1.0


def test_a_lower_rate_makes_the_debt_last_longer(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 10.0, 4, clock)
    gate._take(4)
    clock.advance(0.1)
    assert gate.available == 1
    gate._set_rate(1.0, 4)
    assert (gate.rate, gate.burst, gate.available) == (1.0, 4, 1)
    assert gate._take(2) == 1.0
    gate._set_rate(100, 4)
    assert gate.rate == 100.0
    assert type(gate.rate) is float
    assert gate._take(2) == 0.01


def test_another_burst_counts_from_what_is_owed(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 1.0, 4, clock)
    gate._take(3)
    gate._set_rate(1.0, 2)
    assert gate.available == 0
    assert gate._take(2) == 3.0
    gate._set_rate(1.0, 9)
    assert gate.available == 6
    assert gate._take(6) == 0.0


def test_a_change_of_rate_forgives_no_debt_and_adds_none(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 4.0, 2, clock)
    gate._set_rate(0.5, 2)
    assert gate.available == 2
    gate._take(2)
    clock.advance(3600)
    gate._set_rate(0.25, 2)
    assert gate.available == 2


def test_rates_may_be_very_high_and_very_low(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 1e12, 1, clock)
    assert gate.try_acquire()
    assert gate._take() == 1e-9
    gate = make_gate(backend, 1e-6, 1, clock)
    assert gate.try_acquire()
    assert gate._take() == 1e6


def test_without_a_timer_time_passes_all_the_same(backend: ModuleType) -> None:
    gate = make_gate(backend, 1e8, 1)
    assert gate._take() == 0.0
    for _ in range(1000):
        if gate.try_acquire():
            break
    else:
        pytest.fail("never let through again")
    slow = make_gate(backend, 0.001, 1)
    assert slow.try_acquire()
    assert 900 < slow._take() <= 1000


def test_setting_up_anew_forgets_the_debt(backend: ModuleType, clock: Clock) -> None:
    gate = make_gate(backend, 1.0, 1, clock)
    gate.try_acquire()
    gate._init(2.0, 3, clock)
    assert (gate.rate, gate.available) == (2.0, 3)


STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1, 1, 250, 333, 1000, 5000]), st.integers(1, 4)), max_size=60
)


def test_no_window_of_any_length_admits_too_many(backend: ModuleType) -> None:
    @given(STEPS, st.sampled_from([1.0, 4.0, 3.0, 0.7, 100.0]), st.integers(4, 9))
    def check(steps: list[tuple[int, int]], rate: float, burst: int) -> None:
        clock = Clock()
        gate = make_gate(backend, rate, burst, clock)
        taken: list[tuple[float, int]] = []
        now = 0
        for milliseconds, weight in steps:
            now += milliseconds
            clock.now = now / 1000
            if gate.try_acquire(weight):
                taken.append((clock.now, weight))
        for first, (begin, _) in enumerate(taken):
            total = 0
            for end, weight in taken[first:]:
                total += weight
                # Nanoseconds are rounded: a millionth of one more.
                assert total <= burst + rate * (end - begin) * (1 + 1e-6) + 1e-6

    check()


def test_it_is_a_bucket_that_fills_at_the_rate(backend: ModuleType) -> None:
    """A model in fractions of tokens: as much is let through as may be."""

    @given(STEPS, st.sampled_from([1, 4, 5, 100]), st.integers(4, 9))
    def check(steps: list[tuple[int, int]], rate: int, burst: int) -> None:
        clock = Clock()
        gate = make_gate(backend, float(rate), burst, clock)
        tokens, now = burst * 1000, 0  # thousandths
        for milliseconds, weight in steps:
            now += milliseconds
            clock.now = now / 1000
            tokens = min(tokens + milliseconds * rate, burst * 1000)
            assert gate.available == tokens // 1000
            missing = weight * 1000 - tokens
            if missing <= 0:
                tokens -= weight * 1000
            assert gate._take(weight) == pytest.approx(max(missing, 0) / rate / 1000)

    check()
