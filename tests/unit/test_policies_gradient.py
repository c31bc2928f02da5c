"""`gradient`: it follows the latency, looks what that is without load, and does not climb."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.windows import Service, services, windows

from penstock.flow._gradient import Gradient, gradient
from penstock.flow._policies import Window

#: Windows until the first look, and from one that found nothing to the next.
FIRST, SECOND = 3, 10
#: Windows that a look takes.
LOOK = 5

#: Each of them is some thousand windows.
SOME = settings(max_examples=40)


def window(
    latency: float = 0.1, *, peak: int = 1000, count: int = 100, dropped: int = 0,
    seconds: float = 1.0,
) -> Window:  # fmt: skip
    return Window(count, dropped, latency, latency * 9, latency * 3, latency, peak, seconds)


def look(policy: Gradient, limit: int, latency: float = 0.1) -> int:
    """Lead a policy to its next look; return the limit of that."""
    while policy._look is None:
        limit = policy.update(window(latency), limit)
    return limit


def looked(policy: Gradient, limit: int, latency: float = 0.1) -> int:
    """Lead a policy past its next look, which finds the same latency; return the limit."""
    limit = look(policy, limit, latency)
    while policy._look is not None:
        limit = policy.update(window(latency, peak=1), limit)
    return limit


def test_gradient_starts_where_it_was_told_and_says_what_it_compares() -> None:
    policy = gradient(initial=7, min_limit=2, max_limit=30)
    assert (policy.initial, policy.max_limit, policy.window) == (7, 30, (0.1, 10))
    assert (policy.short, policy.long) == (None, None)
    policy.update(window(0.25), 7)
    assert (policy.short, policy.long) == (0.25, 0.25)
    assert repr(policy) == "gradient(min_limit=2, max_limit=30)"


def test_gradient_grows_by_a_part_of_the_allowance_while_latency_is_what_it_was() -> None:
    policy = gradient(initial=50)
    limit = looked(policy, 50)
    limits = [limit]
    for _ in range(SECOND - 1):
        limits.append(policy.update(window(0.1), limits[-1]))
    # 4 permits, smoothed by 0.2: 0.8 a window.
    assert limits[-1] - limits[0] == pytest.approx(0.8 * (SECOND - 1), abs=1)


def test_gradient_tolerates_some_slowness_and_no_more() -> None:
    for slower, grows in ((1.39, True), (1.41, False)):
        policy = gradient(initial=50)
        before = limit = looked(policy, 50)
        for _ in range(SECOND - 2):
            limit = policy.update(window(0.1 * slower), limit)
        # Just beyond what is tolerated there is no allowance to outweigh the gradient.
        assert before + 4 <= limit <= before + 8 if grows else before - 3 <= limit <= before


def test_gradient_cuts_in_proportion_and_at_most_by_half_smoothed() -> None:
    for slower, factor in ((2.0, 0.7), (2.8, 0.5), (100.0, 0.5)):
        policy = gradient(initial=100)
        limit = looked(policy, 100)
        after = policy.update(window(0.1 * slower), limit)
        assert after == pytest.approx(limit * (1 - 0.2 * (1 - factor)), abs=1)


def test_gradient_gives_up_a_latency_that_is_more_than_twice_that_of_now() -> None:
    policy = gradient(initial=50)
    limit = looked(policy, 50)
    longs = []
    for _ in range(SECOND - 1):
        limit = policy.update(window(0.045), limit)
        longs.append(policy.long)
    assert longs[:3] == pytest.approx([0.095, 0.095 * 0.95, 0.095 * 0.95**2])
    assert longs[-1] == longs[2]


def test_gradient_holds_a_limit_of_which_less_than_half_was_used() -> None:
    policy = gradient(initial=50)
    limit = looked(policy, 50)
    for latency in (0.1, 10.0, 0.001):
        for _ in range(50):
            assert policy.update(window(latency, peak=limit // 2 - 1), limit) == limit
    assert policy.update(window(0.09, peak=limit // 2 + 1), limit) != limit - 50


def test_gradient_takes_more_than_one_in_twenty_dropped_for_overload() -> None:
    policy = gradient(initial=100)
    limit = looked(policy, 100)
    assert policy.update(window(dropped=5), limit) >= limit
    policy = gradient(initial=100)
    limit = looked(policy, 100)
    assert policy.update(window(dropped=50), limit) == pytest.approx(limit * 0.9, abs=1)


def test_gradient_looks_at_half_the_limit_and_comes_back() -> None:
    policy = gradient(initial=100)
    limit = 100
    for number in range(FIRST):
        assert limit >= 100, number
        before, limit = limit, policy.update(window(0.1), limit)
    half = limit
    assert half == pytest.approx(before / 2, abs=1)
    # What was let in before is still inside: that says nothing.
    for _ in range(LOOK + 1):
        assert policy.update(window(0.3, peak=half + 1), half) == half
    latencies = [0.08, 0.1, 0.1, 0.1, 0.12]
    for latency in latencies[:-1]:
        assert policy.update(window(latency, peak=half), half) == half
    after = policy.update(window(latencies[-1], peak=half), half)
    assert after == pytest.approx(before, abs=1)
    assert policy.long == pytest.approx(0.1)


def test_gradient_waits_in_a_look_for_calls_that_began_before_it() -> None:
    policy = gradient(initial=100)
    limit, count = look(policy, 100, 2.0), 0
    # Calls of 2 s that end in windows of 0.1 s began twenty windows before.
    while policy._look is not None:
        assert policy.update(window(2.0, peak=limit, seconds=0.1), limit) == limit or count > 20
        count += 1
    assert count == pytest.approx(20 + LOOK, abs=1)


def test_gradient_stays_at_half_where_that_serves_as_many() -> None:
    policy = gradient(initial=100)
    half = limit = look(policy, 100, 1.0)
    for _ in range(LOOK):
        limit = policy.update(window(0.5, peak=half), limit)
    assert (limit, policy.long) == (half, 0.5)
    # And looks again at once.
    for _ in range(FIRST):
        limit = policy.update(window(0.5), limit)
    assert policy._look is not None
    assert limit == pytest.approx(half / 2, abs=2)


def looks_of(policy: Gradient, service: Service, count: int) -> list[int]:
    """The windows after which it began a look."""
    limits = service.drive(policy, count)
    return [at for at, (one, other) in enumerate(pairwise(limits)) if other < one * 0.6]


def test_gradient_looks_ever_more_rarely_while_nothing_changes() -> None:
    policy = gradient(initial=20, long_window=50)
    looks = looks_of(policy, Service(30, 0.02), 500)
    distances = [other - one for one, other in pairwise(looks)]
    assert looks[0] == FIRST - 1
    assert distances == [each + LOOK for each in (10, 20, 40, *[50] * (len(distances) - 3))]
    assert len(distances) > 5


def go_on(policy: Gradient, service: Service, limit: int, count: int) -> list[int]:
    """The limits that follow when the service has changed."""
    dice, limits = random.Random(1), [limit]
    for _ in range(count):
        limits.append(policy.update(service.window(policy, limits[-1], dice), limits[-1]))
    return limits


def test_gradient_looks_at_once_when_the_limit_has_halved() -> None:
    policy = gradient(initial=50)
    limit = Service(30, 0.02).drive(policy, 1000)[-1]
    after = go_on(policy, Service(30, 0.06), limit, 12)
    assert min(after) < limit / 3, "no look within 12 windows"
    assert policy.long == 0.02
    go_on(policy, Service(30, 0.06), after[-1], 12)
    assert policy.long == 0.06


@pytest.mark.parametrize("factor", [1 / 3, 3.0, 10.0, 1 / 20])
def test_gradient_finds_the_same_limit_when_the_service_becomes_slower_or_faster(
    factor: float,
) -> None:
    policy = gradient()
    before = Service(60, 0.1, noise=0.1).drive(policy, 2000)
    after = go_on(policy, Service(60, 0.1 * factor, noise=0.1), before[-1], 2000)
    assert 50 <= sum(before[-500:]) / 500 <= 95
    assert 50 <= sum(after[-500:]) / 500 <= 95


@pytest.mark.parametrize("knee", [20, 150])
def test_gradient_follows_the_knee(knee: int) -> None:
    policy = gradient()
    before = Service(60, 0.1, noise=0.1).drive(policy, 2000)
    after = go_on(policy, Service(knee, 0.1, noise=0.1), before[-1], 2000)
    assert 0.85 * knee <= sum(after[-500:]) / 500 <= 1.6 * knee


def test_gradient_goes_on_from_a_limit_that_somebody_else_has_set() -> None:
    policy = gradient(initial=50)
    looked(policy, 50)
    assert policy.update(window(), 80) == 80
    assert policy.update(window(), 80) in {80, 81}


def test_gradient_bears_clocks_that_stand_still() -> None:
    policy, limit = gradient(), 10
    for _ in range(100):
        limit = policy.update(window(0.0), limit)
        assert limit >= 1
    for _ in range(100):
        limit = policy.update(window(0.1), limit)
    assert limit >= 5


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"initial": 0}, ValueError, "initial must be >= 1, got 0"),
        ({"initial": 1001}, ValueError, "initial must be from 1 to 1000, got 1001"),
        ({"min_limit": "1"}, TypeError, "min_limit must be an int, got str"),
        ({"max_limit": 0}, ValueError, "max_limit must be >= 1, got 0"),
        ({"smoothing": 0}, ValueError, "smoothing must be > 0 and <= 1, got 0"),
        ({"smoothing": 1.1}, ValueError, "smoothing must be > 0 and <= 1, got 1.1"),
        ({"smoothing": True}, TypeError, "smoothing must be a number, got bool"),
        ({"tolerance": 0.9}, ValueError, "tolerance must be >= 1 and < 2, got 0.9"),
        ({"tolerance": 2}, ValueError, "tolerance must be >= 1 and < 2, got 2"),
        ({"tolerance": float("inf")}, ValueError, "tolerance must be finite, got inf"),
        ({"long_window": 9}, ValueError, "long_window must be >= 10, got 9"),
        ({"long_window": 600.0}, TypeError, "long_window must be an int, got float"),
        ({"interval": -1}, ValueError, "interval must be > 0, got -1"),
        ({"samples": 0}, ValueError, "samples must be >= 1, got 0"),
    ],
)
def test_gradient_refuses_what_makes_no_sense(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        gradient(**options)


@given(st.lists(windows(), max_size=60), st.integers(1, 20), st.integers(20, 200))
def test_gradient_keeps_its_promises_whatever_it_is_shown(
    shown: list[Window], low: int, high: int
) -> None:
    policy = gradient(initial=20, min_limit=low, max_limit=high)
    limit, is_looking = policy.initial, False
    for one in shown:
        before, limit = limit, policy.update(one, limit)
        assert type(limit) is int
        assert low <= limit <= high
        was_looking, is_looking = is_looking, policy._look is not None
        if was_looking:
            continue
        if one.peak * 2 < before:
            assert limit == before
        elif is_looking:
            assert limit <= max(low, before / 2 + 1)
        else:
            assert limit >= int(before * 0.9)
            assert limit <= before + 1
            is_overload = one.dropped > one.count / 20
            if is_overload or (policy.long and one.p50 > policy.long * 1.4 * 1.0001):
                assert limit <= before


@SOME
@given(services(), st.integers(1, 400))
@example(Service(1, 1.0), 400)
def test_gradient_does_not_climb_under_overload_and_comes_down_from_it(
    service: Service, initial: int
) -> None:
    policy = gradient(initial=initial)
    limits = service.drive(policy, 3000)
    settled = limits[1000:]
    assert max(settled) <= 1.4 * service.knee + 3
    # Nor does it fall without need; what is lower is a look.
    assert sorted(settled)[len(settled) // 10] >= min(0.9 * service.knee, 800) - 2


@SOME
@given(services(noise=0.3), st.integers(1, 400))
def test_gradient_does_not_climb_under_overload_where_latencies_vary(
    service: Service, initial: int
) -> None:
    policy = gradient(initial=initial)
    settled = service.drive(policy, 4000)[2000:]
    mean = sum(settled) / len(settled)
    assert mean <= 1.4 * service.knee * 1.35 + 3
    assert mean >= min(service.knee, 800) * 0.6 - 2


def test_gradient_does_not_climb_in_an_hour_of_overload() -> None:
    limits = Service(44, 0.1, noise=0.2, seed=3).drive(gradient(), 36_000)
    hours = [max(limits[at : at + 6000]) for at in range(6000, 36_000, 6000)]
    assert max(hours) <= 1.4 * 44 * 1.3
    assert max(hours) - min(hours) <= 20


@SOME
@given(services(), st.integers(1, 100))
def test_gradient_does_not_climb_when_there_is_little_to_do(service: Service, demand: int) -> None:
    limits = service.drive(gradient(), 1000, demand=demand)
    assert max(limits) <= max(10, 2 * demand + 1)
