"""What can be counted and observed: what prometheus_client takes, and less of what breaks it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest
from tests.metric_pairs import Failure, check_alike, make, outcome, samples

from penstock import metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    Use = Callable[[Any], object]


class Half:
    """Something that has a float, but is no number."""

    def __float__(self) -> float:
        return 1.5


OPERATIONS = [
    ("Counter", "inc"),
    ("Gauge", "inc"),
    ("Gauge", "dec"),
    ("Gauge", "set"),
    ("Summary", "observe"),
    ("Histogram", "observe"),
]


@pytest.mark.parametrize(("kind", "operation"), OPERATIONS)
@pytest.mark.parametrize(
    "amount",
    [0, -0.0, 1, 1.5, True, 2**53, 2**53 + 1, 2**64, 10**30, 1e308, 5e-324, inf, Fraction(1, 3)],
)
def test_number_counts_as_with_prometheus_client(kind: str, operation: str, amount: object) -> None:
    def use(library: ModuleType) -> object:
        metric = make(library, kind)
        getattr(metric, operation)(amount)
        getattr(metric, operation)(0.25)
        return samples(metric)

    check_alike(use)


@pytest.mark.parametrize(("kind", "operation"), OPERATIONS)
@pytest.mark.parametrize("amount", [Decimal("1.5"), Half()])
def test_what_has_a_float_is_a_number(kind: str, operation: str, amount: object) -> None:
    metric, same = make(metrics, kind), make(metrics, kind)
    getattr(metric, operation)(amount)
    getattr(same, operation)(1.5)
    assert samples(metric) == samples(same)


@pytest.mark.parametrize(("kind", "operation"), OPERATIONS)
@pytest.mark.parametrize("amount", [None, "", "x", [], 1j, object()])
def test_what_is_no_number_changes_nothing(kind: str, operation: str, amount: object) -> None:
    metric = make(metrics, kind)
    before = samples(metric)
    failure = outcome(lambda: getattr(metric, operation)(amount))
    assert isinstance(failure, Failure)
    assert failure.type in {TypeError, ValueError}
    assert samples(metric) == before


@pytest.mark.parametrize("amount", [-1, -0.5, -5e-324, -inf])
def test_counter_cannot_go_down(amount: float) -> None:
    check_alike(lambda library: make(library, "Counter").inc(amount))


def test_what_is_not_a_number_is_refused_by_a_counter() -> None:
    counter = make(metrics, "Counter")
    with pytest.raises(ValueError, match=r"^Counters can only be incremented by non-negative"):
        counter.inc(nan)
    assert counter._value.get() == 0


@pytest.mark.parametrize("kind", ["Summary", "Histogram"])
def test_what_is_not_a_number_is_not_observed(kind: str) -> None:
    metric, same = make(metrics, kind), make(metrics, kind)
    for amount in (1, nan, 2, -nan):
        metric.observe(amount)
    same.observe(1)
    same.observe(2)
    assert samples(metric) == samples(same)


@pytest.mark.parametrize("mode", ["mostrecent", "livemostrecent"])
@pytest.mark.parametrize("labelnames", [(), ("a",)])
@pytest.mark.parametrize(
    "use",
    [
        lambda gauge: gauge.inc(),
        lambda gauge: gauge.dec(),
        lambda gauge: gauge.set(1),
        lambda gauge: gauge.track_inprogress().__enter__(),
        lambda gauge: (gauge.labels(1) if gauge._labelnames else gauge).set(2),
        lambda gauge: (gauge.labels(1) if gauge._labelnames else gauge).inc(),
    ],
)
def test_gauge_of_the_most_recent_value_is_only_set(
    mode: str, labelnames: tuple[str, ...], use: Use
) -> None:
    check_alike(lambda library: use(make(library, "Gauge", *labelnames, multiprocess_mode=mode)))


@pytest.mark.parametrize("value", [5, 1.5, True, Decimal(2), "5", None, "x"])
def test_function_of_a_gauge_gives_its_value(value: object) -> None:
    def use(library: ModuleType) -> object:
        gauge = make(library, "Gauge")
        gauge.set(7)
        gauge.set_function(lambda: value)
        gauge.inc()
        gauge.set(9)
        return samples(gauge)

    check_alike(use)


def test_function_of_a_gauge_raises_what_it_raises() -> None:
    def use(library: ModuleType) -> object:
        gauge = make(library, "Gauge", "a")
        gauge.labels(1).set_function(lambda: {}["key"])
        return samples(gauge)

    assert check_alike(use) == Failure(KeyError, "'key'")
