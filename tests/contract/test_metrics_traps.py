"""Traps that a review found in one backend: both keep out of them."""

from __future__ import annotations

import gc
from types import ModuleType
from typing import Any, Generic, TypeVar

import pytest
from tests.metering import KINDS, init, make, use

T = TypeVar("T")


class Fickle:
    """An amount that is another one each time it is asked."""

    def __init__(self, *amounts: float | Exception) -> None:
        self.amounts = list(amounts)

    def __float__(self) -> float:
        amount = self.amounts.pop(0)
        if isinstance(amount, Exception):
            raise amount
        return amount


def test_an_amount_is_asked_once(backend: ModuleType) -> None:
    counter = make(backend, "Counter")
    with pytest.raises(ValueError, match="non-negative"):
        counter.inc(Fickle(-1.0, 1.0))
    for kind in KINDS:
        metric = make(backend, kind)
        operation = getattr(metric, {"Counter": "inc", "Gauge": "set"}.get(kind, "observe"))
        with pytest.raises(LookupError):
            operation(Fickle(LookupError(), 1.0))
        operation(Fickle(2.0))


def test_an_amount_is_not_asked_without_label_values(backend: ModuleType) -> None:
    for kind in KINDS:
        metric = make(backend, kind, "a")
        operation = getattr(metric, {"Counter": "inc", "Gauge": "set"}.get(kind, "observe"))
        with pytest.raises(ValueError, match="missing label values"):
            operation(Fickle())


def test_other_bases_hear_of_a_subclass(backend: ModuleType) -> None:
    told: list[object] = []

    class Listener:
        def __init_subclass__(cls, flag: int = 0) -> None:
            told.append(flag)

    for kind in KINDS:
        base = getattr(backend, kind)

        class Told(base, Listener, flag=1):  # type: ignore[misc, valid-type]
            pass

        class Boxed(base, Generic[T]):  # type: ignore[misc, valid-type]
            pass

        assert Boxed[int]
        with pytest.raises(TypeError):

            class Refused(base, unknown=1):  # type: ignore[misc, valid-type]
                pass

    assert told == [1] * len(KINDS)


def test_finalizers_that_label_do_not_exceed_the_most_series(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "a", max_series=3)

    class Last:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            for number in range(5):
                metric.labels(f"late {number}")

    for round_ in range(40):
        metric.clear()
        metric.labels("one")
        metric.labels("two")
        Last()
        thresholds = gc.get_threshold()
        gc.set_threshold(1)
        metric.labels(f"three {round_}")
        gc.set_threshold(*thresholds)
        values = [child._labelvalues for child in metric._children()]
        assert len([value for value in values if value != ("__overflow__",)]) <= 3
    gc.collect()


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_no_sample_has_are_ignored(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, name="a")
    use(metric)
    every = {"a", "a_total", "a_count", "a_sum", "a_bucket"}
    odd: Any = frozenset({*every, "\udc80", 5})
    text, errors = backend.encode([metric], False, False, frozenset(every))
    assert backend.encode([metric], False, False, odd) == (text, errors)
    assert text


def test_an_object_without_init_is_told_apart_from_a_child(backend: ModuleType) -> None:
    counter = backend.Counter()
    with pytest.raises(RuntimeError, match="not initialised"):
        counter.inc()
    init(counter, "Counter")
    counter.inc()


def test_label_values_are_missed_before_the_rank_is_looked_at(backend: ModuleType) -> None:
    with pytest.raises(ValueError, match="missing label values"):
        make(backend, "Histogram", "a").quantile(2)
