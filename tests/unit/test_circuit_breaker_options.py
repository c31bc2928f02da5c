"""The options of `CircuitBreaker`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.flow._breaker import CircuitBreaker


async def coroutine_function(*_: object) -> None:
    """What cannot be called from a thread."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"failure_rate": "1"}, "failure_rate must be a number, got str"),
        ({"failure_rate": True}, "failure_rate must be a number, got bool"),
        ({"slow_rate": None}, "slow_rate must be a number, got NoneType"),
        ({"window": 1.5}, "window must be an int, got float"),
        ({"window": 5, "window_seconds": 5}, "window and window_seconds exclude each other"),
        ({"window_seconds": "5"}, "window_seconds must be a number of seconds or a timedelta"),
        ({"min_calls": "5"}, "min_calls must be an int, got str"),
        ({"slow_after": "5"}, "slow_after must be a number of seconds or a timedelta"),
        ({"open_for": None}, "open_for must be a number of seconds or a timedelta"),
        ({"max_open_for": "5"}, "max_open_for must be a number of seconds or a timedelta"),
        ({"trial_calls": 1.0}, "trial_calls must be an int, got float"),
        ({"trial_timeout": None}, "trial_timeout must be a number of seconds or a timedelta"),
        ({"jitter": "0"}, "jitter must be a number, got str"),
        ({"on": None}, "on must be types of exceptions or a predicate, got NoneType"),
        ({"on": int}, "on must be types of exceptions or a predicate, got int"),
        ({"on": [OSError]}, "on must be types of exceptions or a predicate, got list"),
        ({"on": (OSError, str)}, "on must be types of exceptions or a predicate, got str"),
        ({"on": (OSError, 5)}, "on must be types of exceptions or a predicate, got int"),
        ({"on": coroutine_function}, "on must be a plain function, got a coroutine function"),
        ({"on_change": 5}, "on_change must be callable, got int"),
        ({"on_change": coroutine_function}, "on_change must be a plain function, got a coroutine"),
        ({"timer": 5}, "timer must be callable, got int"),
        ({"name": 5}, "name must be a str, got int"),
        ({"nonsense": 5}, "nonsense"),
    ],
)
def test_wrong_types_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        CircuitBreaker(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"failure_rate": 0}, "failure_rate must be > 0 and <= 1, got 0"),
        ({"failure_rate": 1.1}, "failure_rate must be > 0 and <= 1, got 1.1"),
        ({"failure_rate": float("nan")}, "failure_rate must be finite, got nan"),
        ({"slow_rate": -0.5}, "slow_rate must be > 0 and <= 1, got -0.5"),
        ({"window": 0}, "window must be >= 1, got 0"),
        ({"window": 10**9}, "window must be <= 1000000, got 1000000000"),
        ({"window_seconds": 0}, "window_seconds must be > 0, got 0"),
        ({"min_calls": 0}, "min_calls must be >= 1, got 0"),
        ({"window": 5, "min_calls": 6}, r"min_calls must be <= window \(5\), got 6"),
        ({"min_calls": 101}, r"min_calls must be <= window \(100\), got 101"),
        ({"window_seconds": 5, "min_calls": 0}, "min_calls must be >= 1, got 0"),
        ({"slow_after": -1}, "slow_after must be > 0, got -1"),
        ({"open_for": 0}, "open_for must be > 0, got 0"),
        ({"open_for": float("inf")}, "open_for must be finite, got inf"),
        ({"open_for": 9, "max_open_for": 8}, r"max_open_for must be >= open_for \(9\), got 8"),
        ({"trial_calls": 0}, "trial_calls must be >= 1, got 0"),
        ({"trial_timeout": 0}, "trial_timeout must be > 0, got 0"),
        ({"jitter": 1}, "jitter must be >= 0 and < 1, got 1"),
        ({"jitter": -0.1}, "jitter must be >= 0 and < 1, got -0.1"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CircuitBreaker(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"failure_rate": 1, "slow_rate": 1, "jitter": 0},
        {"window": 1},
        {"window": 20, "min_calls": 20},
        {"window_seconds": timedelta(minutes=1), "min_calls": 1000},
        {"open_for": 3600},
        {"open_for": 5, "max_open_for": 5},
        {"open_for": timedelta(seconds=1), "trial_timeout": timedelta(seconds=1)},
        {"on": BaseException},
        {"on": ()},
        {"name": ""},
    ],
)
def test_limits_themselves_are_accepted(options: dict[str, Any]) -> None:
    assert CircuitBreaker(**options).state == "closed"


def test_all_options_go_by_name() -> None:
    with pytest.raises(TypeError):
        CircuitBreaker(0.5)  # type: ignore[misc]


def test_a_refused_breaker_is_not_tracked() -> None:
    from penstock import _components

    with pytest.raises(ValueError):
        CircuitBreaker(name="never made", window=0)
    assert "never made" not in [entry.name for entry in _components.entries()]


def test_a_small_window_needs_no_more_calls_than_it_holds() -> None:
    breaker = CircuitBreaker(window=3)
    for _ in range(3):
        assert breaker.state == "closed"
        with pytest.raises(OSError), breaker:
            raise OSError
    assert breaker.state == "open"


def test_it_is_open_for_a_minute_at_most_unless_it_begins_with_more() -> None:
    now = [0.0]
    for options, longest in (({"open_for": 40}, 60.0), ({"open_for": 90}, 90.0)):
        breaker = CircuitBreaker(jitter=0.0, timer=lambda: now[0], **options)
        breaker.trip()
        for _ in range(3):
            now[0] += breaker.retry_after
            with pytest.raises(OSError), breaker:
                raise OSError
        assert breaker.retry_after == longest
