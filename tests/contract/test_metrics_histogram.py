"""`Histogram`: the buckets that Prometheus sees, and their exemplars. For windows see there."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import inf, isnan, nextafter
from types import ModuleType
from typing import Any

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends import BACKENDS, load_backend
from tests.clock import Clock
from tests.metering import Odd, make, set_hooks
from tests.threads import spawn

NAN = float("nan")
MANY = (*tuple(float(bound) for bound in range(100)), inf)


def test_it_begins_empty(backend: ModuleType) -> None:
    before = time.time()
    histogram = make(backend, "Histogram", bounds=(0.5, 1.0, inf))
    counts, total, created, exemplars = histogram._read()
    assert counts == [0, 0, 0]
    assert total == 0.0
    assert before - 0.1 <= created <= time.time() + 0.1
    assert exemplars == [None, None, None]
    histogram.observe(1)
    assert histogram._read()[2] == created


def test_upper_bounds_are_a_list_of_floats(backend: ModuleType) -> None:
    parent = make(backend, "Histogram", "label", bounds=(-1.5, 0.0, 2.0, inf))
    for histogram in (parent, parent.labels("a")):
        assert histogram._upper_bounds == [-1.5, 0.0, 2.0, inf]
        assert type(histogram._upper_bounds) is list
        histogram._upper_bounds.clear()
        assert len(histogram._upper_bounds) == 4


def counts(backend: ModuleType, bounds: tuple[float, ...], *amounts: Any) -> list[int]:
    histogram = make(backend, "Histogram", bounds=bounds)
    for amount in amounts:
        histogram.observe(amount)
    found = histogram._read()[0]
    assert all(type(count) is int for count in found)
    return found


def test_a_bound_belongs_to_its_bucket(backend: ModuleType) -> None:
    bounds = (-1.0, 0.0, 0.1, 1.0, inf)
    assert counts(backend, bounds, -1, -2, -1.0) == [3, 0, 0, 0, 0]
    assert counts(backend, bounds, nextafter(-1, 0), 0, -0.0, 0.0) == [0, 4, 0, 0, 0]
    assert counts(backend, bounds, 5e-324, 0.1) == [0, 0, 2, 0, 0]
    assert counts(backend, bounds, nextafter(0.1, 1), 1, True) == [0, 0, 0, 3, 0]
    assert counts(backend, bounds, nextafter(1, 2), 1e308) == [0, 0, 0, 0, 2]


def test_infinities_are_in_the_outermost_buckets(backend: ModuleType) -> None:
    histogram = make(backend, "Histogram", bounds=(1.0, 2.0, inf))
    histogram.observe(inf)
    assert histogram._read()[:2] == ([0, 0, 1], inf)
    histogram.observe(-inf)
    assert histogram._read()[0] == [1, 0, 1]
    assert isnan(histogram._read()[1])
    assert counts(backend, (-inf, 0.0, inf), -inf, -1) == [1, 1, 0]


def test_equal_bounds_count_in_the_first(backend: ModuleType) -> None:
    assert counts(backend, (1.0, 1.0, 2.0, inf), 0, 1, 2) == [2, 0, 1, 0]


@pytest.mark.parametrize("name", BACKENDS)
@given(
    bounds=st.lists(st.floats(allow_nan=False), max_size=60),
    amounts=st.lists(st.floats(allow_nan=False) | st.integers(-5, 5), max_size=20),
)
def test_an_amount_is_in_the_first_bucket_that_holds_it(
    name: str, bounds: list[float], amounts: list[float]
) -> None:
    bounds = [*sorted(bounds), inf]
    amounts += bounds[:5]
    expected = [0] * len(bounds)
    for amount in amounts:
        expected[bisect_left(bounds, amount)] += 1
    assert counts(load_backend(name), tuple(bounds), *amounts) == expected


def test_many_bounds_are_searched_right(backend: ModuleType) -> None:
    amounts = [number / 2 for number in range(-4, 230)]
    expected = [0] * len(MANY)
    for amount in amounts:
        expected[bisect_left(MANY, amount)] += 1
    assert counts(backend, MANY, *amounts) == expected


def test_the_sum_is_of_all_amounts(backend: ModuleType) -> None:
    histogram = make(backend, "Histogram")
    for amount in (1, 2.5, -3, True, Decimal("0.5"), Fraction(1, 4), 10**15):
        assert histogram.observe(amount) is None
    histogram.observe(amount=-1)
    assert histogram._read()[1] == 1 + 2.5 - 3 + 1 + 0.5 + 0.25 + 10**15 - 1
    assert type(histogram._read()[1]) is float


@pytest.mark.parametrize(
    ("amount", "kind", "message"),
    [
        ("1", TypeError, "must be real number, not str"),
        (None, TypeError, "must be real number, not NoneType"),
        (Odd(lambda: "1"), TypeError, "must be real number, not Odd"),
        (10**400, OverflowError, "int too large to convert to float"),
    ],
)
def test_what_is_no_number_is_refused(
    backend: ModuleType, amount: Any, kind: type[Exception], message: str
) -> None:
    histogram = make(backend, "Histogram")
    with pytest.raises(kind) as caught:
        histogram.observe(amount)
    assert type(caught.value) is kind
    assert str(caught.value).endswith(message)
    assert histogram._read()[:2] == ([0, 0, 0], 0.0)


def test_wrong_arguments_are_refused(backend: ModuleType) -> None:
    histogram = make(backend, "Histogram")
    calls: list[Callable[[], object]] = [
        histogram.observe,
        lambda: histogram.observe(1, {}, 2),
        lambda: histogram.observe(value=1),
        lambda: histogram.observe(1, amount=1),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert histogram._read()[1] == 0


@pytest.mark.parametrize("nothing", [NAN, -NAN])
def test_a_nan_leaves_no_trace(backend: ModuleType, clock: Clock, nothing: float) -> None:
    histogram = make(backend, "Histogram", timer=clock)
    histogram.observe(nothing)
    histogram.observe(nothing, {"a": "b"})
    assert histogram._read()[:2] == ([0, 0, 0], 0.0)
    assert histogram._read()[3] == [None] * 3
    assert histogram.count() == 0


class TestExemplars:
    def test_each_bucket_keeps_its_last_one(self, backend: ModuleType) -> None:
        histogram = make(backend, "Histogram", bounds=(1.0, 2.0, inf))
        before = time.time()
        histogram.observe(0.5, {"trace": "1"})
        histogram.observe(5, exemplar={"trace": "2", "e": "\n"})
        histogram.observe(0.75, {"trace": "3"})
        histogram.observe(0.25)
        found = histogram._read()[3]
        assert [exemplar and exemplar[:2] for exemplar in found] == [
            ({"trace": "3"}, 0.75),
            None,
            ({"trace": "2", "e": "\n"}, 5.0),
        ]
        assert type(found[2][1]) is float
        assert all(before - 0.1 <= found[at][2] <= time.time() + 0.1 for at in (0, 2))

    @pytest.mark.parametrize("nothing", [None, {}, (), 0])
    def test_an_empty_one_is_none(self, backend: ModuleType, nothing: Any) -> None:
        histogram = make(backend, "Histogram")
        histogram.observe(1, nothing)
        assert histogram._read()[3] == [None] * 3
        assert histogram._read()[1] == 1

    @pytest.mark.parametrize("labels", [{"a": "x" * 128}, {"__a": "b"}, {"a": 5}, "text"])
    def test_a_wrong_one_is_refused_before_anything_is_counted(
        self, backend: ModuleType, labels: Any
    ) -> None:
        theirs = prometheus_client.Histogram("name", "Help.", registry=None)
        with pytest.raises(Exception) as expected:  # compared with the other one
            theirs.observe(1, labels)
        ours = make(backend, "Histogram")
        with pytest.raises(type(expected.value)) as caught:
            ours.observe(1, labels)
        assert str(caught.value) == str(expected.value)
        assert ours._read()[:2] == ([0, 0, 0], 0)
        assert ours.count() == 0

    def test_the_hook_may_use_the_histogram(self, backend: ModuleType) -> None:
        histogram = make(backend, "Histogram", "label")
        child = histogram.labels("a")

        def check(labels: dict[str, str]) -> list[tuple[str, str]]:
            child.observe(10)
            histogram.clear()
            return sorted(labels.items())

        try:
            backend.set_metric_hooks(check, None)
            child.observe(1, {"b": "1", "a": "2"})
        finally:
            set_hooks(backend)
        assert child._read()[:2] == ([1, 0, 1], 11)
        assert list(child._read()[3][0][0]) == ["a", "b"]


def test_an_amount_may_be_observed_while_it_is_observed(backend: ModuleType) -> None:
    histogram = make(backend, "Histogram")

    class Recursive:
        def __float__(self) -> float:
            histogram.observe(10)
            return 0.5

    histogram.observe(Recursive())
    assert histogram._read()[:2] == ([1, 0, 1], 10.5)
    assert histogram.count() == 2


def test_children_count_apart(backend: ModuleType, clock: Clock) -> None:
    histogram = make(backend, "Histogram", "label", timer=clock)
    histogram.labels("a").observe(0.5)
    histogram.labels("b").observe(5)
    assert [child._read()[0] for child in histogram._children()] == [[1, 0, 0], [0, 0, 1]]
    assert [child.max() for child in histogram._children()] == [0.5, 5]


@pytest.mark.usefixtures("interleaving")
def test_a_reader_sees_sum_and_buckets_agree(backend: ModuleType) -> None:
    histogram = make(backend, "Histogram", bounds=(1.0, 2.0, 4.0, inf))
    threads, rounds = 5, 1500

    def observe(amount: int) -> None:
        for _ in range(rounds):
            histogram.observe(amount)

    def read() -> None:
        for _ in range(rounds):
            (ones, twos, fours, eights), total, _, _ = histogram._read()
            assert total == ones + 2 * twos + 4 * fours + 8 * eights

    writers = [spawn(observe, 2 ** (number % 4)) for number in range(threads)]
    for thread in [*writers, spawn(read), spawn(read)]:
        thread.result()
    assert sum(histogram._read()[0]) == histogram.count() == threads * rounds
