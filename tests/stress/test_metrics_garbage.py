"""Metrics, series, timers and whatever they refer to die when nobody uses them, cycles included."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import contextlib
import gc
import logging
import weakref
from typing import Any

from tests.stress.harness import collect, in_child
from tests.stress.leaks import Node, check_dies

from penstock.metrics import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

KINDS: list[Any] = [Counter, Gauge, Summary, Histogram]


def mortal(kind: Any) -> Any:
    """A class like this one, whose metrics one can see die and hang things on."""
    return type(kind.__name__, (kind,), {})


def use(series: Any) -> None:
    (series.observe if hasattr(series, "observe") else series.inc)(1)


@in_child
def test_metric_that_refers_to_itself() -> None:
    for kind in KINDS:
        print(kind)

        def make() -> object:
            metric = mortal(kind)("name", "Help.", registry=None)
            metric.self = metric
            use(metric)
            return metric

        check_dies(make)


@in_child
def test_family_and_series_that_refer_to_each_other() -> None:
    for kind in KINDS:
        print(kind)

        def make() -> object:
            family = mortal(kind)("name", "Help.", ["a"], registry=None)
            for value in range(5):
                series = family.labels(value)
                series.family = family
                use(series)
            return family

        check_dies(make)


@in_child
def test_series_alone_keeps_nothing_else_alive() -> None:
    for kind in KINDS:
        print(kind)
        family = mortal(kind)("name", "Help.", ["a"], registry=None)
        kept, other = family.labels("kept"), weakref.ref(family.labels("other"))
        died = weakref.ref(family)
        del family
        collect()
        assert other() is None
        use(kept)
        assert kept._labelvalues == ("kept",)
        kept.collect()
        del kept
        collect()
        assert died() is None


@in_child
def test_cycle_through_the_function_of_a_gauge() -> None:
    for labels in ((), ("a",)):

        def make() -> object:
            node = Node()
            gauge = Gauge("name", "Help.", labels, registry=None)
            node.gauge = gauge
            series = gauge.labels("x") if labels else gauge
            series.set_function(lambda: 1.0 if node else 0.0)
            gauge.collect()
            return node

        check_dies(make)


@in_child
def test_function_of_a_gauge_dies_when_it_is_replaced_or_its_series_goes() -> None:
    gauge = Gauge("name", "Help.", ["a"], registry=None)
    ways = {
        "replaced": lambda: gauge.labels("x").set_function(float),
        "removed": lambda: gauge.remove("x"),
        "removed by labels": lambda: gauge.remove_by_labels({"a": "x"}),
        "cleared": gauge.clear,
    }
    for way, lose in ways.items():
        print(way)
        node = Node()
        died = weakref.ref(node)
        gauge.labels("x").set_function(node.__sizeof__)
        del node
        assert died() is not None
        gauge.collect()
        lose()
        assert died() is None


@in_child
def test_cycle_through_the_timer_of_a_histogram() -> None:
    for labels in ((), ("a",)):

        def make() -> object:
            node = Node()
            histogram = Histogram(
                "name", "Help.", labels, registry=None, timer=lambda: 1.0 if node else 0.0
            )
            node.histogram = histogram
            series = histogram.labels("x") if labels else histogram
            series.observe(1)
            with series.time():
                pass
            return node

        check_dies(make)


@in_child
def test_cycle_through_a_timer() -> None:
    for kind in (Gauge, Summary, Histogram):
        print(kind)

        def make() -> object:
            metric = mortal(kind)("name", "Help.", ["a"], registry=None)
            metric.running = metric.time().__enter__()
            metric.waiting = metric.labels("x").time()
            return metric

        check_dies(make)


@in_child
def test_cycle_through_decorated_functions() -> None:
    async def coroutine() -> None: ...

    def generator() -> Any:
        yield

    async def async_generator() -> Any:
        yield

    for function in (lambda: None, coroutine, generator, async_generator):

        def make() -> object:
            gauge = mortal(Gauge)("gauge", "Help.", registry=None)
            counter = mortal(Counter)("counter", "Help.", registry=None)
            gauge.functions = [
                gauge.time()(function),
                gauge.track_inprogress()(function),
                counter.count_exceptions()(function),
            ]
            counter.gauge = gauge
            return counter

        check_dies(make)


@in_child
def test_cycle_through_a_generator_that_is_under_way() -> None:
    def make() -> object:
        histogram = mortal(Histogram)("name", "Help.", registry=None)
        running = Gauge("running", "Help.", registry=None)

        @histogram.time()
        @running.track_inprogress()
        def generate() -> Any:
            while True:
                yield histogram

        histogram.generator = generate()
        next(histogram.generator)
        return histogram

    check_dies(make)


@in_child
def test_cycle_through_a_registry() -> None:
    def make() -> object:
        registry = CollectorRegistry()
        for kind in KINDS:
            metric = mortal(kind)(kind.__name__, "Help.", registry=registry)
            metric.registry = registry
        generate_latest(registry)
        return registry

    check_dies(make)


@in_child
def test_registered_metric_lives_and_an_unregistered_one_dies() -> None:
    registry = CollectorRegistry()
    metric = mortal(Counter)("name", "Help.", ["a"], registry=registry)
    metric.labels("x").inc()
    died = weakref.ref(metric)
    del metric
    collect()
    assert registry.get_sample_value("name_total", {"a": "x"}) == 1
    registry.unregister(died())
    collect()
    assert died() is None
    assert generate_latest(registry) == b""


@in_child
def test_metric_whose_construction_fails_dies() -> None:
    class Failing(Counter):
        made: weakref.ref[Failing] | None = None

        def _register(self, registry: CollectorRegistry | None) -> None:
            Failing.made = weakref.ref(self)
            raise OSError

    for _ in range(3):
        with contextlib.suppress(OSError):
            Failing("name", "Help.", ["a"])
        collect()
        assert Failing.made is not None
        assert Failing.made() is None


@in_child
def test_error_of_a_function_keeps_nothing_alive() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("name", "Help.", registry=registry)

    def make() -> object:
        node = Node()

        def fail() -> float:
            raise ValueError(node)

        gauge.set_function(fail)
        return node

    logging.getLogger("penstock.metrics").addHandler(logging.NullHandler())
    logging.getLogger("penstock.metrics").propagate = False
    node = make()
    died = weakref.ref(node)
    for _ in range(3):
        assert b"penstock_metrics_scrape_errors" in generate_latest(registry)
    gauge.set_function(float)
    del node
    collect()
    assert died() is None


class Noisy:
    """A function of a gauge that uses the family it is in when it dies."""

    def __init__(self, gauge: Gauge, deaths: list[str]) -> None:
        self.gauge = gauge
        self.deaths = deaths

    def __call__(self) -> float:
        return 1.0

    def __del__(self) -> None:
        self.gauge.labels("made by a finalizer").inc()
        self.gauge.remove("x")
        self.gauge.collect()
        self.deaths.append("died")


@in_child
def test_finalizer_may_use_the_family_that_lets_go() -> None:
    gauge = Gauge("name", "Help.", ["a"], registry=None, max_series=50)
    deaths: list[str] = []
    ways = [
        lambda: gauge.labels("x").set_function(float),
        lambda: gauge.remove("x"),
        lambda: gauge.remove_by_labels({"a": "x"}),
        gauge.clear,
    ]
    for number, lose in enumerate(ways, 1):
        gauge.labels("x").set_function(Noisy(gauge, deaths))
        lose()
        assert len(deaths) == number
        assert ("made by a finalizer",) in gauge._metrics or lose == gauge.clear
        gauge.clear()
    for value in range(40):
        gauge.labels(value).set_function(Noisy(gauge, deaths))
    gauge.clear()
    assert len(deaths) == len(ways) + 40


@in_child
def test_collector_that_runs_all_the_time_finds_nothing_wrong() -> None:
    gc.set_threshold(1, 1, 1)
    registry = CollectorRegistry()
    for kind in KINDS:
        family = kind(kind.__name__, "Help.", ["a"], registry=registry, max_series=20)
        for value in range(30):
            use(family.labels(value))
            if value % 5 == 0:
                family.remove(value)
        assert family.collect()
        assert generate_latest(registry)
        family.clear()
