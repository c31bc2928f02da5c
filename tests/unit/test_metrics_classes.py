"""Constructors: what prometheus_client's take and refuse, in the same words, and what ours add."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from math import inf, nan
from typing import TYPE_CHECKING, Any

import prometheus_client
import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from tests.clock import Clock
from tests.metric_pairs import KINDS, Failure, check_alike, make, outcome, shape

from penstock import metrics
from penstock.metrics import Counter, Gauge, Histogram, Summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    Construct = Callable[[Any], object]

#: Arguments that prometheus_client takes.
TAKEN: list[Construct] = [
    lambda kind: kind("name", "Help.", registry=None),
    lambda kind: kind("name", "", registry=None),
    lambda kind: kind("name", 'Help\nof two lines, with \\ and ".', registry=None),
    lambda kind: kind("name", "Help.", ["a", "b"], registry=None),
    lambda kind: kind("name", "Help.", (name for name in "ab"), registry=None),
    lambda kind: kind("name", "Help.", "ab", registry=None),
    lambda kind: kind("name", "Help.", {"a": 1}, registry=None),
    lambda kind: kind("name", "Help.", ("a",), "space", "part", "unit", None),
    lambda kind: kind("name", "Help.", ("a",), "space", "part", "unit", None, None),
    lambda kind: kind("name", "Help.", ("a",), "space", "part", "unit", None, ()),
    lambda kind: kind(
        name="name",
        documentation="Help.",
        labelnames=["a"],
        namespace="space",
        subsystem="part",
        unit="unit",
        registry=None,
    ),
    lambda kind: kind("name", "Help.", namespace="space", registry=None),
    lambda kind: kind("name", "Help.", subsystem="part", registry=None),
    lambda kind: kind("name", "Help.", namespace=None, subsystem=None, registry=None),
    lambda kind: kind("name_total", "Help.", registry=None),
    lambda kind: kind("total", "Help.", registry=None),
    lambda kind: kind("name_total_total", "Help.", registry=None),
    lambda kind: kind("name", "Help.", unit="seconds", registry=None),
    lambda kind: kind("name_seconds", "Help.", unit="seconds", registry=None),
    lambda kind: kind("name_total", "Help.", unit="seconds", registry=None),
    lambda kind: kind("name_seconds_total", "Help.", unit="seconds", registry=None),
    lambda kind: kind("seconds", "Help.", unit="seconds", registry=None),
    lambda kind: kind("name.with dots", "Help.", ["a label", "\u00fc"], registry=None),
    lambda kind: kind("a:recorded:name", "Help.", registry=None),
    lambda kind: kind("name", "Help.", registry=False),
]

#: Arguments that prometheus_client refuses.
REFUSED: list[Construct] = [
    lambda kind: kind("", "Help."),
    lambda kind: kind(None, "Help."),
    lambda kind: kind(5, "Help."),
    lambda kind: kind(b"name", "Help."),
    lambda kind: kind("name\ud800", "Help."),
    lambda kind: kind("name", "Help.", None),
    lambda kind: kind("name", "Help.", 5),
    lambda kind: kind("name", "Help.", [1]),
    lambda kind: kind("name", "Help.", ["__a"]),
    lambda kind: kind("name", "Help.", ["\ud800"]),
    lambda kind: kind("name", "Help.", unit=5),
    lambda kind: kind("name", "Help.", namespace=5),
    lambda kind: kind("name", "Help.", registry=5),
]


def of(kind: str, construct: Construct) -> Callable[[ModuleType], object]:
    return lambda library: shape(construct(getattr(library, kind)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("construct", TAKEN)
def test_arguments_mean_what_they_mean_to_prometheus_client(
    kind: str, construct: Construct
) -> None:
    assert not isinstance(check_alike(of(kind, construct)), Failure)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("construct", REFUSED)
def test_arguments_are_refused_as_by_prometheus_client(kind: str, construct: Construct) -> None:
    assert isinstance(check_alike(of(kind, construct)), Failure)


@pytest.mark.parametrize("kind", KINDS)
def test_name_that_is_only_a_suffix_is_none_for_a_counter(kind: str) -> None:
    result = check_alike(lambda library: shape(make(library, kind, name="_total")))
    assert isinstance(result, Failure) is (kind == "Counter")


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_unknown_arguments_are_type_errors(kind: str) -> None:
    constructor = getattr(metrics, kind)
    for arguments, options in [((), {}), (("name",), {}), (("name", "Help."), {"bogus": 1})]:
        with pytest.raises(TypeError, match=r"missing|unexpected"):
            constructor(*arguments, **options)
    with pytest.raises(TypeError, match="positional"):
        constructor("name", "Help.", *[()] * 20)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", ["le", "quantile"])
def test_label_of_the_format_is_reserved_where_it_is_used(kind: str, label: str) -> None:
    result = check_alike(lambda library: shape(make(library, kind, label)))
    reserved = (kind, label) in {("Histogram", "le"), ("Summary", "quantile")}
    assert isinstance(result, Failure) is reserved


@pytest.mark.parametrize("kind", KINDS)
def test_no_unit_is_no_unit(kind: str) -> None:
    assert make(metrics, kind, unit=None)._unit == ""


@pytest.mark.parametrize("kind", KINDS)
def test_documentation_is_text(kind: str) -> None:
    assert make(metrics, kind, documentation=5)._documentation == "5"


@pytest.mark.parametrize("kind", KINDS)
def test_label_names_that_are_one_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=r"^Duplicate label names: \('a', 'b', 'a'\)$"):
        make(metrics, kind, "a", "b", "a")


@pytest.mark.parametrize("kind", KINDS)
def test_empty_label_name_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=r"^Invalid label metric name: $"):
        make(metrics, kind, "a", "")


@pytest.mark.parametrize("kind", KINDS)
def test_label_values_are_not_for_constructors(kind: str) -> None:
    with pytest.raises(TypeError, match=r"^_labelvalues is not for callers; use labels\(\)$"):
        make(metrics, kind, "a", _labelvalues=("1",))


@pytest.mark.parametrize("kind", KINDS)
def test_construction_that_fails_registers_nothing(kind: str) -> None:
    registry = CollectorRegistry()
    with pytest.raises(ValueError, match="max_series"):
        make(metrics, kind, registry=registry, max_series=0)
    make(metrics, kind, registry=registry)


@pytest.mark.parametrize(
    "mode",
    [
        *("all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum"),
        *("mostrecent", "livemostrecent", "", "nonsense", None, 5),
    ],
)
def test_mode_of_a_gauge_is_checked(mode: object) -> None:
    check_alike(lambda library: shape(make(library, "Gauge", multiprocess_mode=mode)))
    check_alike(lambda library: shape(library.Gauge("n", "H.", (), "", "", "", None, None, mode)))


@pytest.mark.parametrize(
    "buckets",
    [
        (),
        [1],
        [1, 2.5, 3],
        ["0.5", "1e3", "inf"],
        [1, 1],
        [2, 1],
        [-1, 0, 1],
        [-inf, 0],
        [0],
        [inf],
        [inf, inf],
        [1e-320, 1e308],
        "12",
        range(3),
        {1: 2},
        None,
        5,
        [None],
        ["x"],
        [1 + 0j],
    ],
)
def test_buckets_are_those_of_prometheus_client(buckets: object) -> None:
    def bounds(library: ModuleType) -> object:
        histogram = make(library, "Histogram", buckets=buckets)
        histogram.observe(0.75)
        return histogram._upper_bounds, shape(histogram)

    check_alike(bounds)
    positional = ("name", "Help.", (), "", "", "", None, None, buckets)
    check_alike(lambda library: library.Histogram(*positional)._upper_bounds)


def test_default_buckets_are_those_of_prometheus_client() -> None:
    check_alike(lambda library: library.Histogram.DEFAULT_BUCKETS)
    check_alike(lambda library: make(library, "Histogram")._upper_bounds)


@pytest.mark.parametrize("buckets", [[nan], [1, nan], [nan, 1]])
def test_bucket_that_is_no_number_is_refused(buckets: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^Buckets not in sorted order$"):
        make(metrics, "Histogram", buckets=buckets)


class TestRegistration:
    """In the registries of prometheus_client."""

    def test_default_registry_is_that_of_prometheus_client(self) -> None:
        counter = Counter("test_classes_default", "Help.")
        try:
            counter.inc(2)
            assert REGISTRY.get_sample_value("test_classes_default_total") == 2
        finally:
            REGISTRY.unregister(counter)
        assert REGISTRY.get_sample_value("test_classes_default_total") is None

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("first", KINDS)
    def test_name_that_is_taken_is_refused(self, first: str, kind: str) -> None:
        def register(library: ModuleType, other: ModuleType) -> tuple[type, set[str]]:
            registry = CollectorRegistry()
            make(other, first, registry=registry)
            with pytest.raises(ValueError, match="Duplicated timeseries") as caught:
                make(library, kind, registry=registry)
            # The names are in the order of a set.
            return caught.type, set(str(caught.value).replace("'", " ").split())

        expected = register(prometheus_client, prometheus_client)
        assert register(metrics, prometheus_client) == expected
        assert register(prometheus_client, metrics) == expected
        assert register(metrics, metrics) == expected

    @pytest.mark.parametrize("kind", KINDS)
    def test_unregistered_name_is_free_again(self, kind: str) -> None:
        registry = CollectorRegistry()
        metric = make(metrics, kind, registry=registry)
        registry.unregister(metric)
        make(metrics, kind, registry=registry)

    def test_it_can_be_registered_by_hand_and_twice(self) -> None:
        gauge, one, other = make(metrics, "Gauge"), CollectorRegistry(), CollectorRegistry()
        one.register(gauge)
        other.register(gauge)
        gauge.set(3)
        assert one.get_sample_value("name") == other.get_sample_value("name") == 3
        with pytest.raises(ValueError, match="Duplicated timeseries"):
            one.register(gauge)


class TestOurOwnArguments:
    """`max_series`, `window` and `timer`, by keyword only."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_series_are_bounded_by_default(self, kind: str) -> None:
        assert make(metrics, kind, "a")._max_series == 10_000
        assert make(metrics, kind, "a", max_series=7)._max_series == 7
        assert make(metrics, kind, "a", max_series=None)._max_series is None

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (0, Failure(ValueError, "max_series must be >= 1, got 0")),
            (-5, Failure(ValueError, "max_series must be >= 1, got -5")),
            (1.0, Failure(TypeError, "max_series must be an int or None, got float")),
            ("5", Failure(TypeError, "max_series must be an int or None, got str")),
            (True, Failure(TypeError, "max_series must be an int or None, got bool")),
        ],
    )
    def test_number_of_series_is_checked(self, kind: str, value: object, expected: object) -> None:
        assert outcome(lambda: make(metrics, kind, "a", max_series=value)) == expected

    @pytest.mark.parametrize("kind", KINDS)
    def test_series_beyond_the_bound_are_one(self, kind: str) -> None:
        metric = make(metrics, kind, "a", max_series=2)
        one, two = metric.labels(1), metric.labels(2)
        assert metric.labels(3) is metric.labels(4) is metric.labels("__overflow__")
        assert metric.labels(3)._labelvalues == ("__overflow__",)
        assert (metric.labels(1), metric.labels(2)) == (one, two)

    def test_window_is_a_duration(self) -> None:
        for window in (10, 10.0, timedelta(seconds=10)):
            histogram = make(metrics, "Histogram", window=window, timer=Clock())
            assert histogram.count(10) == 0
            with pytest.raises(ValueError, match=r"^window must be <= 10 seconds, got 11$"):
                histogram.count(11)

    @pytest.mark.parametrize("window", [0, -1, nan, inf, "60", None, True])
    def test_window_that_is_none_is_refused(self, window: object) -> None:
        failure = outcome(lambda: make(metrics, "Histogram", window=window))
        assert isinstance(failure, Failure)
        assert failure.message.startswith("window must be")

    def test_timer_is_read(self) -> None:
        clock = Clock()
        histogram = make(metrics, "Histogram", timer=clock, window=12)
        with histogram.time() as timer:
            clock.advance(2)
        assert timer.duration == histogram.max() == 2
        clock.advance(12)
        assert histogram.max() is None

    def test_timer_that_cannot_be_called_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"^timer must be callable, got int$"):
            make(metrics, "Histogram", timer=5)


class TestNames:
    """What `penstock.metrics` has, and how its classes present themselves."""

    def test_every_public_name_of_prometheus_client_is_there(self) -> None:
        missing = [name for name in prometheus_client.__all__ if not hasattr(metrics, name)]
        assert missing == []
        assert set(prometheus_client.__all__) <= set(metrics.__all__)

    def test_families_for_collectors_are_there(self) -> None:
        from prometheus_client import core

        names = [name for name in core.__all__ if name.endswith("MetricFamily")]
        assert [name for name in names if not hasattr(metrics, name)] == []

    def test_what_we_do_not_replace_is_theirs(self) -> None:
        for name in ("Enum", "Info", "CollectorRegistry", "REGISTRY", "push_to_gateway"):
            assert getattr(metrics, name) is getattr(prometheus_client, name)

    @pytest.mark.parametrize("kind", KINDS)
    def test_class_says_where_it_can_be_imported_from(self, kind: str) -> None:
        assert repr(make(metrics, kind)) == f"penstock.metrics.{kind}(name)"
        assert str(make(metrics, kind)) == f"{kind.lower()}:name"

    @pytest.mark.parametrize("kind", KINDS)
    def test_metric_passes_for_one_of_prometheus_client(self, kind: str) -> None:
        metric = make(metrics, kind, "a").labels(1)
        passes_for = [
            name for name in KINDS if isinstance(metric, getattr(prometheus_client, name))
        ]
        assert passes_for == [kind]
        assert isinstance(metric, MetricWrapperBase)
        assert not isinstance(make(prometheus_client, kind), (Counter, Gauge, Summary, Histogram))

    @pytest.mark.parametrize("name", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
    def test_metrics_of_many_processes_are_warned_of(self, name: str, tmp_path: object) -> None:
        usual = {key: value for key, value in os.environ.items() if "multiproc" not in key.lower()}
        for environment, warned in [({name: str(tmp_path)}, True), ({}, False)]:
            child = subprocess.run(
                [sys.executable, "-W", "always", "-c", "import penstock.metrics"],
                env=usual | environment,
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            )
            assert ("RuntimeWarning: PROMETHEUS_MULTIPROC_DIR is set" in child.stderr) is warned
