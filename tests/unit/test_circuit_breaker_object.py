"""What `CircuitBreaker` tells: changes of state, statistics, and what sort of object it is."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import weakref
from functools import partial
from typing import Any

import pytest
from tests.clock import Clock

from penstock import _components
from penstock.errors import CircuitOpen
from penstock.flow._breaker import CircuitBreaker
from penstock.flow._breaker_stats import CircuitBreakerStats


@pytest.fixture
def clock() -> Clock:
    """A clock that starts anywhere."""
    return Clock(100.0)


def small(clock: Clock, **options: Any) -> CircuitBreaker:
    """Opens after two failures among up to four calls, for ten seconds."""
    settings: dict[str, Any] = {"window": 4, "min_calls": 2, "open_for": 10, "jitter": 0.0}
    return CircuitBreaker(timer=clock, **(settings | options))


def succeed() -> str:
    return "done"


def call_badly(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(OSError), breaker:
            raise OSError


class TestOnChange:
    """Whoever wants to know."""

    def test_each_change_is_told_once(self, clock: Clock) -> None:
        told: list[object] = []
        breaker = small(clock, trial_calls=1, on_change=lambda *change: told.append(change))
        call_badly(breaker, 2)
        clock.advance(10)
        assert breaker.state == "half_open"
        assert told == [(breaker, "closed", "open")]
        breaker.call(succeed)
        assert told[1:] == [(breaker, "open", "half_open"), (breaker, "half_open", "closed")]
        breaker.reset()
        assert len(told) == 3

    def test_it_may_use_the_breaker(self, clock: Clock) -> None:
        breaker = small(clock, on_change=lambda breaker, old, new: breaker.reset())
        call_badly(breaker, 2)
        assert breaker.state == "closed"

    def test_its_errors_are_logged_and_hurt_nobody(
        self, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError

        breaker = small(clock, trial_calls=1, on_change=broken, name="db")
        call_badly(breaker, 2)
        clock.advance(10)
        assert breaker.call(succeed) == "done"
        assert breaker.state == "closed"
        assert len(caplog.records) == 3
        assert {(each.name, each.levelno) for each in caplog.records} == {
            ("penstock.flow", logging.ERROR)
        }

    def test_what_is_no_exception_comes_through_and_leaves_no_lease(self, clock: Clock) -> None:
        def interrupt(_: object, old: str, new: str) -> None:
            if new == "half_open":
                raise KeyboardInterrupt

        breaker = small(clock, trial_calls=1, on_change=interrupt)
        breaker.trip()
        clock.advance(10)
        with pytest.raises(KeyboardInterrupt):
            breaker.call(succeed)
        assert breaker.call(succeed) == "done"
        assert breaker.state == "closed"


class TestStats:
    """What is counted."""

    def test_all_figures(self, clock: Clock) -> None:
        breaker = small(clock, slow_after=1, trial_calls=1)
        assert breaker.stats() == CircuitBreakerStats()
        breaker.call(clock.advance, 2)
        call_badly(breaker)
        with pytest.raises(CircuitOpen):
            breaker.call(succeed)
        stats = breaker.stats()
        assert stats == CircuitBreakerStats(
            state="open", calls=2, failures=1, slow=1, window_calls=2, window_failures=1,
            window_slow=1, rejected=1, opened=1,
        )  # fmt: skip
        assert (stats.failure_rate, stats.slow_rate) == (0.5, 0.5)
        assert (stats.open, stats.half_open) == (1, 0)
        clock.advance(10)
        stats = breaker.stats()
        assert (stats.state, stats.open, stats.half_open) == ("half_open", 0, 1)

    def test_rates_of_nothing_are_zero(self) -> None:
        stats = CircuitBreakerStats()
        assert (stats.failure_rate, stats.slow_rate, stats.open, stats.half_open) == (0, 0, 0, 0)

    def test_a_named_breaker_is_tracked_while_it_lives(self) -> None:
        breaker = CircuitBreaker(name="test of tracking")
        assert breaker.name == "test of tracking"
        names = [entry.name for entry in _components.entries()]
        assert "test of tracking" in names
        del breaker
        gc.collect()
        names = [entry.name for entry in _components.entries()]
        assert "test of tracking" not in names


class TestObject:
    """What else it is."""

    def test_repr(self) -> None:
        assert repr(CircuitBreaker()) == "CircuitBreaker(state='closed')"
        assert repr(CircuitBreaker(name="db")) == "CircuitBreaker(state='closed', name='db')"

    @pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
    def test_it_belongs_to_one_process(self, duplicate: Any) -> None:
        with pytest.raises(TypeError, match="cannot pickle 'CircuitBreaker' object"):
            duplicate(CircuitBreaker())

    def test_it_dies_with_what_refers_to_it(self) -> None:
        cycle: list[object] = []
        breaker = CircuitBreaker(on_change=partial(id, cycle))
        cycle.append(breaker)
        breaker.call(breaker(succeed))
        gone = weakref.ref(breaker)
        del breaker, cycle
        gc.collect()
        assert gone() is None

    def test_partial_functions_are_functions(self) -> None:
        assert CircuitBreaker()(partial(int, "7"))() == 7
