"""Breaker: closed, open, half open, and what leads from one to the other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock
from tests.permits import make_breaker


def call(breaker: Any, *outcomes: str) -> None:
    """Make calls that end so, one after the other."""
    for outcome in outcomes:
        breaker._end(breaker._begin(), outcome)


def refused(breaker: Any) -> float:
    """Try to make a call that is refused, and return after how long it may be tried again."""
    with pytest.raises(breaker.Refused) as caught:
        breaker._begin()
    (seconds,) = caught.value.args
    assert isinstance(seconds, float)
    return seconds


def changes(breaker: Any) -> list[str]:
    """The changes of state since the last look."""
    found = [f"{args[0]} > {args[1]}" for what, *args in breaker.told if what == "changed"]
    breaker.told.clear()
    return found


def opened(backend: ModuleType, clock: Clock, **options: Any) -> Any:
    """A breaker that has just opened."""
    breaker = make_breaker(backend, timer=clock, **options)
    call(breaker, "failure", "failure")
    assert changes(breaker) == ["closed > open"]
    return breaker


def half_open(backend: ModuleType, clock: Clock, **options: Any) -> tuple[Any, int]:
    """A breaker that lets calls go through on trial, and the lease of the first of them."""
    breaker = opened(backend, clock, **options)
    clock.advance(10)
    lease = breaker._begin()
    assert changes(breaker) == ["open > half_open"]
    return breaker, lease


def test_it_is_closed_at_first(backend: ModuleType) -> None:
    breaker = make_breaker(backend)
    assert breaker.state == "closed"
    assert breaker.retry_after == 0.0
    assert breaker._stats() == ("closed", 0, 0, 0, 0, 0, 0, 0, 0)


def test_while_it_is_closed_calls_go_through(backend: ModuleType) -> None:
    breaker = make_breaker(backend)
    leases = [breaker._begin() for _ in range(5)]
    assert leases == [0, 1, 2, 3, 4]
    for lease in leases:
        assert breaker._end(lease, "success") is None
    assert breaker._stats() == ("closed", 5, 0, 0, 4, 0, 0, 0, 0)
    assert breaker.told == []


def test_enough_failures_open_it(backend: ModuleType, clock: Clock) -> None:
    breaker = make_breaker(backend, timer=clock, min_calls=3)
    call(breaker, "failure", "failure")
    assert breaker.state == "closed"
    call(breaker, "success")
    assert breaker.told == [("changed", "closed", "open")]
    assert breaker.state == "open"
    assert breaker._stats() == ("open", 3, 2, 0, 3, 2, 0, 0, 1)


def test_too_few_failures_do_not_open_it(backend: ModuleType) -> None:
    breaker = make_breaker(backend, count=100, failure_rate=0.52)
    call(breaker, *["success", "failure"] * 20)
    assert breaker.state == "closed"
    call(breaker, "failure")
    assert breaker.state == "closed"
    call(breaker, "failure")
    assert breaker.state == "open"


def test_while_it_is_open_calls_are_refused(backend: ModuleType, clock: Clock) -> None:
    breaker = opened(backend, clock)
    assert refused(breaker) == breaker.retry_after == 10.0
    clock.advance(4)
    assert refused(breaker) == breaker.retry_after == 6.0
    clock.advance(5.5)
    assert refused(breaker) == breaker.retry_after == 0.5
    assert breaker._stats()[7] == 3
    assert changes(breaker) == []


def test_a_refusal_may_return_something(backend: ModuleType, clock: Clock) -> None:
    breaker = opened(backend, clock)
    breaker.acts["refuse"] = lambda breaker, seconds: ["refused", seconds]
    assert breaker._begin() == ["refused", 10.0]


def test_after_a_while_a_call_goes_through_on_trial(backend: ModuleType, clock: Clock) -> None:
    breaker = opened(backend, clock)
    clock.advance(10)
    # Looking at it changes nothing.
    assert breaker.state == breaker._stats()[0] == "half_open"
    assert breaker.retry_after == 0.0
    assert changes(breaker) == []
    lease = breaker._begin()
    assert changes(breaker) == ["open > half_open"]
    assert breaker.state == "half_open"
    call_refused = refused(breaker)
    assert call_refused == 30.0  # the lease of the trial
    breaker._end(lease, "success")
    assert changes(breaker) == ["half_open > closed"]
    assert breaker._stats() == ("closed", 3, 2, 0, 0, 0, 0, 1, 1)
    call(breaker, "failure")
    assert breaker.state == "closed"


def test_a_trial_that_fails_opens_it_again(backend: ModuleType, clock: Clock) -> None:
    breaker, lease = half_open(backend, clock, trial_calls=3)
    breaker._end(lease, "failure")
    assert changes(breaker) == ["half_open > open"]
    assert breaker.retry_after == 20.0
    assert breaker._stats()[8] == 2


def test_as_many_trials_as_asked_for_have_to_succeed(backend: ModuleType, clock: Clock) -> None:
    breaker, first = half_open(backend, clock, trial_calls=3)
    second, third = breaker._begin(), breaker._begin()
    refused(breaker)
    breaker._end(third, "success")
    breaker._end(first, "success")
    assert breaker.state == "half_open"
    # There is room for others while one is still out.
    fourth = breaker._begin()
    breaker._end(fourth, "ignored")
    breaker._end(second, "success")
    assert changes(breaker) == ["half_open > closed"]


def test_trials_that_succeeded_before_a_failure_do_not_count(
    backend: ModuleType, clock: Clock
) -> None:
    breaker, first = half_open(backend, clock, trial_calls=2)
    breaker._end(first, "success")
    call(breaker, "failure")
    clock.advance(20)
    call(breaker, "success")
    assert breaker.state == "half_open"
    call(breaker, "success")
    assert breaker.state == "closed"


def test_an_ignored_trial_only_frees_its_place(backend: ModuleType, clock: Clock) -> None:
    breaker, lease = half_open(backend, clock)
    for _ in range(5):
        refused(breaker)
        breaker._end(lease, "ignored")
        assert breaker.state == "half_open"
        lease = breaker._begin()
    assert breaker._stats()[1] == 2


def test_a_trial_that_never_ends_frees_its_place_in_time(backend: ModuleType, clock: Clock) -> None:
    breaker, stuck = half_open(backend, clock, trial_calls=2, lease=5.0)
    clock.advance(2)
    other = breaker._begin()
    clock.advance(2)
    assert refused(breaker) == 1.0
    clock.advance(1)
    fresh = breaker._begin()
    assert refused(breaker) == 2.0
    # Whatever it says now is of no interest.
    breaker._end(stuck, "failure")
    assert breaker.state == "half_open"
    assert breaker._stats()[1] == 2
    refused(breaker)
    breaker._end(other, "success")
    breaker._end(fresh, "success")
    assert breaker.state == "closed"


def test_a_late_trial_counts_if_nobody_wanted_its_place(backend: ModuleType, clock: Clock) -> None:
    breaker, lease = half_open(backend, clock, lease=5.0)
    clock.advance(100)
    breaker._end(lease, "success")
    assert breaker.state == "closed"


def test_results_of_an_older_state_are_ignored(backend: ModuleType, clock: Clock) -> None:
    breaker = make_breaker(backend, timer=clock)
    old = [breaker._begin() for _ in range(4)]
    call(breaker, "failure", "failure")
    breaker._end(old[0], "success")
    clock.advance(10)
    lease = breaker._begin()
    breaker._end(old[1], "success")
    assert breaker.state == "half_open"
    breaker._end(old[2], "failure")
    assert breaker.state == "half_open"
    breaker._end(lease, "success")
    breaker._end(old[3], "failure")
    call(breaker, "failure")
    assert breaker.state == "closed"
    assert breaker._stats()[1:4] == (4, 3, 0)


def test_a_trial_of_an_older_time_half_open_is_ignored(backend: ModuleType, clock: Clock) -> None:
    breaker, old = half_open(backend, clock, trial_calls=2)
    call(breaker, "failure")
    clock.advance(20)
    call(breaker, "success")
    breaker._end(old, "success")
    assert breaker.state == "half_open"


def test_a_lease_that_ended_is_not_ended_again(backend: ModuleType, clock: Clock) -> None:
    breaker = make_breaker(backend, timer=clock)
    lease = breaker._begin()
    breaker._end(lease, "failure")
    breaker._end(lease, "failure")
    breaker._end(lease + 1, "failure")
    breaker._end(2**31, "failure")
    assert breaker._stats() == ("closed", 1, 1, 0, 1, 1, 0, 0, 0)


def test_a_trial_that_ended_twice_frees_one_place(backend: ModuleType, clock: Clock) -> None:
    breaker, lease = half_open(backend, clock, trial_calls=2)
    other = breaker._begin()
    breaker._end(lease, "ignored")
    breaker._end(lease, "ignored")
    assert breaker._begin() == lease
    refused(breaker)
    breaker._end(other, "success")


def test_the_number_that_became_free_last_is_given_next(backend: ModuleType) -> None:
    breaker = make_breaker(backend)
    for _ in range(4):
        breaker._begin()
    for lease in (1, 3, 0):
        breaker._end(lease, "ignored")
    assert [breaker._begin() for _ in range(4)] == [0, 3, 1, 4]


def test_it_may_be_opened_by_hand(backend: ModuleType, clock: Clock) -> None:
    breaker = make_breaker(backend, timer=clock)
    assert breaker.trip() is None
    assert changes(breaker) == ["closed > open"]
    assert refused(breaker) == 10.0
    breaker.trip(3)
    assert changes(breaker) == []
    assert refused(breaker) == 3.0
    breaker.trip(seconds=timedelta(minutes=5))
    assert refused(breaker) == 300.0
    assert breaker._stats()[8] == 1


def test_one_that_is_half_open_may_be_opened_by_hand(backend: ModuleType, clock: Clock) -> None:
    breaker, lease = half_open(backend, clock)
    breaker.trip()
    assert changes(breaker) == ["half_open > open"]
    # No trial has failed.
    assert breaker.retry_after == 10.0
    breaker._end(lease, "success")
    assert breaker.state == "open"


@pytest.mark.parametrize(
    ("seconds", "error", "message"),
    [
        (0, ValueError, "seconds must be > 0, got 0"),
        (-1.5, ValueError, "seconds must be > 0, got -1.5"),
        ("1", TypeError, "seconds must be a number of seconds or a timedelta, got str"),
        (True, TypeError, "seconds must be a number of seconds or a timedelta, got bool"),
        (float("inf"), ValueError, "seconds must be finite, got inf"),
    ],
)
def test_a_time_to_be_open_is_a_duration(
    backend: ModuleType, seconds: Any, error: type[Exception], message: str
) -> None:
    breaker = make_breaker(backend)
    with pytest.raises(error) as caught:
        breaker.trip(seconds)
    assert str(caught.value) == message
    assert breaker.state == "closed"


RESET_FROM: dict[str, Callable[[ModuleType, Clock], Any]] = {
    "open": opened,
    "half_open": lambda backend, clock: half_open(backend, clock)[0],
}


@pytest.mark.parametrize("state", RESET_FROM)
def test_it_may_be_closed_by_hand(backend: ModuleType, clock: Clock, state: str) -> None:
    breaker = RESET_FROM[state](backend, clock)
    assert breaker.reset() is None
    assert changes(breaker) == [f"{state} > closed"]
    assert breaker._stats()[:7] == ("closed", 2, 2, 0, 0, 0, 0)
    call(breaker, "failure")
    assert breaker.state == "closed"
    breaker.reset()
    assert changes(breaker) == []
    call(breaker, "failure")
    assert breaker.state == "closed"


def test_closing_a_closed_one_keeps_the_calls_in_progress(backend: ModuleType) -> None:
    breaker = make_breaker(backend)
    leases = [breaker._begin() for _ in range(2)]
    breaker.reset()
    for lease in leases:
        breaker._end(lease, "failure")
    assert breaker.state == "open"


@pytest.mark.parametrize("outcome", ["dropped", "", None, 1, b"success", ["success"]])
def test_there_are_three_outcomes(backend: ModuleType, outcome: Any) -> None:
    breaker = make_breaker(backend)
    lease = breaker._begin()
    with pytest.raises(ValueError) as caught:
        breaker._end(lease, outcome)
    message = f"outcome must be 'success', 'failure' or 'ignored', got {outcome!r}"
    assert str(caught.value) == message
    breaker._end(lease, "failure")
    assert breaker._stats()[1] == 1


def test_an_ignored_call_is_not_recorded(backend: ModuleType) -> None:
    breaker = make_breaker(backend)
    call(breaker, *["ignored"] * 9, "failure")
    assert breaker._stats() == ("closed", 1, 1, 0, 1, 1, 0, 0, 0)


def test_changes_are_told_in_order_with_the_state_they_led_to(
    backend: ModuleType, clock: Clock
) -> None:
    states = []
    breaker = make_breaker(backend, timer=clock)
    breaker.acts["changed"] = lambda breaker, old, new: states.append((old, new, breaker.state))
    call(breaker, "failure", "failure")
    clock.advance(10)
    call(breaker, "failure")
    clock.advance(20)
    call(breaker, "success")
    assert states == [
        ("closed", "open", "open"),
        ("open", "half_open", "half_open"),
        ("half_open", "open", "open"),
        ("open", "half_open", "half_open"),
        ("half_open", "closed", "closed"),
    ]


def test_an_error_of_changed_reaches_the_caller_and_costs_no_place(
    backend: ModuleType, clock: Clock
) -> None:
    def fail(breaker: Any, old: str, new: str) -> None:
        raise LookupError(old, new)

    breaker = make_breaker(backend, timer=clock)
    breaker.acts["changed"] = fail
    call(breaker, "failure")
    with pytest.raises(LookupError):
        call(breaker, "failure")
    clock.advance(10)
    with pytest.raises(LookupError):
        breaker._begin()
    assert breaker.state == "half_open"
    lease = breaker._begin()
    with pytest.raises(LookupError):
        breaker._end(lease, "success")
    assert breaker.state == "closed"


def test_whoever_is_told_may_use_the_breaker(backend: ModuleType, clock: Clock) -> None:
    breaker = make_breaker(backend, timer=clock)
    breaker.acts["changed"] = lambda breaker, old, new: new == "open" and breaker.reset()
    call(breaker, "failure", "failure")
    assert changes(breaker) == ["closed > open", "open > closed"]
    assert breaker.state == "closed"
