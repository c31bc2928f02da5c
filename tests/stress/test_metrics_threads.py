"""Eight threads that count, observe, label and remove while others scrape."""

# What is defined in a round is used up in it.
from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families
from tests.clock import Clock
from tests.stress.harness import in_child, rounds
from tests.threads import LIMIT, spawn

from penstock import _backend
from penstock.metrics import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

THREADS = 6
SCRAPERS = 2


def together(work: Callable[[int], object], scrape: Callable[[], object]) -> None:
    """Call work(0) to work(5) in threads that start at once, and scrape all the time meanwhile."""
    sys.setswitchinterval(1e-5)
    barrier = threading.Barrier(THREADS + SCRAPERS)
    done = threading.Event()

    def run(number: int) -> None:
        barrier.wait(LIMIT)
        work(number)

    def watch() -> int:
        barrier.wait(LIMIT)
        scrapes = 0
        while not done.is_set():
            scrape()
            scrapes += 1
        scrape()
        return scrapes

    scrapers = [spawn(watch) for _ in range(SCRAPERS)]
    try:
        for worker in [spawn(run, number) for number in range(THREADS)]:
            worker.result()
    finally:
        done.set()
    assert sum(scraper.result() for scraper in scrapers) > 0


def read(page: bytes) -> dict[str, dict[tuple[str, ...], dict[str, float]]]:
    """All samples of a page, as `by_series` has them."""
    return by_series(text_string_to_metric_families(page.decode()))


def by_series(metrics: Iterable[Metric]) -> dict[str, dict[tuple[str, ...], dict[str, float]]]:
    """Values but times by family, then by the values of the labels, then by suffix and bucket."""
    families: dict[str, dict[tuple[str, ...], dict[str, float]]] = {}
    for family in metrics:
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                labels = dict(sample.labels)
                bucket = labels.pop("le", "")
                series = families.setdefault(family.name, {})
                values = series.setdefault(tuple(labels.values()), {})
                values[sample.name.removeprefix(family.name) + bucket] = sample.value
    return families


def check_histogram(values: dict[str, float], amount: float) -> None:
    """Check that one series agrees with itself, if all that is observed is the same amount."""
    buckets = [value for name, value in values.items() if name.startswith("_bucket")]
    assert buckets == sorted(buckets)
    assert values["_count"] == buckets[-1]
    assert values["_sum"] == amount * values["_count"]


@in_child
def test_no_count_is_lost() -> None:
    registry = CollectorRegistry()
    whole = Counter("whole", "Help.", registry=registry)
    parts = Counter("parts", "Help.", ["a"], registry=registry)
    gauge = Gauge("gauge", "Help.", registry=registry)
    each = rounds(20_000)

    def work(number: int) -> None:
        own = parts.labels(number % 2)
        for turn in range(each):
            whole.inc()
            own.inc(0.5)
            parts.labels("shared").inc(turn % 3)
            gauge.inc(2)
            gauge.dec()

    together(work, lambda: generate_latest(registry))
    assert whole._value.get() == gauge._value.get() == THREADS * each
    assert [parts.labels(half)._value.get() for half in (0, 1)] == [THREADS / 2 * each / 2] * 2
    assert parts.labels("shared")._value.get() == THREADS * sum(turn % 3 for turn in range(each))


@in_child
def test_every_scrape_is_consistent_and_none_goes_back() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("delay", "Help.", ["a"], registry=registry, buckets=[0.1, 0.25, 1])
    summary = Summary("size", "Help.", registry=registry)
    each = rounds(20_000)
    last = threading.local()

    def work(number: int) -> None:
        for _ in range(each):
            histogram.labels(number % 2).observe(0.25)
            summary.observe(4)

    def check(page: dict[str, dict[tuple[str, ...], dict[str, float]]]) -> None:
        counts = {}
        for series, values in page.get("delay", {}).items():
            check_histogram(values, 0.25)
            counts[series] = values["_count"]
        size = page["size"][()]
        assert size["_sum"] == 4 * size["_count"]
        counts["size",] = size["_count"]
        before = getattr(last, "counts", {})
        assert all(counts[series] >= count for series, count in before.items())
        last.counts = counts

    def scrape() -> None:
        check(read(generate_latest(registry)))
        check(by_series(registry.collect()))

    together(work, scrape)
    final = read(generate_latest(registry))
    assert (
        final["delay"][("0",)]["_count"] == final["delay"][("1",)]["_count"] == THREADS * each / 2
    )
    assert final["size"][()]["_count"] == THREADS * each


@in_child
def test_all_threads_get_the_same_new_series() -> None:
    counter = Counter("counter", "Help.", ["a", "b"], registry=None, max_series=None)
    each = rounds(4000)

    def work(number: int) -> None:
        for turn in range(each):
            counter.labels(turn, "x").inc()

    together(work, lambda: _backend.encode([counter], False, True, None))
    assert len(counter._metrics) == each
    assert {child._value.get() for child in counter._metrics.values()} == {THREADS}


@in_child
def test_series_are_never_more_than_allowed() -> None:
    registry = CollectorRegistry()
    counter = Counter("bounded", "Help.", ["a"], registry=registry, max_series=50)
    each = rounds(3000)

    def work(number: int) -> None:
        for turn in range(each):
            counter.labels(f"{number} {turn}").inc()

    def scrape() -> None:
        series = read(generate_latest(registry)).get("bounded", {})
        assert len(series) <= 51
        assert len(series) < 51 or ("__overflow__",) in series

    together(work, scrape)
    values = {labels: child._value.get() for labels, child in counter._metrics.items()}
    assert len(values) == 51
    assert sum(values.values()) == THREADS * each
    overflowed = {name: count for name, count, _ in _backend.drops()}
    assert overflowed == {"bounded": values["__overflow__",]}


@in_child
def test_series_come_and_go_during_scrapes() -> None:
    registry = CollectorRegistry()
    metrics: list[Any] = [
        kind(kind.__name__.lower(), "Help.", ["a"], registry=registry, max_series=20)
        for kind in (Counter, Gauge, Summary, Histogram)
    ]

    def work(number: int) -> None:
        for turn in range(rounds(3000)):
            for metric in metrics:
                series = metric.labels((turn * (number + 1)) % 30)
                (series.observe if hasattr(series, "observe") else series.inc)(1)
                if turn % 5 == 0:
                    metric.remove((turn + number) % 30)
                if turn % 50 == number:
                    metric.clear()
                if turn % 50 == 25:
                    metric.remove_by_labels({"a": str(turn % 30)})

    def scrape() -> None:
        page = read(generate_latest(registry))
        for values in page.get("histogram", {}).values():
            check_histogram(values, 1)

    together(work, scrape)
    for metric in metrics:
        metric.clear()
        assert metric._metrics == {}


@in_child
def test_functions_of_gauges_may_do_anything_during_a_scrape() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("gauge", "Help.", ["a"], registry=registry)
    histogram = Histogram("delay", "Help.", registry=registry)

    def value() -> float:
        gauge.labels("made by a scrape").inc()
        gauge.remove(5)
        histogram.observe(1)
        return histogram.count()

    def work(number: int) -> None:
        for turn in range(rounds(1500)):
            gauge.labels(turn % 10).set_function(value)
            gauge.labels(turn % 10).set(1)
            if turn % 10 == number:
                gauge.clear()

    together(work, lambda: check_histogram(read(generate_latest(registry))["delay"][()], 1))


@in_child
def test_windows_agree_with_themselves_while_time_passes() -> None:
    clock = Clock()
    histogram = Histogram("delay", "Help.", registry=None, timer=clock, window=12)
    each = rounds(4000)

    def work(number: int) -> None:
        for turn in range(each):
            histogram.observe(2)
            if turn % 10 == 0:
                clock.advance(0.01)

    def ask() -> None:
        assert histogram.count() >= 0
        assert {histogram.mean(), histogram.max(), histogram.quantile(0.5)} <= {None, 2}

    together(work, ask)
    counts, total, _, _ = histogram._read()
    assert (sum(counts), total) == (THREADS * each, 2 * THREADS * each)
    clock.advance(13)
    assert histogram.count() == 0


@in_child
def test_timers_of_threads_do_not_meet() -> None:
    clock = Clock()
    histogram = Histogram("delay", "Help.", registry=None, timer=clock, buckets=[1])
    running = Gauge("running", "Help.", registry=None)
    each = rounds(3000)

    @histogram.time()
    @running.track_inprogress()
    def run(depth: int) -> None:
        if depth:
            run(depth - 1)

    def work(number: int) -> None:
        for turn in range(each):
            run(turn % 3)

    together(work, lambda: _backend.encode([histogram, running], True, True, None))
    counts, total, _, _ = histogram._read()
    assert sum(counts) == THREADS * sum(turn % 3 + 1 for turn in range(each))
    assert total == running._value.get() == 0


@in_child
def test_registering_and_unregistering_during_scrapes() -> None:
    registry = CollectorRegistry()
    Counter("always", "Help.", registry=registry).inc()

    def work(number: int) -> None:
        for turn in range(rounds(150)):
            metric = Histogram(f"delay_{number}_{turn}", "Help.", registry=registry)
            metric.observe(1)
            registry.unregister(metric)

    def scrape() -> None:
        page = read(generate_latest(registry))
        assert page.pop("always")[()]["_total"] == 1
        for series in page.values():
            check_histogram(series[()], series[()]["_count"] and 1)

    together(work, scrape)
    assert list(read(generate_latest(registry))) == ["always"]
