"""`max_series` and what was refused: label values beyond it, and NaNs."""

from __future__ import annotations

import gc
from types import ModuleType
from typing import Any

import pytest
from tests.metering import KINDS, Odd, make, use

NAN = float("nan")


def values(metric: Any) -> list[str]:
    return ["/".join(child._labelvalues) for child in metric._children()]


def dropped(backend: ModuleType, name: str) -> tuple[int, int] | None:
    found = {own: figures for own, *figures in backend.drops()}
    return tuple(found[name]) if name in found else None


@pytest.mark.parametrize("kind", KINDS)
def test_values_beyond_the_limit_share_one_series(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "one", "two", max_series=2, name=f"over_{kind}")
    first, second = metric.labels("a", "b"), metric.labels("c", "d")
    overflow = metric.labels("e", "f")
    assert overflow._labelvalues == ("__overflow__", "__overflow__")
    assert type(overflow) is type(metric)
    assert metric.labels("g", "h") is overflow
    assert metric.labels(two="x", one="y") is overflow
    assert metric.labels("a", "b") is first
    assert metric.labels("c", "d") is second
    assert metric._children() == [first, second, overflow]
    assert dropped(backend, f"over_{kind}") == (3, 0)
    use(overflow)


def test_none_is_no_limit(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label", max_series=None)
    for number in range(12_000):
        metric.labels(number)
    assert len(metric._children()) == 12_000


def test_one_series_is_the_smallest_limit(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label", max_series=1)
    for value in "aabbc":
        metric.labels(value).inc()
    assert [child._read()[0] for child in metric._children()] == [2, 3]
    assert values(metric) == ["a", "__overflow__"]


def test_the_overflow_series_takes_nobodys_place(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label", max_series=2)
    for value in "abc":
        metric.labels(value)
    metric.remove("a")
    assert metric.labels("d")._labelvalues == ("d",)
    assert values(metric) == ["b", "__overflow__", "d"]
    assert metric.labels("e")._labelvalues == ("__overflow__",)


def test_the_overflow_series_can_be_asked_for(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label", max_series=1, name="asked_for")
    overflow = metric.labels("__overflow__")
    assert metric.labels("a")._labelvalues == ("a",)
    assert metric.labels("b") is overflow
    assert metric.labels("__overflow__") is overflow
    assert values(metric) == ["__overflow__", "a"]
    assert dropped(backend, "asked_for") == (1, 0)
    metric.remove("__overflow__")
    assert values(metric) == ["a"]
    assert metric.labels("__overflow__") is not overflow
    assert dropped(backend, "asked_for") == (1, 0)


def test_values_that_are_partly_overflow_are_ordinary(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "one", "two", max_series=1)
    assert metric.labels("__overflow__", "a")._labelvalues == ("__overflow__", "a")
    assert metric.labels("a", "__overflow__")._labelvalues == ("__overflow__", "__overflow__")


def test_clearing_makes_room(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label", max_series=2, name="cleared")
    for value in "abcd":
        metric.labels(value)
    metric.clear()
    assert metric.labels("c")._labelvalues == ("c",)
    assert values(metric) == ["c"]
    assert dropped(backend, "cleared") == (2, 0)


def test_removing_by_some_values_makes_room(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label", max_series=2)
    for value in "abc":
        metric.labels(value)
    metric._remove_where({0: "a"})
    assert metric.labels("c")._labelvalues == ("c",)
    metric._remove_where({0: "__overflow__"})
    assert values(metric) == ["b", "c"]


def test_a_text_that_fills_the_table_leaves_no_room_for_itself(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label", max_series=2)

    def fill() -> str:
        metric.labels("a")
        metric.labels("b")
        return "c"

    assert metric.labels(Odd(fill))._labelvalues == ("__overflow__",)
    assert values(metric) == ["a", "b", "__overflow__"]


def test_refusals_are_summed_by_name_and_sorted(backend: ModuleType) -> None:
    names = "zyzxihgfedcba"
    metrics = [make(backend, "Summary", "label", name=name, max_series=1) for name in names]
    for number, metric in enumerate(metrics):
        for value in range(number + 2):
            metric.labels(value).observe(NAN)
    mine = [row for row in backend.drops() if row[0] in names]
    assert mine[-3:] == [("x", 4, 5), ("y", 2, 3), ("z", 1 + 3, 2 + 4)]
    assert [row[0] for row in mine] == sorted(set(names))
    assert all(type(row) is tuple for row in mine)


def test_a_family_that_refused_nothing_is_not_listed(backend: ModuleType) -> None:
    metric = make(backend, "Histogram", "label", name="faultless", max_series=2)
    metric.labels("a").observe(1)
    metric.labels("a").observe(float("inf"))
    assert dropped(backend, "faultless") is None
    metric.labels("a").observe(NAN)
    assert dropped(backend, "faultless") == (0, 1)


def test_refusals_do_not_keep_a_family_alive(backend: ModuleType) -> None:
    metric = make(backend, "Summary", "label", name="mortal")
    child = metric.labels("a")
    child.observe(NAN)
    assert dropped(backend, "mortal") == (0, 1)
    del metric
    gc.collect()
    child.observe(NAN)
    assert dropped(backend, "mortal") == (0, 2)
    del child
    gc.collect()
    assert dropped(backend, "mortal") is None


@pytest.mark.parametrize("kind", ["Counter", "Summary", "Histogram"])
def test_a_nan_changes_nothing_and_is_counted(backend: ModuleType, kind: str) -> None:
    class Weird:
        def __float__(self) -> float:
            return NAN

    metric = make(backend, kind, name=f"nan_{kind}")
    use(metric)
    before = metric._read()
    for amount in (NAN, -NAN, Weird()):
        if kind == "Counter":
            with pytest.raises(ValueError, match="only be incremented by non-negative amounts"):
                use(metric, amount)
        else:
            use(metric, amount)
    assert metric._read() == before
    assert dropped(backend, f"nan_{kind}") == (0, 3)


def test_a_gauge_may_be_nan(backend: ModuleType) -> None:
    gauge = make(backend, "Gauge", name="nan_gauge")
    gauge.set(NAN)
    assert gauge._read() != gauge._read()
    assert dropped(backend, "nan_gauge") is None
