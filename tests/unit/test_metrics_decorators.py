"""`time`, `count_exceptions`, `track_inprogress` around functions and blocks."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from tests.clock import Clock
from tests.measures import Measures
from tests.threads import spawn

from penstock import cached
from penstock.metrics import Counter, Gauge, Histogram, Summary

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


@pytest.fixture
def measures() -> Measures:
    return Measures()


class TestFunctions:
    """Plain ones."""

    def test_each_call_is_measured(self, measures: Measures) -> None:
        @measures.all
        def work(seconds: float, *, result: str) -> str:
            assert measures.seen()[3] == 1
            measures.clock.advance(seconds)
            return result

        assert work(2, result="a") == "a"
        assert work(seconds=3, result="b") == "b"
        assert measures.seen() == (2, 5, 0, 0)

    def test_failed_call_is_measured_and_raises(self, measures: Measures) -> None:
        errors = [ValueError("counted"), KeyError("another"), KeyboardInterrupt()]

        @measures.all
        def work(error: BaseException) -> None:
            measures.clock.advance(1)
            raise error

        for error in errors:
            with pytest.raises(type(error)) as caught:
                work(error)
            assert caught.value is error
        assert measures.seen() == (3, 3, 1, 0)

    def test_recursive_calls_have_timers_of_their_own(self, measures: Measures) -> None:
        @measures.all
        def work(depth: int) -> None:
            assert measures.seen()[3] == 4 - depth
            measures.clock.advance(1)
            if depth:
                work(depth - 1)

        work(3)
        assert measures.seen() == (4, 1 + 2 + 3 + 4, 0, 0)

    def test_calls_in_several_threads_have_timers_of_their_own(self, measures: Measures) -> None:
        inside = threading.Barrier(3)
        leave = [threading.Event() for _ in range(2)]

        @measures.all
        def work(number: int) -> None:
            inside.wait(10)
            assert leave[number].wait(10)

        threads = [spawn(work, number) for number in range(2)]
        inside.wait(10)
        assert measures.seen() == (0, 0, 0, 2)
        for number, thread in enumerate(threads):
            measures.clock.advance(1)
            leave[number].set()
            thread.result()
        assert measures.seen() == (2, 1 + 2, 0, 0)

    def test_methods_of_every_kind(self, measures: Measures) -> None:
        class Service:
            @measures.all
            def method(self) -> object:
                return self

            @classmethod
            @measures.all
            def of_class(cls) -> object:
                return cls

            @staticmethod
            @measures.all
            def static() -> str:
                return "static"

            @property
            @measures.all
            def value(self) -> int:
                return 5

        service = Service()
        assert service.method() is service
        assert service.of_class() is Service.of_class() is Service
        assert service.static() == "static"
        assert service.value == 5
        assert measures.all(service.method)() is service
        assert measures.seen()[0] == 7

    def test_callables_of_every_kind(self, measures: Measures) -> None:
        class Doubled:
            def __call__(self, number: int) -> int:
                return 2 * number

        for function in (Doubled(), functools.partial(Doubled(), 4), Mock(return_value=8)):
            assert measures.all(function)(*[] if hasattr(function, "func") else [4]) == 8
        assert measures.all(len)("four") == 4
        assert measures.all(dict)(a=1) == {"a": 1}
        assert measures.seen()[0] == 5

    def test_cached_function_is_measured_at_every_call(self, measures: Measures) -> None:
        calls = []

        @measures.all
        @cached
        def work(number: int) -> int:
            calls.append(number)
            return number

        assert [work(1), work(1), work(2)] == [1, 1, 2]
        assert calls == [1, 2]
        assert measures.seen()[0] == 3

    def test_what_is_cached_is_measured_when_it_runs(self, measures: Measures) -> None:
        work = cached(measures.all(str))
        assert [work(1), work(1), work(2)] == ["1", "1", "2"]
        assert measures.seen()[0] == 2

    def test_what_it_is_called_is_kept(self, measures: Measures) -> None:
        def work(number: int, *, flag: bool = True) -> str:
            """Do it."""
            raise NotImplementedError

        async def work_async(number: int, *, flag: bool = True) -> str:
            raise NotImplementedError

        def generate(number: int, *, flag: bool = True) -> Generator[int, None, str]:
            raise NotImplementedError
            yield

        async def generate_async(number: int, *, flag: bool = True) -> AsyncGenerator[int, None]:
            raise NotImplementedError
            yield

        kinds = [
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        ]
        for function in (work, work_async, generate, generate_async):
            decorated = measures.all(function)
            assert inspect.signature(decorated) == inspect.signature(function)
            assert inspect.unwrap(decorated) is function
            for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
                assert getattr(decorated, name) == getattr(function, name)
            assert [kind(decorated) for kind in kinds] == [kind(function) for kind in kinds]

    def test_missing_label_values_are_told_when_it_has_run(self) -> None:
        calls: list[int] = []
        work = Summary("name", "Help.", ["a"], registry=None).time()(calls.append)
        with pytest.raises(ValueError, match=r"^summary metric is missing label values$"):
            work(1)
        assert calls == [1]


class TestBlocks:
    """The same objects in ``with`` statements."""

    def test_exceptions_are_counted_by_class(self) -> None:
        for kind, counted in [(ValueError, 1), ((KeyError, OSError), 2), (Exception, 3)]:
            counter = Counter("failures", "Help.", registry=None)
            for error in (ValueError(), KeyError(), FileNotFoundError(), KeyboardInterrupt()):
                with pytest.raises(type(error)), counter.count_exceptions(kind):
                    raise error
            with counter.count_exceptions(kind):
                pass
            assert counter._value.get() == counted

    def test_all_exceptions_are_counted_by_default_and_no_others(self) -> None:
        counter = Counter("failures", "Help.", registry=None)
        for error in (ValueError(), asyncio.CancelledError(), GeneratorExit()):
            with pytest.raises(type(error)), counter.count_exceptions():
                raise error
        assert counter._value.get() == 1

    def test_blocks_in_progress_are_counted(self) -> None:
        gauge = Gauge("running", "Help.", registry=None)
        tracker = gauge.track_inprogress()
        with tracker, tracker:
            assert gauge._value.get() == 2
        with pytest.raises(ZeroDivisionError), gauge.track_inprogress():
            1 / (gauge._value.get() - 1)
        assert gauge._value.get() == 0

    def test_duration_is_there_after_the_block(self, measures: Measures) -> None:
        timer = measures.duration.time()
        assert timer.duration is None
        with timer as entered:
            measures.clock.advance(1.5)
        assert entered is timer
        assert timer.duration == 1.5
        with pytest.raises(TypeError), timer:
            1 + measures.clock.advance(2)
        assert timer.duration == 2
        assert measures.seen() == (2, 3.5, 0, 0)

    def test_label_values_can_be_given_inside_the_block(self) -> None:
        clock = Clock()
        histogram = Histogram("name", "Help.", ["a", "b"], registry=None, timer=clock)
        with histogram.time() as timer:
            clock.advance(1)
            timer.labels("x", "y")
        with histogram.time() as timer:
            timer.labels(b="y", a="x")
        assert histogram.labels("x", "y").count() == 2

    def test_gauge_and_summary_time_too(self) -> None:
        gauge, summary = (kind("name", "Help.", registry=None) for kind in (Gauge, Summary))
        for metric, value in [(gauge, gauge._value), (summary, summary._sum)]:
            with metric.time() as timer:
                pass
            assert timer.duration is not None
            assert value.get() == timer.duration >= 0


def test_a_replaced_observe_is_what_a_timer_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(Histogram, "observe", lambda self, amount: seen.append(amount))
    histogram = Histogram("seconds", "Time.", registry=None)
    with histogram.time():
        pass
    monkeypatch.undo()
    with histogram.time():
        pass
    assert (len(seen), histogram.count()) == (1, 1)
