"""`Counter`: exact sums of whole amounts, sums of fractions, refusals, exemplars."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import inf
from types import ModuleType
from typing import Any

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends import BACKENDS, load_backend
from tests.metering import Odd, make, set_hooks
from tests.threads import spawn

NAN = float("nan")
NEGATIVE = "Counters can only be incremented by non-negative amounts."


class Number:
    """Like a scalar of numpy."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class Index:
    """A whole number that is no int."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def value(metric: Any) -> float:
    return metric._read()[0]


def test_it_begins_at_zero_and_counts_by_one(backend: ModuleType) -> None:
    counter = make(backend, "Counter")
    assert value(counter) == 0.0
    assert type(value(counter)) is float
    assert counter.inc() is None
    counter.inc()
    assert value(counter) == 2.0


@pytest.mark.parametrize(
    ("amounts", "total"),
    [
        ([1, 2.0, 3], 6.0),
        ([0, 0.0, -0.0, False], 0.0),
        ([True, True], 2.0),
        ([0.5, 0.25, 1], 1.75),
        ([0.1] * 3, 0.1 + 0.1 + 0.1),
        ([Decimal("1.5"), Fraction(1, 4)], 1.75),
        ([Number(2.5), Number(2.0), Index(3)], 7.5),
        ([2**53, 1, 1], 2.0**53 + 2),
        ([2**53, 1.0, 1.0], 2.0**53 + 2),
        ([2**63, 2**62], 2.0**63 + 2.0**62),
        ([2**64 - 1], 2.0**64),
        ([2**64, 1], 2.0**64),
        ([10**30, 1e30], 2e30),
        ([1e300, 5e-324], 1e300),
        ([5e-324, 5e-324], 1e-323),
        ([inf, 1], inf),
        ([inf, inf], inf),
    ],
)
def test_amounts_of_any_kind_are_summed(
    backend: ModuleType, amounts: list[Any], total: float
) -> None:
    counter = make(backend, "Counter")
    for amount in amounts:
        counter.inc(amount)
    assert value(counter) == total
    by_name = make(backend, "Counter")
    for amount in amounts:
        by_name.inc(amount=amount)
    assert value(by_name) == total


def test_single_events_count_beyond_what_a_float_can_hold(backend: ModuleType) -> None:
    counter = make(backend, "Counter")
    counter.inc(2**53)
    for _ in range(1000):
        counter.inc()
    counter.inc(1e9)
    counter.inc(0.5)
    assert value(counter) == 2**53 + 1000 + 10**9


def test_the_sum_of_whole_amounts_does_not_wrap(backend: ModuleType) -> None:
    counter = make(backend, "Counter")
    counter.inc(2**63)
    for _ in range(3):
        counter.inc(2**64 - 1)
        assert value(counter) == 2.0**64
    counter.inc()
    assert value(counter) == 2.0**64
    counter.inc(2.0**64)
    assert value(counter) == 2.0**65


@pytest.mark.parametrize("name", BACKENDS)
@given(amounts=st.lists(st.integers(0, 2**40) | st.floats(0, 1e6), max_size=30))
def test_the_sum_is_what_exact_arithmetic_gives(name: str, amounts: list[float]) -> None:
    counter = make(load_backend(name), "Counter")
    for amount in amounts:
        counter.inc(amount)
    exact = float(sum(map(Fraction, amounts)))
    assert value(counter) == pytest.approx(exact, rel=1e-12)
    if all(float(amount).is_integer() for amount in amounts):
        assert value(counter) == exact


@pytest.mark.parametrize(
    "amount", [-1, -0.5, -5e-324, -inf, NAN, Decimal(-1), Fraction(-1, 2), Number(-1.0), Index(-1)]
)
def test_what_is_not_positive_is_refused(backend: ModuleType, amount: Any) -> None:
    counter = make(backend, "Counter")
    counter.inc(3)
    calls: list[Callable[[], object]] = [
        lambda: counter.inc(amount),
        lambda: counter.inc(amount, {"a": "b"}),
        lambda: counter.inc(amount=amount, exemplar={"__reserved": "x" * 200}),
    ]
    for call in calls:
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value) == NEGATIVE
    assert counter._read()[0::2] == (3, None)


@pytest.mark.parametrize(
    ("amount", "kind", "message"),
    [
        ("1", TypeError, "must be real number, not str"),
        (b"1", TypeError, "must be real number, not bytes"),
        (1j, TypeError, "must be real number, not complex"),
        ([], TypeError, "must be real number, not list"),
        (Odd(lambda: "1"), TypeError, "must be real number, not Odd"),
        (10**400, OverflowError, "int too large to convert to float"),
        (Index(10**400), OverflowError, "int too large to convert to float"),
        (Decimal("sNaN"), ValueError, "cannot convert signaling NaN to float"),
        (Number("1"), TypeError, "__float__ returned non-float (type str)"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_number_is_refused(
    backend: ModuleType, amount: Any, kind: type[Exception], message: str
) -> None:
    counter = make(backend, "Counter")
    with pytest.raises(kind) as caught:
        counter.inc(amount)
    assert type(caught.value) is kind
    assert str(caught.value).endswith(message)
    assert value(counter) == 0


def test_none_is_no_amount(backend: ModuleType) -> None:
    counter = make(backend, "Counter")
    with pytest.raises(TypeError, match="must be real number, not NoneType"):
        counter.inc(None)
    assert value(counter) == 0


def test_what_float_raises_comes_through(backend: ModuleType) -> None:
    class Broken:
        def __float__(self) -> float:
            raise LookupError("no number")

    counter = make(backend, "Counter")
    with pytest.raises(LookupError, match="no number"):
        counter.inc(Broken())
    assert value(counter) == 0


def test_wrong_arguments_are_refused(backend: ModuleType) -> None:
    counter = make(backend, "Counter")
    calls: list[Callable[[], object]] = [
        lambda: counter.inc(1, {}, 2),
        lambda: counter.inc(value=1),
        lambda: counter.inc(1, amount=1),
        lambda: counter.reset(0),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert value(counter) == 0


def test_an_amount_may_count_itself(backend: ModuleType) -> None:
    counter = make(backend, "Counter")

    class Recursive:
        def __float__(self) -> float:
            counter.inc(10)
            return 0.5

    counter.inc(Recursive())
    assert value(counter) == 10.5


def test_it_is_as_old_as_it_is(backend: ModuleType) -> None:
    before = time.time()
    counter = make(backend, "Counter", "label")
    child = counter.labels("a")
    after = time.time()
    created = child._read()[1]
    assert before - 0.1 <= created <= after + 0.1
    child.inc()
    assert child._read()[1] == created
    assert counter.labels("a")._read()[1] == created


def test_reset_starts_again_from_zero(backend: ModuleType) -> None:
    counter = make(backend, "Counter")
    for amount in (5, 0.5, 2**60):
        counter.inc(amount)
    counter.inc(1, {"trace": "1"})
    _, created, exemplar = counter._read()
    assert counter.reset() is None
    assert counter._read()[0] == 0
    assert counter._read()[1] > created
    assert counter._read()[2] == exemplar
    counter.inc(2)
    assert value(counter) == 2


class TestExemplars:
    def test_the_last_one_is_kept(self, backend: ModuleType) -> None:
        counter = make(backend, "Counter")
        assert counter._read()[2] is None
        before = time.time()
        counter.inc(2, {"trace_id": "abc", "a": "é\n"})
        counter.inc(3)
        labels, amount, timestamp = counter._read()[2]
        assert labels == {"trace_id": "abc", "a": "é\n"}
        assert amount == 2.0
        assert type(amount) is float
        assert before - 0.1 <= timestamp <= time.time() + 0.1
        counter.inc(0.5, exemplar={"b": ""})
        assert counter._read()[2][:2] == ({"b": ""}, 0.5)
        assert value(counter) == 5.5

    def test_its_amount_is_the_one_given(self, backend: ModuleType) -> None:
        counter = make(backend, "Counter")
        for amount in (-0.0, 0.5, True, 2**64 - 1, 10**30, Decimal("1.5")):
            counter.inc(amount, {"a": "b"})
            assert repr(counter._read()[2][1]) == repr(float(amount))

    @pytest.mark.parametrize("nothing", [None, {}, (), 0, ""])
    def test_an_empty_one_is_none(self, backend: ModuleType, nothing: Any) -> None:
        counter = make(backend, "Counter")
        counter.inc(1, {"a": "b"})
        counter.inc(1, nothing)
        assert counter._read()[2][0] == {"a": "b"}
        assert value(counter) == 2

    @pytest.mark.parametrize(
        "labels",
        [{"a": "x" * 128}, {"x" * 65: "y" * 64}, {"__a": "b"}, {"a": 5}, {5: "a"}, "text", [1]],
    )
    def test_a_wrong_one_is_refused_before_anything_is_counted(
        self, backend: ModuleType, labels: Any
    ) -> None:
        theirs = prometheus_client.Counter("name", "Help.", registry=None)
        with pytest.raises(Exception) as expected:  # compared with the other one
            theirs.inc(1, labels)
        ours = make(backend, "Counter")
        with pytest.raises(type(expected.value)) as caught:
            ours.inc(1, labels)
        assert str(caught.value) == str(expected.value)
        assert ours._read()[0::2] == (0, None)

    def test_128_characters_are_allowed(self, backend: ModuleType) -> None:
        counter = make(backend, "Counter")
        counter.inc(1, {"a": "é" * 127})
        assert counter._read()[2][0] == {"a": "é" * 127}

    def test_it_is_a_copy(self, backend: ModuleType) -> None:
        counter = make(backend, "Counter")
        labels = {"a": "b"}
        counter.inc(1, labels)
        labels["a"] = "c"
        counter._read()[2][0]["a"] = "d"
        assert counter._read()[2][0] == {"a": "b"}

    def test_lone_surrogates_are_replaced(self, backend: ModuleType) -> None:
        counter = make(backend, "Counter")
        counter.inc(1, {"a": "\ud800"})
        assert counter._read()[2][0] == {"a": "\ufffd"}

    def test_the_hook_decides(self, backend: ModuleType) -> None:
        counter = make(backend, "Counter")
        asked: list[object] = []

        def check(labels: dict[str, str]) -> list[tuple[str, str]]:
            asked.append(labels)
            counter.inc(10)  # allowed: nothing is locked, nothing is counted yet
            if "bad" in labels:
                raise LookupError("bad")
            return [("b", "2"), ("a", "1")]

        try:
            backend.set_metric_hooks(check, lambda timer, function: function)
            counter.inc(1, {"given": "x"})
            with pytest.raises(LookupError):
                counter.inc(1, {"bad": "x"})
        finally:
            set_hooks(backend)
        assert asked == [{"given": "x"}, {"bad": "x"}]
        assert list(counter._read()[2][0].items()) == [("b", "2"), ("a", "1")]
        assert value(counter) == 21

    def test_a_reset_in_between_loses_nothing(self, backend: ModuleType) -> None:
        counter = make(backend, "Counter")
        try:
            backend.set_metric_hooks(lambda labels: counter.reset() or [], None)
            counter.inc(4)
            counter.inc(1, {"a": "b"})
        finally:
            set_hooks(backend)
        assert value(counter) == 1
        assert counter._read()[2][0] == {}


@pytest.mark.usefixtures("interleaving")
def test_threads_lose_no_count(backend: ModuleType) -> None:
    counter = make(backend, "Counter", "label")

    def count(seed: int) -> float:
        generator = random.Random(seed)
        total = 0.0
        for _ in range(2000):
            amount = generator.choice([1, 0.5, 2**20, 3.0])
            counter.labels(generator.choice("ab")).inc(amount)
            total += amount
        return total

    totals = [thread.result() for thread in [spawn(count, seed) for seed in range(6)]]
    assert sum(value(child) for child in counter._children()) == sum(totals)


@pytest.mark.usefixtures("eager_collector")
def test_a_finalizer_may_count(backend: ModuleType) -> None:
    counter = make(backend, "Counter", "label", max_series=3)

    class Last:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            counter.labels("dead").inc()

    for number in range(300):
        Last()
        counter.labels(number % 5).inc()
    total = sum(value(child) for child in counter._children())
    assert 300 < total <= 600
    assert len(counter._children()) <= 5
