"""`Gauge`: up, down, set, and what a function gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import inf, isnan
from types import ModuleType
from typing import Any

import pytest
from tests.metering import Odd, make
from tests.threads import spawn

NAN = float("nan")


def test_it_begins_at_zero_and_goes_up_and_down(backend: ModuleType) -> None:
    gauge = make(backend, "Gauge")
    assert gauge._read() == 0.0
    assert type(gauge._read()) is float
    assert gauge.inc() is gauge.dec(3) is None
    assert gauge._read() == -2
    gauge.inc(amount=0.5)
    gauge.dec(amount=-4)
    gauge.dec()
    assert gauge._read() == 1.5
    assert gauge.set(-7) is None
    assert gauge._read() == -7
    gauge.set(value=True)
    assert gauge._read() == 1.0


class Number:
    """Like a scalar of numpy."""

    def __float__(self) -> float:
        return 2.5

    def __neg__(self) -> object:
        raise AssertionError("the amount is negated as a float")


@pytest.mark.parametrize(
    ("amount", "number"),
    [(2, 2.0), (Decimal("0.5"), 0.5), (Fraction(1, 4), 0.25), (False, 0.0), (Number(), 2.5)],
)
def test_numbers_of_any_kind_are_taken(backend: ModuleType, amount: Any, number: float) -> None:
    gauge = make(backend, "Gauge")
    gauge.inc(amount)
    assert gauge._read() == number
    gauge.dec(amount)
    gauge.dec(amount)
    assert gauge._read() == -number
    gauge.set(amount)
    assert gauge._read() == number
    assert type(gauge._read()) is float


@pytest.mark.parametrize(
    ("amount", "kind", "message"),
    [
        ("1", TypeError, "must be real number, not str"),
        (None, TypeError, "must be real number, not NoneType"),
        (1j, TypeError, "must be real number, not complex"),
        (Odd(lambda: "1"), TypeError, "must be real number, not Odd"),
        (10**400, OverflowError, "int too large to convert to float"),
        (-(10**400), OverflowError, "int too large to convert to float"),
    ],
)
def test_what_is_no_number_is_refused(
    backend: ModuleType, amount: Any, kind: type[Exception], message: str
) -> None:
    gauge = make(backend, "Gauge")
    gauge.set(5)
    for call in (gauge.inc, gauge.dec):
        with pytest.raises(kind) as caught:
            call(amount)
        assert type(caught.value) is kind
        assert str(caught.value).endswith(message)
    assert gauge._read() == 5


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("one", ValueError, "could not convert string to float: 'one'"),
        (None, TypeError, "float() argument must be a string or a real number, not 'NoneType'"),
        (1j, TypeError, "float() argument must be a string or a real number, not 'complex'"),
        (10**400, OverflowError, "int too large to convert to float"),
    ],
)
def test_what_float_does_not_take_is_not_set(
    backend: ModuleType, value: Any, kind: type[Exception], message: str
) -> None:
    gauge = make(backend, "Gauge")
    gauge.set(5)
    with pytest.raises(kind) as caught:
        gauge.set(value)
    assert type(caught.value) is kind
    assert str(caught.value) == message
    assert gauge._read() == 5


def test_a_text_of_a_number_can_be_set(backend: ModuleType) -> None:
    gauge = make(backend, "Gauge")
    for text, number in ((" 1_0.5\n", 10.5), (b"-2", -2), ("inf", inf)):
        gauge.set(text)
        assert gauge._read() == number


def test_what_is_not_finite_is_a_value_too(backend: ModuleType) -> None:
    gauge = make(backend, "Gauge")
    gauge.inc(inf)
    assert gauge._read() == inf
    gauge.dec(inf)
    assert isnan(gauge._read())
    gauge.set(-inf)
    assert gauge._read() == -inf
    gauge.set(NAN)
    assert isnan(gauge._read())
    gauge.set(-0.0)
    assert str(gauge._read()) == "-0.0"


def test_wrong_arguments_are_refused(backend: ModuleType) -> None:
    gauge = make(backend, "Gauge")
    calls: list[Callable[[], object]] = [
        gauge.set,
        lambda: gauge.set(1, 2),
        lambda: gauge.set(amount=1),
        lambda: gauge.inc(1, 2),
        lambda: gauge.dec(value=1),
        gauge.set_function,
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert gauge._read() == 0


@pytest.mark.parametrize("labelnames", [(), ("label",)])
def test_what_keeps_the_most_recent_value_is_not_counted_up_or_down(
    backend: ModuleType, labelnames: tuple[str, ...]
) -> None:
    gauge = make(backend, "Gauge", *labelnames, most_recent=True)
    gauges = [gauge, *([gauge.labels("a")] if labelnames else [])]
    for each in gauges:
        for name in ("inc", "dec"):
            with pytest.raises(RuntimeError) as caught:
                getattr(each, name)(5)
            assert str(caught.value) == f"{name} must not be used with the mostrecent mode"
    gauges[-1].set(3)
    assert gauges[-1]._read() == 3


def test_an_amount_may_change_the_gauge(backend: ModuleType) -> None:
    gauge = make(backend, "Gauge")

    class Recursive:
        def __float__(self) -> float:
            gauge.inc(10)
            return 0.5

    gauge.inc(Recursive())
    assert gauge._read() == 10.5
    gauge.dec(Recursive())
    assert gauge._read() == 20
    gauge.set(Recursive())
    assert gauge._read() == 0.5


class TestFunction:
    def test_it_is_called_at_each_reading(self, backend: ModuleType) -> None:
        gauge = make(backend, "Gauge")
        values = iter([1, 2.5])
        assert gauge.set_function(lambda: next(values)) is None
        assert gauge._read() == 1.0
        assert gauge._read() == 2.5
        with pytest.raises(StopIteration):
            gauge._read()

    @pytest.mark.parametrize(
        ("value", "number"),
        [(1, 1.0), (True, 1.0), (Decimal("1.5"), 1.5), ("2.5", 2.5), (Number(), 2.5), (-inf, -inf)],
    )
    def test_it_may_return_whatever_float_takes(
        self, backend: ModuleType, value: Any, number: float
    ) -> None:
        gauge = make(backend, "Gauge", "label").labels("a")
        gauge.set_function(lambda: value)
        assert gauge._read() == number
        assert type(gauge._read()) is float

    @pytest.mark.parametrize(("value", "kind"), [(None, TypeError), ("x", ValueError)])
    def test_what_it_cannot_return(
        self, backend: ModuleType, value: Any, kind: type[Exception]
    ) -> None:
        gauge = make(backend, "Gauge")
        gauge.set_function(lambda: value)
        with pytest.raises(kind):
            gauge._read()

    def test_what_was_set_shows_no_longer(self, backend: ModuleType) -> None:
        gauge = make(backend, "Gauge")
        gauge.set(5)
        gauge.set_function(lambda: 1)
        gauge.set(6)
        gauge.inc()
        gauge.dec(100)
        assert gauge._read() == 1
        gauge.set_function(lambda: 2)
        assert gauge._read() == 2

    def test_each_child_has_its_own(self, backend: ModuleType) -> None:
        gauge = make(backend, "Gauge", "label")
        gauge.labels("a").set_function(lambda: 1)
        gauge.labels("b").set(2)
        assert [child._read() for child in gauge._children()] == [1, 2]

    def test_it_may_use_the_family(self, backend: ModuleType) -> None:
        gauge = make(backend, "Gauge", "label")

        def function() -> float:
            gauge.labels("a").set_function(lambda: 7)
            gauge.labels("b").inc()
            gauge.remove("c")
            return len(gauge._children())

        gauge.labels("a").set_function(function)
        gauge.labels("c")
        assert gauge.labels("a")._read() == 2
        assert gauge.labels("a")._read() == 7
        assert gauge.labels("b")._read() == 1

    def test_what_it_raises_comes_through_and_the_next_reading_asks_again(
        self, backend: ModuleType
    ) -> None:
        gauge = make(backend, "Gauge")
        errors = [LookupError("a"), KeyboardInterrupt()]

        def function() -> float:
            if errors:
                raise errors.pop(0)
            return 1

        gauge.set_function(function)
        with pytest.raises(LookupError):
            gauge._read()
        with pytest.raises(KeyboardInterrupt):
            gauge._read()
        assert gauge._read() == 1

    def test_an_old_one_dies_when_it_is_replaced(self, backend: ModuleType) -> None:
        died = []

        class Function:
            def __call__(self) -> float:
                return 1.0

            def __del__(self) -> None:
                died.append(gauge._read())

        gauge = make(backend, "Gauge")
        gauge.set_function(Function())
        assert died == []
        gauge.set_function(lambda: 2)
        assert died == [2]


@pytest.mark.usefixtures("interleaving")
def test_threads_lose_no_change(backend: ModuleType) -> None:
    gauge = make(backend, "Gauge")

    def change(seed: int) -> float:
        generator = random.Random(seed)
        total = 0
        for _ in range(3000):
            amount = generator.randrange(-5, 6)
            gauge.inc(amount) if amount % 2 else gauge.dec(-amount)
            total += amount
        return total

    totals = [thread.result() for thread in [spawn(change, seed) for seed in range(6)]]
    assert gauge._read() == sum(totals)
