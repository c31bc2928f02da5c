"""Series of a metric: made, found, removed and collected, as with prometheus_client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.metric_pairs import KINDS, Failure, check_alike, make, samples

from penstock import metrics
from penstock.metrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    Use = Callable[[Any], object]


def suffixes(metric: Any) -> list[tuple[object, ...]]:
    """The samples as prometheus_client makes them, before a family takes them in."""
    return [sample[:4] for sample in metric._samples() if sample.name != "_created"]


def time_nothing(metric: Any) -> None:
    with metric.time():
        pass


#: Uses of a metric with the labels a and b that is given the values 1 and 2; all return something
#: that can be compared.
OF_LABELS: dict[str, Use] = {
    "by position": lambda metric: metric.labels(1, 2)._labelvalues,
    "by name": lambda metric: metric.labels(b=2, a=1)._labelvalues,
    "the same one": lambda metric: metric.labels("1", 2.0) is metric.labels(1, "2.0"),
    "values of any type": lambda metric: metric.labels(None, b"x")._labelvalues,
    "both ways": lambda metric: metric.labels(1, b=2),
    "none": lambda metric: metric.labels(),
    "too few": lambda metric: metric.labels(1),
    "too many": lambda metric: metric.labels(1, 2, 3),
    "too few names": lambda metric: metric.labels(a=1),
    "other names": lambda metric: metric.labels(a=1, c=2),
    "too many names": lambda metric: metric.labels(a=1, b=2, c=3),
    "of a child": lambda metric: metric.labels(1, 2).labels(3, 4),
    "remove": lambda metric: (metric.remove("1", 2), samples(metric)),
    "remove another": lambda metric: (metric.remove(2, 2), samples(metric)),
    "remove too few": lambda metric: metric.remove(1),
    "remove none": lambda metric: metric.remove(),
    "clear": lambda metric: (metric.labels(3, 4), metric.clear(), samples(metric))[1:],
    "remove by one label": lambda metric: (
        [metric.labels(a, b) for a in "13" for b in "24"],
        metric.remove_by_labels({"b": 2}),
        samples(metric),
    )[1:],
    "remove by both labels": lambda metric: (
        [metric.labels(a, b) for a in "13" for b in "24"],
        metric.remove_by_labels({"b": 4, "a": "1"}),
        samples(metric),
    )[1:],
    "remove by no label": lambda metric: (metric.remove_by_labels({}), samples(metric)),
    "remove by unknown labels": lambda metric: metric.remove_by_labels({"a": 1, "c": 1, "d": 1}),
    "remove by no dict": lambda metric: metric.remove_by_labels([("a", 1)]),
    "order": lambda metric: ([metric.labels(n, n) for n in (5, 3, 4)], samples(metric))[1:],
    "text": lambda metric: (str(metric), str(metric.labels(1, 2)), metric.labels(1, 2)._labelnames),
    "samples of a child": lambda metric: samples(metric.labels(1, 2)),
    "suffixes": suffixes,
    "suffixes of a child": lambda metric: suffixes(metric.labels(1, 2)),
    "children": lambda metric: list(metric._metrics),
    "child": lambda metric: metric._metrics["1", "2"] is metric.labels(1, 2),
    "has children": lambda metric: (
        hasattr(metric, "_metrics"),
        hasattr(metric.labels(1, 2), "_metrics"),
    ),
    "has a value": lambda metric: (
        hasattr(metric, "_value"),
        hasattr(metric, "_sum"),
        hasattr(metric.labels(1, 2), "_value"),
    ),
    "observable": lambda metric: metric.labels(1, 2)._raise_if_not_observable(),
    "not observable": lambda metric: metric._raise_if_not_observable(),
}

#: Uses of a metric without labels.
OF_NO_LABELS: dict[str, Use] = {
    "labels": lambda metric: metric.labels(1),
    "no labels": lambda metric: metric.labels(),
    "remove": lambda metric: metric.remove(1),
    "remove nothing": lambda metric: metric.remove(),
    "remove by labels": lambda metric: metric.remove_by_labels({"a": 1}),
    "remove by no dict": lambda metric: metric.remove_by_labels(5),
    "clear": lambda metric: (metric.clear(), samples(metric)),
    "has children": lambda metric: hasattr(metric, "_metrics"),
    "suffixes": suffixes,
}

#: Uses of a metric with labels that has been given no values for them.
OF_A_PARENT: dict[str, dict[str, Use]] = {
    "Counter": {
        "inc": lambda counter: counter.inc(),
        "negative": lambda counter: counter.inc(-1),
        "count_exceptions": lambda counter: counter.count_exceptions(),
    },
    "Gauge": {
        "inc": lambda gauge: gauge.inc(),
        "dec": lambda gauge: gauge.dec(),
        "set": lambda gauge: gauge.set(1),
        "set no number": lambda gauge: gauge.set("x"),
        "set_to_current_time": lambda gauge: gauge.set_to_current_time(),
        "set_function": lambda gauge: gauge.set_function(float),
        "track_inprogress": lambda gauge: gauge.track_inprogress(),
        "time": time_nothing,
    },
    "Summary": {
        "observe": lambda summary: summary.observe(1),
        "time": time_nothing,
    },
    "Histogram": {
        "observe": lambda histogram: histogram.observe(1),
        "time": time_nothing,
    },
}


def given(use: Use, kind: str, *labelnames: str) -> Callable[[ModuleType], object]:
    def call(library: ModuleType) -> object:
        metric = make(library, kind, *labelnames)
        if labelnames:
            metric.labels(*range(1, len(labelnames) + 1))
        return use(metric)

    return call


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", OF_LABELS)
def test_series_are_those_of_prometheus_client(kind: str, use: str) -> None:
    check_alike(given(OF_LABELS[use], kind, "a", "b"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", OF_NO_LABELS)
def test_metric_without_labels_is_that_of_prometheus_client(kind: str, use: str) -> None:
    check_alike(given(OF_NO_LABELS[use], kind))


@pytest.mark.parametrize(
    ("kind", "use"), [(kind, use) for kind in KINDS for use in OF_A_PARENT[kind]]
)
def test_missing_label_values_are_told_in_the_same_words(kind: str, use: str) -> None:
    failure = check_alike(given(OF_A_PARENT[kind][use], kind, "a"))
    assert failure == Failure(ValueError, f"{kind.lower()} metric is missing label values")


def test_reset_without_label_values_is_told_in_these_words_too() -> None:
    with pytest.raises(ValueError, match=r"^counter metric is missing label values$"):
        make(metrics, "Counter", "a").reset()


@pytest.mark.parametrize("kind", KINDS)
def test_child_is_no_parent(kind: str) -> None:
    child = make(metrics, kind, "a").labels(1)
    child.remove(1)
    child.clear()
    child.remove_by_labels({"a": 1})
    assert samples(child) == samples(make(metrics, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_removed_child_can_still_be_used_and_is_no_longer_shown(kind: str) -> None:
    def use(library: ModuleType) -> object:
        metric = make(library, kind, "a")
        child = metric.labels(1)
        metric.remove(1)
        before = samples(metric)
        (child.observe if hasattr(child, "observe") else child.inc)(2)
        return before, samples(metric), samples(child), metric.labels(1) is child

    check_alike(use)


def test_metrics_of_both_libraries_live_in_one_registry() -> None:
    registry = CollectorRegistry()
    Info("build", "Help.", registry=registry).info({"version": "1"})
    Enum("state", "Help.", states=["on", "off"], registry=registry).state("off")
    Counter("events", "Help.", registry=registry).inc()
    Gauge("level", "Help.", registry=registry).set(2)
    Summary("size", "Help.", registry=registry).observe(3)
    Histogram("delay", "Help.", registry=registry).observe(4)
    names = [family.name for family in registry.collect()]
    assert names == ["build", "state", "events", "level", "size", "delay"]
    assert registry.get_sample_value("build_info", {"version": "1"}) == 1
    assert registry.get_sample_value("state", {"state": "off"}) == 1
    assert registry.get_sample_value("delay_bucket", {"le": "5.0"}) == 1
