"""Windows of a histogram: how they move, and what is asked of them."""

from __future__ import annotations

from datetime import timedelta
from math import ceil, inf, isnan
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends import BACKENDS, load_backend
from tests.clock import Clock
from tests.metering import make
from tests.threads import spawn

NAN = float("nan")
NS = 1_000_000_000


def histogram(backend: ModuleType, clock: Clock, window: float = 60.0) -> Any:
    return make(backend, "Histogram", window=window, timer=clock)


def figures(metric: Any, *window: object) -> list[object]:
    return [metric.count(*window), metric.mean(*window), metric.max(*window)] + [
        metric.quantile(q, *window) for q in (0, 0.5, 1)
    ]


EMPTY = [0, None, None, None, None, None]


def test_nothing_was_observed_yet(backend: ModuleType, clock: Clock) -> None:
    metric = histogram(backend, clock)
    assert figures(metric) == figures(metric, 5) == EMPTY
    metric.observe(NAN)
    assert figures(metric) == EMPTY


def test_figures_of_what_was_observed(backend: ModuleType, clock: Clock) -> None:
    metric = histogram(backend, clock)
    for amount in (4, 1, 1, 2):
        metric.observe(amount)
    count, mean, largest = metric.count(), metric.mean(), metric.max()
    assert (count, mean, largest) == (4, 2.0, 4.0)
    assert (type(count), type(mean), type(largest)) == (int, float, float)
    assert metric.quantile(0.5) == 1.0
    assert type(metric.quantile(0.5)) is float
    assert metric.quantile(q=0.5, window=60) == 1.0
    assert metric.count(window=60) == 4


def test_a_sample_leaves_between_eleven_twelfths_and_the_whole_of_the_window(
    backend: ModuleType, clock: Clock
) -> None:
    for offset in (0.0, 0.5, 4.9, 5.0, 7.0):
        clock.now = 100.0
        metric = histogram(backend, clock)
        metric.observe(1)
        clock.advance(offset)
        metric.observe(2)
        clock.now = 100 + offset + 55 - 0.001
        assert metric.max() == 2
        clock.now = 100 + offset + 60
        assert figures(metric) == EMPTY


@pytest.mark.parametrize(
    ("window", "steps"),
    [(5, 1), (1e-9, 1), (5.000000001, 2), (10, 2), (12, 3), (30, 6), (55, 11), (55.1, 12), (60, 12),
     (timedelta(seconds=5), 1), (timedelta(minutes=1), 12), (None, 12)],
)  # fmt: skip
def test_a_window_is_as_many_steps_as_cover_it(
    backend: ModuleType, clock: Clock, window: Any, steps: int
) -> None:
    metric = histogram(backend, clock)
    for _ in range(12):
        metric.observe(clock.now)
        clock.advance(5)
    clock.advance(-5)
    assert metric.count(window) == steps
    expected = [5.0 * number for number in range(12 - steps, 12)]
    assert metric.mean(window) == sum(expected) / steps
    assert metric.quantile(0, window) == pytest.approx(min(expected), rel=0.011)
    assert metric.max(window) == 55


def test_the_first_observation_begins_the_first_step(backend: ModuleType, clock: Clock) -> None:
    metric = histogram(backend, clock)
    assert metric.count() == 0  # asking begins nothing
    clock.now = 4.0
    metric.observe(1)
    clock.now = 63.9
    assert metric.count() == 1
    clock.now = 64.0
    assert metric.count() == 0


def test_children_begin_their_steps_apart(backend: ModuleType, clock: Clock) -> None:
    metric = make(backend, "Histogram", "label", timer=clock)
    metric.labels("a").observe(1)
    clock.now = 4.0
    metric.labels("b").observe(1)
    clock.now = 60.0
    assert [child.count() for child in metric._children()] == [0, 1]
    clock.now = 64.0
    assert [child.count() for child in metric._children()] == [0, 0]


def test_buckets_and_sum_stay_when_the_window_moves_on(backend: ModuleType, clock: Clock) -> None:
    metric = histogram(backend, clock)
    for number in range(40):
        metric.observe(number)
        clock.advance(13)
    assert metric._read()[:2] == ([2, 1, 37], 780)
    assert metric.count() == 4


def test_a_clock_that_goes_back_stands_still(backend: ModuleType, clock: Clock) -> None:
    clock.now = 1000.0
    metric = histogram(backend, clock)
    metric.observe(1)
    clock.now = 1030.0
    metric.observe(2)
    clock.now = -5000.0
    metric.observe(3)
    assert metric.count() == 3
    assert metric.count(5) == 2
    clock.now = 1000.0
    assert metric.count(5) == 2
    clock.now = 1034.9
    assert metric.count(5) == 2
    clock.now = 1035.0
    assert metric.count(5) == 0
    clock.now = 1060.0
    assert metric.count() == 2
    clock.now = 1030.0
    assert metric.count() == 2  # what has left does not come back
    clock.now = 1090.0
    assert metric.count() == 0


def test_a_question_moves_the_window_too(backend: ModuleType, clock: Clock) -> None:
    metric = histogram(backend, clock)
    metric.observe(1)
    clock.now = 60.0
    assert metric.count() == 0
    clock.now = 1.0
    assert metric.count() == 0
    metric.observe(2)
    clock.now = 119.9
    assert metric.count() == 1


def test_long_silences_and_extreme_readings(backend: ModuleType, clock: Clock) -> None:
    clock.now = -9e9
    metric = histogram(backend, clock)
    metric.observe(1)
    assert metric.count() == 1
    clock.now = 9e9
    assert metric.count() == 0
    metric.observe(2)
    assert figures(metric) == [1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("window", [1e-9, 1.1e-8, 1.2e-8, 1.3e-8, 1.0, 7, 86_400, 9_000_000_000])
def test_windows_of_all_lengths(backend: ModuleType, clock: Clock, window: float) -> None:
    metric = histogram(backend, clock, window)
    metric.observe(1)
    assert metric.count(window) == metric.count() == 1
    step = ceil(window * NS / 12)
    clock.now = (12 * step - 1) / NS
    assert window > 1e6 or metric.count() == 1
    clock.now = (12 * step) / NS
    assert window > 1e6 or metric.count() == 0


AMOUNTS = st.floats(0.001, 1000) | st.integers(-3, 3)
STEPS = st.sampled_from([0, 0, 0, 1, 3, 4.999999999, 5, 5.000000001, 12, 30, 60, 61, 500, -1, -40])


@pytest.mark.parametrize("name", BACKENDS)
@given(
    events=st.lists(st.tuples(STEPS, AMOUNTS), max_size=40),
    window=st.sampled_from([5, 7, 20, 59, 60]),
    start=st.sampled_from([0.0, -100.0, 1e6, 3.3]),
)
def test_windows_hold_what_a_list_of_all_samples_says(
    name: str, events: list[tuple[float, float]], window: float, start: float
) -> None:
    clock = Clock(start)
    metric = histogram(load_backend(name), clock)
    samples: list[tuple[int, float]] = []
    origin: int | None = None
    current = 0
    for wait, amount in events:
        clock.advance(wait)
        now = round(clock.now * NS)
        origin = now if origin is None else origin
        current = max(current, (now - origin) // (5 * NS))
        metric.observe(amount)
        samples.append((current, amount))
        shown = [value for slot, value in samples if slot > current - ceil(window / 5)]
        assert metric.count(window) == len(shown)
        assert metric.mean(window) == pytest.approx(sum(shown) / len(shown), abs=1e-9)
        assert metric.max(window) == max(shown)
        exact = sorted(shown)[max(1, ceil(0.4 * len(shown))) - 1]
        assert metric.quantile(0.4, window) == pytest.approx(exact, rel=0.011)


def test_without_a_timer_the_system_clock_counts(backend: ModuleType) -> None:
    metric = make(backend, "Histogram", "label")
    metric = backend.Histogram()
    metric._init("name", "Help.", "", (), None, (1.0, inf), 3600.0, None)
    for amount in range(10):
        metric.observe(amount)
    assert metric.count() == 10
    assert metric.max(5.5) == 9


class TestTimer:
    @pytest.mark.parametrize(
        ("reading", "kind", "message"),
        [
            ("1", TypeError, "timer must return a float, got str"),
            (None, TypeError, "timer must return a float, got NoneType"),
            (NAN, ValueError, "timer must return a finite number of seconds, got nan"),
            (1e300, ValueError, "timer must return a finite number of seconds, got 1e+300"),
        ],
    )
    def test_a_bad_reading_is_refused_before_anything_is_counted(
        self, backend: ModuleType, reading: Any, kind: type[Exception], message: str
    ) -> None:
        clock = Clock(reading)
        metric = histogram(backend, clock)
        for call in (lambda: metric.observe(1), metric.count, lambda: metric.quantile(0.5)):
            with pytest.raises(kind) as caught:
                call()
            assert str(caught.value) == message
        assert metric._read()[:2] == ([0, 0, 0], 0)
        clock.now = 1.0
        metric.observe(1)
        assert metric.count() == 1

    def test_what_it_raises_comes_through(self, backend: ModuleType) -> None:
        def timer() -> float:
            raise LookupError("no time")

        metric = make(backend, "Histogram", timer=timer)
        with pytest.raises(LookupError, match="no time"):
            metric.observe(1, {"a": "b"})
        assert metric._read()[0] == [0, 0, 0]
        assert metric._read()[3] == [None] * 3

    def test_it_may_use_the_histogram(self, backend: ModuleType) -> None:
        busy = []

        def timer() -> float:
            if not busy:
                busy.append(True)
                metric.observe(10)
                metric.quantile(0.5)
                metric._read()
                busy.clear()
            return 0.0

        metric = make(backend, "Histogram", timer=timer)
        metric.observe(0.5)
        assert metric._read()[:2] == ([1, 0, 1], 10.5)
        assert metric.count() == 3  # the question's own reading of the time observed one more

    def test_whole_seconds_do(self, backend: ModuleType) -> None:
        metric = make(backend, "Histogram", timer=lambda: 5)
        metric.observe(1)
        assert metric.count() == 1


def test_infinities_are_themselves(backend: ModuleType, clock: Clock) -> None:
    metric = histogram(backend, clock)
    for amount in (1, inf, 2, -inf, inf):
        metric.observe(amount)
    assert metric.quantile(0) == -inf
    assert metric.quantile(0.4) == pytest.approx(1, rel=0.011)
    assert metric.quantile(0.6) == pytest.approx(2, rel=0.011)
    assert metric.quantile(0.61) == metric.quantile(1) == inf
    assert metric.max() == inf
    assert isnan(metric.mean())


@pytest.mark.usefixtures("interleaving")
def test_questions_may_come_while_threads_observe(backend: ModuleType) -> None:
    clock = Clock()
    metric = histogram(backend, clock)

    def observe() -> None:
        for number in range(2000):
            metric.observe(1 + number % 5)
            clock.now += 0.0001

    def ask() -> None:
        last = 0
        for _ in range(1000):
            count = metric.count()
            assert count >= last
            last = count
            found = metric.quantile(0.5)
            assert found is None or 1 <= found <= 5

    for thread in [spawn(observe) for _ in range(4)] + [spawn(ask), spawn(ask)]:
        thread.result()
    assert metric.count() == 8000
    assert metric.mean() == 3
