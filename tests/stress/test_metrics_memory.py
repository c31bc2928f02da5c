"""Counting, labelling, timing and scraping for as long as one likes takes no more memory."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from tests.clock import Clock
from tests.stress.harness import in_child, resident_bytes, rounds
from tests.stress.leaks import Growth, check_no_growth

from penstock import _backend
from penstock.metrics import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

KINDS: list[Any] = [Counter, Gauge, Summary, Histogram]


def operation(metric: Any) -> Any:
    return metric.observe if hasattr(metric, "observe") else metric.inc


@in_child
def test_counting() -> None:
    for kind in KINDS:
        print(kind)
        metric = kind("name", "Help.", registry=None)
        count = operation(metric)

        def run(calls: int) -> None:
            for number in range(calls):
                count(number * 1.1)
                count(10**30 + number)
                metric._read()

        check_no_growth(run, rounds(30_000))


@in_child
def test_labelling() -> None:
    for kind in KINDS:
        print(kind)
        family = kind("name", "Help.", ["a", "b"], registry=None)

        def run(calls: int) -> None:
            for number in range(calls):
                operation(family.labels(number % 10, "x"))(1)
                operation(family.labels(b=number % 10, a=None))(1)

        check_no_growth(run)


@in_child
def test_series_that_come_and_go() -> None:
    for kind in KINDS:
        print(kind)
        family = kind("name", "Help.", ["a"], registry=None)

        def run(calls: int) -> None:
            for number in range(calls // 10):
                for value in range(5):
                    operation(family.labels(f"{number} {value}"))(1)
                family.remove(f"{number} 0")
                family.remove_by_labels({"a": f"{number} 1"})
                assert len(family._metrics) == 3
                family.clear()

        check_no_growth(run)


@in_child
def test_series_beyond_the_bound() -> None:
    for kind in KINDS:
        print(kind)
        family = kind("name", "Help.", ["a"], registry=None, max_series=100)

        def run(calls: int) -> None:
            for number in range(calls):
                operation(family.labels(f"value {number}"))(1)

        check_no_growth(run)
        assert len(family._metrics) == 101


@in_child
def test_hundred_thousand_values_of_a_label() -> None:
    family = Histogram("name", "Help.", ["a"], registry=None)
    before = resident_bytes()
    for number in range(100_000):
        family.labels(
            f"a value that is long enough to be noticed if it were kept, {number}"
        ).observe(1)
    assert len(family._metrics) == 10_001
    overflow = family.labels("__overflow__")
    assert overflow.count() == sum(overflow._read()[0]) == 90_000
    assert _backend.drops() == [("name", 90_000, 0)]
    # Some 3 kB for each series, in either backend; nothing for those that were not made.
    assert resident_bytes() - before < 10_001 * 8_000


@in_child(native_only="its series are Python objects with dicts")
def test_series_of_a_counter_is_small() -> None:
    family = Counter("name", "Help.", ["a", "b"], registry=None, max_series=None)
    values = [(str(number), str(number % 10)) for number in range(100_000)]
    before = resident_bytes()
    for one in values:
        family.labels(*one).inc()
    assert (resident_bytes() - before) / len(values) < 300


@in_child
def test_windows_that_move_on() -> None:
    clock = Clock()
    histogram = Histogram("name", "Help.", registry=None, timer=clock, window=12)

    def run(calls: int) -> None:
        for number in range(calls):
            clock.advance(0.1)
            histogram.observe(1.5 ** (number % 200 - 100) * (-1) ** number)
            if number % 100 == 0:
                histogram.quantile(0.9)
                histogram.max(1)

    check_no_growth(run)


@in_child
def test_exemplars() -> None:
    counter = Counter("events", "Help.", registry=None)
    histogram = Histogram("delay", "Help.", registry=None)

    def run(calls: int) -> None:
        for number in range(calls):
            counter.inc(1, {"trace": str(number)})
            histogram.observe(number % 12, {"trace": str(number), "span": "x"})
            counter._read()
            histogram._read()

    check_no_growth(run)


@in_child
def test_timers_and_decorators() -> None:
    histogram = Histogram("delay", "Help.", ["a"], registry=None)
    series = histogram.labels(1)
    gauge = Gauge("running", "Help.", registry=None)
    failures = Counter("failures", "Help.", registry=None)

    @series.time()
    @gauge.track_inprogress()
    @failures.count_exceptions(ValueError)
    def call(number: int) -> None:
        if number % 3 == 0:
            raise ValueError

    @series.time()
    @gauge.track_inprogress()
    def generate() -> Any:
        yield
        yield

    def run(calls: int) -> None:
        for number in range(calls // 2):
            with series.time(), contextlib.suppress(ValueError):
                call(number)
            with histogram.time() as timer:
                timer.labels(number % 2)
            next(generate())
            gauge.set_function(lambda: float(number))

    check_no_growth(run)


@in_child
def test_decorated_coroutines() -> None:
    series = Histogram("delay", "Help.", registry=None)
    gauge = Gauge("running", "Help.", registry=None)

    @series.time()
    @gauge.track_inprogress()
    async def work(number: int) -> None:
        await asyncio.sleep(0)
        if number % 3 == 0:
            raise ValueError

    @series.time()
    async def generate() -> Any:
        yield 1
        yield 2

    async def many(calls: int) -> None:
        for number in range(calls // 10):
            task = asyncio.ensure_future(work(number))
            if number % 2:
                await asyncio.sleep(0)
                task.cancel()
            with contextlib.suppress(ValueError, asyncio.CancelledError):
                await task
            assert [each async for each in generate()] == [1, 2]

    def run(calls: int) -> None:
        loop.run_until_complete(many(calls))

    loop = asyncio.new_event_loop()
    check_no_growth(run)
    loop.close()


@in_child
def test_scrapes() -> None:
    registry = CollectorRegistry()
    for kind in KINDS:
        family = kind(kind.__name__, "Help.", ["a"], registry=registry)
        for value in range(20):
            operation(family.labels(value))(value)
    families: list[Any] = list(registry._collector_to_names)
    names = frozenset({"Counter_total", "Histogram_sum"})

    def run(calls: int) -> None:
        for _ in range(calls // 200):
            generate_latest(registry)
            _backend.encode(families, True, True, names)
            list(registry.collect())
            registry.get_sample_value("Gauge", {"a": "3"})

    check_no_growth(run)


@in_child
def test_errors() -> None:
    logging.getLogger("penstock.metrics").addHandler(logging.NullHandler())
    logging.getLogger("penstock.metrics").propagate = False
    registry = CollectorRegistry()
    counter = Counter("events", "Help.", ["a"], registry=registry)
    gauge = Gauge("level", "Help.", registry=registry)
    gauge.set_function(lambda: {}[0])
    bad: list[Any] = [
        counter.inc,
        counter.labels,
        lambda: counter.labels(b=1),
        lambda: counter.labels(1).inc(-1),
        lambda: counter.labels(1).inc("x"),
        lambda: counter.labels(1).inc(float("nan")),
        lambda: counter.labels(1).inc(1, {"a": 5}),
        lambda: counter.labels(1, 2),
        counter.remove,
        lambda: counter.remove_by_labels({"x": 1}),
        gauge.collect,
        lambda: Counter("events", "Help.", registry=registry),
        lambda: Histogram("delay", "Help.", registry=None).quantile(5),
    ]

    def run(calls: int) -> None:
        for _ in range(calls // 20):
            for call in bad:
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    call()
                    raise AssertionError
            generate_latest(registry)

    check_no_growth(run)


@in_child
def test_metrics_that_are_made_and_forgotten() -> None:
    registry = CollectorRegistry()

    def run(calls: int) -> None:
        for number in range(calls // 20):
            for kind in KINDS:
                metric = kind(f"{kind.__name__}_{number % 7}", "Help.", ["a"], registry=registry)
                operation(metric.labels(1))(1)
                registry.unregister(metric)

    check_no_growth(run)


@in_child
def test_growth_would_be_noticed() -> None:
    kept = []
    growth = Growth()
    for number in range(rounds(2000)):
        kept.append(Counter("name", "Help.", ["a"], registry=None).labels(number))
    try:
        growth.check(rounds(2000))
    except AssertionError:
        return
    raise AssertionError("it was not noticed")
