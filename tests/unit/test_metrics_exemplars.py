"""Exemplars of counters and of the buckets of histograms, as with prometheus_client."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar
from tests.metric_pairs import Failure, check_alike, make, outcome

from penstock import metrics
from penstock.metrics import Counter, Histogram, generate_latest
from penstock.metrics._exposition import render
from penstock.metrics._negotiation import OPENMETRICS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

#: How to give a metric an exemplar for a value of 2.
USES: dict[str, Callable[[Any, Any], None]] = {
    "Counter": lambda metric, exemplar: metric.inc(2, exemplar),
    "Histogram": lambda metric, exemplar: metric.observe(2, exemplar=exemplar),
}


def exemplars(metric: Any) -> list[object]:
    """All exemplars of a metric, by sample, without their times."""
    return [
        (sample.name, sample.labels, sample.exemplar and sample.exemplar[:2])
        for family in metric.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]


def read_back(registry: CollectorRegistry) -> list[tuple[dict[str, str], float]]:
    """The exemplars that prometheus_client's parser finds on our page."""
    page = render(registry, OPENMETRICS).decode()
    return [
        sample.exemplar[:2]
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.exemplar
    ]


@pytest.mark.parametrize("kind", USES)
@pytest.mark.parametrize(
    "exemplar",
    [
        {"trace_id": "abc"},
        {"b": "1", "a": "2"},
        {"le": "x"},
        {"a": ""},
        {"a": 'say "a"\n\\'},
        {"a": "\u00fc" * 127},
        MappingProxyType({"a": "b"}),
        {},
        None,
        (),
        {"a": "x" * 128},
        {"a" * 100: "b" * 20, "c": "d" * 8},
        {"__a": "x"},
        {"a": 1},
        {"a": None},
        {1: "a"},
        [("a", "b")],
        "ab",
        5,
    ],
)
def test_exemplar_is_taken_or_refused_as_by_prometheus_client(kind: str, exemplar: object) -> None:
    def use(library: ModuleType) -> object:
        metric = make(library, kind)
        result = outcome(lambda: USES[kind](metric, exemplar))
        return result, exemplars(metric) if result is None else None

    check_alike(use)


@pytest.mark.parametrize("kind", USES)
@pytest.mark.parametrize(
    ("exemplar", "failure"),
    [
        ({"\u00fc": "x"}, Failure(ValueError, "Invalid label metric name: \u00fc")),
        ({"a b": "x"}, Failure(ValueError, "Invalid label metric name: a b")),
        ({"": "x"}, Failure(ValueError, "Invalid label metric name: ")),
        ({"a": b"x"}, Failure(TypeError, "exemplar label a must be a str, got bytes")),
        ({"a": ["x"]}, Failure(TypeError, "exemplar label a must be a str, got list")),
    ],
)
def test_exemplar_that_would_spoil_the_page_is_refused(
    kind: str, exemplar: object, failure: Failure
) -> None:
    metric = make(metrics, kind)
    assert outcome(lambda: USES[kind](metric, exemplar)) == failure


@pytest.mark.parametrize("kind", USES)
def test_refused_exemplar_changes_nothing(kind: str) -> None:
    metric = make(metrics, kind)
    USES[kind](metric, {"a": "first"})
    before = exemplars(metric), metric._read()
    for exemplar in ({"a": "x" * 128}, {"a": 1}, {"\u00fc": "x"}, 5):
        assert isinstance(outcome(lambda: USES[kind](metric, exemplar)), Failure)  # noqa: B023
    assert (exemplars(metric), metric._read()) == before


@pytest.mark.parametrize("kind", USES)
def test_amount_is_checked_before_the_exemplar(kind: str) -> None:
    metric = make(metrics, kind)
    operation = metric.inc if kind == "Counter" else metric.observe
    with pytest.raises(TypeError, match="must be real number, not str"):
        operation("x", {"a": 1})
    assert {exemplar for _, _, exemplar in exemplars(metric)} == {None}


def test_last_exemplar_of_each_bucket_is_kept() -> None:
    def use(library: ModuleType) -> object:
        histogram = make(library, "Histogram", "path", buckets=(1, 2))
        series = histogram.labels("/")
        for number, amount in enumerate((0.5, 1, 2, 2.5, 1.5, 1e9)):
            series.observe(amount, {"number": str(number)})
        series.observe(0.1)
        series.observe(0.1, {})
        histogram.labels("/other").observe(1)
        return exemplars(histogram)

    check_alike(use)


def test_observation_that_is_refused_leaves_no_exemplar() -> None:
    histogram = make(metrics, "Histogram")
    histogram.observe(float("nan"), {"a": "b"})
    assert {exemplar for _, _, exemplar in exemplars(histogram)} == {None}


def test_last_exemplar_of_a_counter_is_kept_over_a_reset() -> None:
    def use(library: ModuleType) -> object:
        counter = make(library, "Counter")
        counter.inc(1, {"number": "1"})
        counter.inc(2.5, exemplar={"number": "2"})
        counter.inc(3)
        counter.reset()
        return exemplars(counter)

    check_alike(use)


@pytest.mark.parametrize("kind", USES)
def test_exemplar_is_a_copy(kind: str) -> None:
    metric, exemplar = make(metrics, kind), {"a": "b"}
    USES[kind](metric, exemplar)
    exemplar["a"] = "changed"
    kept = [found for _, _, found in exemplars(metric) if found]
    assert kept == [({"a": "b"}, 2)]
    kept[0][0].clear()
    assert [found for _, _, found in exemplars(metric) if found] == [({"a": "b"}, 2)]


def test_exemplar_has_the_time_at_which_it_came() -> None:
    counter = make(metrics, "Counter")
    counter.inc(1, {"a": "b"})
    counter.inc()
    (exemplar,) = [sample.exemplar for sample in counter._samples() if sample.exemplar]
    assert type(exemplar) is Exemplar
    _, created, _ = counter._read()
    counter.reset()
    _, later, _ = counter._read()
    assert created <= exemplar.timestamp <= later


def test_exemplars_are_on_openmetrics_pages_alone() -> None:
    registry = CollectorRegistry()
    counter = Counter("events", "Help.", registry=registry)
    counter.inc(0.5, {"trace": "a\\b\nc\ud800"})
    histogram = Histogram("seconds", "Help.", ["path"], buckets=[1], registry=registry)
    histogram.labels("/").observe(0.25, {"trace": "first", "span": "\u00fc"})
    histogram.labels("/").observe(5, {"trace": "last"})
    assert read_back(registry) == [
        ({"trace": "a\\b\nc\ufffd"}, 0.5),
        ({"span": "\u00fc", "trace": "first"}, 0.25),
        ({"trace": "last"}, 5.0),
    ]
    assert b"trace" not in generate_latest(registry)


def test_quotes_in_an_exemplar_are_escaped() -> None:
    # prometheus_client's parser does not understand them there; Prometheus does.
    registry = CollectorRegistry()
    Counter("events", "Help.", registry=registry).inc(1, {"trace": 'say "a"'})
    assert b'\nevents_total 1.0 # {trace="say \\"a\\""} 1.0 ' in render(registry, OPENMETRICS)


def test_exemplar_of_an_overflowing_series_is_kept_there() -> None:
    counter = make(metrics, "Counter", "a", max_series=1)
    counter.labels(1)
    counter.labels(2).inc(3, {"b": "c"})
    assert exemplars(counter) == [
        ("name_total", {"a": "1"}, None),
        ("name_total", {"a": "__overflow__"}, ({"b": "c"}, 3.0)),
    ]
