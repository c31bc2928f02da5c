"""What `time()` returns: a with-statement and a decorator."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock
from tests.metering import init, make, set_hooks

TIMED = ["Gauge", "Summary", "Histogram"]


def told(metric: Any) -> float:
    """What the metric was told last, if once only."""
    read = metric._read()
    return read if isinstance(read, float) else read[1]


@pytest.mark.parametrize("kind", TIMED)
def test_a_block_is_timed(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind)
    with metric.time() as timer:
        assert type(timer) is backend.Timer
        assert timer.duration is None
        assert told(metric) == 0
    assert type(timer.duration) is float
    assert timer.duration >= 0
    assert told(metric) == timer.duration


def test_a_histogram_times_with_its_own_timer(backend: ModuleType, clock: Clock) -> None:
    metric = make(backend, "Histogram", timer=clock)
    with metric.time() as timer:
        clock.advance(1.5)
    assert timer.duration == 1.5
    assert metric._read()[:2] == ([0, 1, 0], 1.5)
    assert metric.max() == 1.5
    clock.now = 0.1
    with metric.time() as timer:
        clock.now = 0.3
    assert timer.duration == 0.2


def test_a_clock_that_goes_back_takes_no_time(backend: ModuleType, clock: Clock) -> None:
    clock.now = 100.0
    metric = make(backend, "Histogram", timer=clock)
    with metric.time() as timer:
        clock.advance(-5)
    assert timer.duration == 0.0
    assert type(timer.duration) is float
    assert metric._read()[:2] == ([1, 0, 0], 0)


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), GeneratorExit()])
def test_a_block_that_raises_is_timed_too(
    backend: ModuleType, clock: Clock, error: BaseException
) -> None:
    metric = make(backend, "Histogram", timer=clock)
    timer = metric.time()

    def block() -> None:
        with timer:
            clock.advance(0.5)
            raise error

    with pytest.raises(type(error)) as caught:
        block()
    assert caught.value is error
    assert timer.duration == 0.5
    assert metric._read()[0] == [1, 0, 0]


def test_leaving_returns_nothing(backend: ModuleType) -> None:
    timer = make(backend, "Summary").time()
    assert timer.__enter__() is timer
    assert timer.__exit__(None, None, None) is None
    assert timer.__enter__() is timer
    assert timer.__exit__(ValueError, ValueError("x"), None) is None


def test_a_timer_can_be_used_again(backend: ModuleType, clock: Clock) -> None:
    metric = make(backend, "Histogram", timer=clock)
    timer = metric.time()
    for seconds in (0.5, 2, 4):
        with timer:
            clock.advance(seconds)
        assert timer.duration == seconds
    assert metric._read()[:2] == ([1, 1, 1], 6.5)


def test_the_duration_cannot_be_set(backend: ModuleType) -> None:
    timer = make(backend, "Summary").time()
    with pytest.raises(AttributeError):
        timer.duration = 5


def test_a_timer_that_was_not_started_cannot_stop(backend: ModuleType) -> None:
    metric = make(backend, "Summary")
    timer = metric.time()
    with pytest.raises(RuntimeError, match=r"^timer was not started$"):
        timer.__exit__(None, None, None)
    assert timer.duration is None
    assert metric._read()[0] == 0


@pytest.mark.parametrize("kind", TIMED)
def test_a_parent_cannot_be_told_a_time(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "label")
    timer = metric.time()
    message = f"^{kind.lower()} metric is missing label values$"
    with pytest.raises(ValueError, match=message), timer:
        pass
    error = LookupError("of the block")
    with pytest.raises(ValueError, match=message) as caught, timer:
        raise error
    assert caught.value.__context__ is error


@pytest.mark.parametrize("kind", TIMED)
def test_what_is_not_initialised_cannot_be_timed(backend: ModuleType, kind: str) -> None:
    with (
        pytest.raises(RuntimeError, match=r"^metric is not initialised$"),
        getattr(backend, kind)().time(),
    ):
        pass


@pytest.mark.parametrize("kind", TIMED)
def test_the_labels_may_be_known_at_the_end_only(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "one", "two")
    with metric.time() as timer:
        assert timer.labels("a", "b") is None
    assert [child._labelvalues for child in metric._children()] == [("a", "b")]
    assert told(metric.labels("a", "b")) == timer.duration
    with metric.time() as timer:
        timer.labels(two="d", one="c")
    assert told(metric.labels("c", "d")) == timer.duration
    with pytest.raises(ValueError, match="already has labels set"):
        timer.labels("x", "y")
    with pytest.raises(ValueError, match=r"^Incorrect label count$"):
        metric.time().labels("x")


def test_labels_keep_the_clock(backend: ModuleType, clock: Clock) -> None:
    metric = make(backend, "Histogram", "label", timer=clock)
    with metric.time() as timer:
        clock.advance(5)
        timer.labels("a")
        clock.advance(2)
    assert timer.duration == 7
    assert metric.labels("a")._read()[1] == 7


def test_a_gauge_has_the_last_time(backend: ModuleType) -> None:
    gauge = make(backend, "Gauge")
    gauge.set(1e9)
    with gauge.time() as timer:
        pass
    assert gauge._read() == timer.duration < 1e9


def test_a_gauge_that_keeps_the_most_recent_value_can_be_told(backend: ModuleType) -> None:
    gauge = make(backend, "Gauge", most_recent=True)
    with gauge.time() as timer:
        pass
    assert gauge._read() == timer.duration


@pytest.mark.parametrize("kind", TIMED)
def test_a_subclass_may_do_its_own_with_the_time(backend: ModuleType, kind: str) -> None:
    method = "set" if kind == "Gauge" else "observe"
    seen: list[float] = []

    def record(self: object, amount: float) -> None:
        seen.append(amount)

    first: Any = type("First", (getattr(backend, kind),), {})
    plain = init(first(), kind)
    own = init(type("Own", (getattr(backend, kind),), {method: record})(), kind)
    deeper = init(type("Deeper", (first,), {method: record})(), kind)
    for metric in (plain, own, deeper):
        with metric.time() as timer:
            pass
        assert seen[-1:] == ([] if metric is plain else [timer.duration])
        seen.clear()
    assert told(own) == told(deeper) == 0


def test_what_observing_raises_comes_through(backend: ModuleType) -> None:
    class Broken(backend.Summary):  # type: ignore[misc, name-defined]  # of either backend
        def observe(self, amount: float) -> None:
            raise LookupError(amount)

    timer = init(Broken(), "Summary").time()
    with pytest.raises(LookupError) as caught, timer:
        pass
    assert caught.value.args == (timer.duration,)


def test_a_bad_reading_comes_through(backend: ModuleType, clock: Clock) -> None:
    metric = make(backend, "Histogram", timer=clock)
    timer = metric.time()
    clock.now = float("nan")
    with pytest.raises(ValueError, match="timer must return a finite number"):
        timer.__enter__()
    clock.now = 1.0
    timer.__enter__()
    clock.now = "2"  # type: ignore[assignment]  # on purpose
    with pytest.raises(TypeError, match="timer must return a float, got str"):
        timer.__exit__(None, None, None)
    assert metric._read()[0] == [0, 0, 0]


def test_the_clock_may_use_the_histogram(backend: ModuleType) -> None:
    busy = []

    def clock() -> float:
        if not busy:
            busy.append(True)
            metric.observe(10)
            with metric.time():
                pass
            busy.clear()
        return 0.0

    metric = make(backend, "Histogram", timer=clock)
    with metric.time():
        pass
    counts = metric._read()[0]
    assert counts[0] == counts[2] + 1


class TestDecorator:
    def test_the_hook_wraps(self, backend: ModuleType) -> None:
        metric = make(backend, "Summary")
        timer = metric.time()
        asked: list[object] = []

        def function() -> None:
            raise AssertionError("not called")

        try:
            backend.set_metric_hooks(None, lambda *args: asked.append(args) or "wrapped")
            assert timer(function) == "wrapped"
        finally:
            set_hooks(backend)
        assert asked == [(timer, function)]

    def test_what_the_hook_raises_comes_through(self, backend: ModuleType) -> None:
        def fail(timer: object, function: object) -> object:
            raise LookupError(function)

        timer = make(backend, "Summary").time()
        try:
            backend.set_metric_hooks(None, fail)
            with pytest.raises(LookupError):
                timer(len)
        finally:
            set_hooks(backend)

    def test_each_call_has_a_timer_of_its_own(self, backend: ModuleType, clock: Clock) -> None:
        metric = make(backend, "Histogram", timer=clock)

        @metric.time()
        def work(depth: int) -> int:
            """Work."""
            clock.advance(1)
            return work(depth - 1) + 1 if depth else 0

        assert work(3) == 3
        assert metric._read()[:2] == ([1, 1, 2], 1 + 2 + 3 + 4)
        assert work.__name__ == "work"
        assert work.__doc__ == "Work."

    def test_a_new_timer_has_the_metric_and_nothing_else(
        self, backend: ModuleType, clock: Clock
    ) -> None:
        metric = make(backend, "Histogram", "label", timer=clock)
        timer = metric.time()
        timer.labels("a")
        with timer:
            clock.advance(1)
        new = timer._new()
        assert type(new) is backend.Timer
        assert new.duration is None
        with pytest.raises(RuntimeError, match="not started"):
            new.__exit__(None, None, None)
        with new:
            clock.advance(5)
        assert metric.labels("a")._read()[:2] == ([1, 0, 1], 6)
        assert timer.duration == 1

    def test_a_decorated_method_and_its_errors(self, backend: ModuleType) -> None:
        metric = make(backend, "Summary")

        class Worker:
            @metric.time()
            def work(self, *, fail: bool = False) -> object:
                if fail:
                    raise LookupError
                return self

        worker = Worker()
        assert worker.work() is worker
        with pytest.raises(LookupError):
            worker.work(fail=True)
        assert metric._read()[0] == 2


def test_no_timer_without_a_metric(backend: ModuleType) -> None:
    wrong: list[Callable[[], object]] = [
        lambda: make(backend, "Counter").time(),
        lambda: make(backend, "Summary").time(1),
    ]
    for call in wrong:
        with pytest.raises((TypeError, AttributeError)):
            call()


def test_a_timer_keeps_its_metric(backend: ModuleType) -> None:
    timer = make(backend, "Summary", "label").labels("a").time()
    with timer:
        pass
    assert timer.duration is not None
