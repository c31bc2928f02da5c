"""`fixed` and `aimd`: what follows from a window, and what never does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.windows import services, windows

from penstock.flow._policies import Window, aimd, fixed

TARGET = 0.1

#: Each of them is some thousand windows.
SOME = settings(max_examples=40)


def window(
    latency: float = 0.01, *, p50: float | None = None, peak: int = 1000, count: int = 100,
    dropped: int = 0,
) -> Window:  # fmt: skip
    median = latency if p50 is None else p50
    return Window(count, dropped, median, latency, median, median / 2, peak, 0.1)


def test_fixed_limit_stays() -> None:
    policy = fixed(7)
    assert (policy.initial, policy.max_limit, policy.window) == (7, 7, None)
    assert policy.update(window(99.0), 7) == 7
    assert repr(policy) == "fixed(7)"


def test_aimd_grows_by_one_within_the_target_up_to_the_highest_limit() -> None:
    policy = aimd(TARGET, initial=3, max_limit=6)
    limits = [3]
    for _ in range(5):
        limits.append(policy.update(window(TARGET), limits[-1]))
    assert limits == [3, 4, 5, 6, 6, 6]


def test_aimd_cuts_above_the_target_down_to_the_lowest_limit() -> None:
    policy = aimd(TARGET, initial=100, min_limit=30, backoff=0.5)
    limits = [100]
    for _ in range(3):
        limits.append(policy.update(window(TARGET * 1.001), limits[-1]))
    assert limits == [100, 50, 30, 30]


def test_aimd_counts_in_fractions_so_that_small_cuts_add_up() -> None:
    policy, limit = aimd(TARGET, initial=5), 5
    seen = []
    for _ in range(8):
        seen.append(limit := policy.update(window(1.0), limit))
    assert seen == [4, 4, 3, 3, 2, 2, 2, 2]
    for _ in range(10):
        limit = policy.update(window(1.0), limit)
    assert limit == 1


def test_aimd_holds_a_limit_of_which_less_than_half_was_used() -> None:
    policy = aimd(TARGET, initial=10)
    assert policy.update(window(peak=4), 10) == 10
    assert policy.update(window(peak=5), 10) == 11


def test_aimd_cuts_a_limit_that_does_not_bind_when_it_is_too_high() -> None:
    # Or it would be far too high by the time that it does.
    policy = aimd(TARGET, initial=100)
    assert policy.update(window(1.0, peak=4), 100) == 90


def test_aimd_looks_at_the_percentile_that_it_was_told() -> None:
    slow_tail = window(1.0, p50=0.01)
    assert aimd(TARGET).update(slow_tail, 10) == 9
    assert aimd(TARGET, quantile="p50").update(slow_tail, 10) == 11
    assert aimd(TARGET, quantile="p50").update(window(1.0), 10) == 9


def test_aimd_takes_more_than_one_in_twenty_dropped_for_overload() -> None:
    assert aimd(TARGET).update(window(count=100, dropped=5), 10) == 11
    assert aimd(TARGET).update(window(count=100, dropped=6), 10) == 9
    assert aimd(TARGET).update(window(count=10, dropped=1), 10) == 9


def test_aimd_goes_on_from_a_limit_that_somebody_else_has_set() -> None:
    policy = aimd(TARGET, initial=10)
    assert policy.update(window(), 40) == 41
    assert policy.update(window(1.0), 20) == 18


def test_aimd_says_what_it_compares() -> None:
    policy = aimd(timedelta(seconds=0.5), min_limit=2, max_limit=30)
    assert (policy.short, policy.long) == (None, 0.5)
    policy.update(window(0.25), 10)
    assert policy.short == 0.25
    assert repr(policy) == "aimd(0.5, min_limit=2, max_limit=30)"
    assert (policy.initial, policy.max_limit, policy.window) == (10, 30, (0.1, 10))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target_latency": 0}, ValueError, "target_latency must be > 0, got 0"),
        ({"target_latency": "1"}, TypeError, "target_latency must be a number of seconds or a "),
        ({"initial": 0}, ValueError, "initial must be >= 1, got 0"),
        ({"initial": 2000}, ValueError, "initial must be from 1 to 1000, got 2000"),
        ({"initial": 5, "min_limit": 6}, ValueError, "initial must be from 6 to 1000, got 5"),
        ({"initial": 1.5}, TypeError, "initial must be an int, got float"),
        ({"min_limit": 0}, ValueError, "min_limit must be >= 1, got 0"),
        ({"min_limit": True}, TypeError, "min_limit must be an int, got bool"),
        ({"max_limit": 0}, ValueError, "max_limit must be >= 1, got 0"),
        ({"min_limit": 9, "max_limit": 8}, ValueError, r"max_limit must be >= min_limit \(9\), go"),
        ({"backoff": 0.4}, ValueError, "backoff must be >= 0.5 and < 1, got 0.4"),
        ({"backoff": 1}, ValueError, "backoff must be >= 0.5 and < 1, got 1"),
        ({"backoff": "0.9"}, TypeError, "backoff must be a number, got str"),
        ({"backoff": float("nan")}, ValueError, "backoff must be finite, got nan"),
        ({"backoff": 10**400}, ValueError, "backoff must be finite, got an int that no float"),
        ({"quantile": "p95"}, ValueError, "quantile must be 'p50' or 'p90', got 'p95'"),
        ({"quantile": ["p50"]}, ValueError, r"quantile must be 'p50' or 'p90', got \['p50'\]"),
        ({"interval": 0}, ValueError, "interval must be > 0, got 0"),
        ({"interval": None}, TypeError, "interval must be a number of seconds or a timedelta"),
        ({"samples": 0}, ValueError, "samples must be >= 1, got 0"),
        ({"samples": 1.0}, TypeError, "samples must be an int, got float"),
    ],
)
def test_aimd_refuses_what_makes_no_sense(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        aimd(**({"target_latency": 1.0} | options))


@given(st.lists(windows()), st.integers(1, 20), st.integers(20, 200), st.floats(0.5, 0.99))
def test_aimd_keeps_its_promises_whatever_it_is_shown(
    shown: list[Window], low: int, high: int, backoff: float
) -> None:
    policy = aimd(TARGET, initial=20, min_limit=low, max_limit=high, backoff=backoff)
    limit = policy.initial
    for one in shown:
        before, limit = limit, policy.update(one, limit)
        assert type(limit) is int
        assert low <= limit <= high
        is_overload = one.p90 > TARGET or one.dropped > one.count / 20
        if is_overload:
            assert limit <= before
            assert limit >= int(before * backoff)
        else:
            assert before <= limit <= before + 1
            if one.peak < before / 2:
                assert limit == before


@SOME
@given(services(), st.floats(1.1, 5.0), st.integers(1, 300))
def test_aimd_finds_the_limit_at_which_the_target_is_kept(
    service: Any, slower: float, initial: int
) -> None:
    policy = aimd(service.latency * slower, initial=initial)
    limits = service.drive(policy, 1500)
    assert max(limits[1000:]) <= service.knee * slower + 1
    assert min(limits[1000:]) >= int(0.9 * min(service.knee * slower - 1, 999)) - 1


@SOME
@given(services(), st.integers(1, 300))
def test_aimd_falls_to_the_lowest_limit_when_the_target_cannot_be_kept(
    service: Any, initial: int
) -> None:
    policy = aimd(service.latency * 0.9, initial=initial)
    assert service.drive(policy, 100)[-1] == 1


@SOME
@given(services(), st.integers(1, 100))
def test_aimd_does_not_climb_when_there_is_little_to_do(service: Any, demand: int) -> None:
    policy = aimd(service.latency * 100, initial=10)
    limits = service.drive(policy, 500, demand=demand)
    assert max(limits) <= max(10, 2 * demand + 1)
