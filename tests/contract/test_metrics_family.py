"""What all metrics have: a life before and after `_init`, names, children in order."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.metering import KINDS, init, make, use

Use = Callable[[Any], object]

#: Every use of any metric.
SHARED: dict[str, Use] = {
    "name": lambda metric: metric._name,
    "documentation": lambda metric: metric._documentation,
    "unit": lambda metric: metric._unit,
    "type": lambda metric: metric._type,
    "labelnames": lambda metric: metric._labelnames,
    "labelvalues": lambda metric: metric._labelvalues,
    "max_series": lambda metric: metric._max_series,
    "str": str,
    "labels": lambda metric: metric.labels("a"),
    "remove": lambda metric: metric.remove("a"),
    "clear": lambda metric: metric.clear(),
    "children": lambda metric: metric._children(),
    "remove_where": lambda metric: metric._remove_where({0: "a"}),
}
#: What needs the numbers of one series.
OWN: dict[str, dict[str, Use]] = {
    "Counter": {
        "inc": lambda metric: metric.inc(),
        "inc 2": lambda metric: metric.inc(2),
        "inc keyword": lambda metric: metric.inc(amount=0.5),
        "inc exemplar": lambda metric: metric.inc(1, {"a": "b"}),
        "reset": lambda metric: metric.reset(),
        "read": lambda metric: metric._read(),
    },
    "Gauge": {
        "inc": lambda metric: metric.inc(),
        "dec": lambda metric: metric.dec(),
        "set": lambda metric: metric.set(1),
        "set keyword": lambda metric: metric.set(value=1),
        "set_function": lambda metric: metric.set_function(lambda: 1),
        "read": lambda metric: metric._read(),
    },
    "Summary": {
        "observe": lambda metric: metric.observe(1),
        "observe NaN": lambda metric: metric.observe(float("nan")),
        "observe keyword": lambda metric: metric.observe(amount=1),
        "read": lambda metric: metric._read(),
    },
    "Histogram": {
        "observe": lambda metric: metric.observe(1),
        "observe NaN": lambda metric: metric.observe(float("nan")),
        "observe keyword": lambda metric: metric.observe(amount=1),
        "observe exemplar": lambda metric: metric.observe(1, {"a": "b"}),
        "read": lambda metric: metric._read(),
        "quantile": lambda metric: metric.quantile(0.5),
        "count": lambda metric: metric.count(),
        "mean": lambda metric: metric.mean(5),
        "max": lambda metric: metric.max(window=5),
    },
}
CASES = [(kind, name, use) for kind, uses in OWN.items() for name, use in uses.items()]
ALL = CASES + [(kind, name, use) for kind in KINDS for name, use in SHARED.items()]
ALL += [("Family", name, use) for name, use in SHARED.items()]
ALL += [("Histogram", "upper bounds", lambda metric: metric._upper_bounds)]


def ids(cases: list[tuple[str, str, Use]]) -> list[str]:
    return [f"{kind}-{name}" for kind, name, _ in cases]


@pytest.mark.parametrize(("kind", "name", "use"), ALL, ids=ids(ALL))
def test_what_is_not_initialised_cannot_be_used(
    backend: ModuleType, kind: str, name: str, use: Use
) -> None:
    metric = getattr(backend, kind)()
    with pytest.raises(RuntimeError, match=r"^metric is not initialised$"):
        use(metric)


@pytest.mark.parametrize("kind", [*KINDS, "Family"])
def test_the_constructor_accepts_anything(backend: ModuleType, kind: str) -> None:
    class Sub(getattr(backend, kind)):  # type: ignore[misc]  # of either backend
        __slots__ = ("given",)

        def __init__(self, *args: object, **kwargs: object) -> None:
            self.given = args, kwargs

    getattr(backend, kind)(1, "2", three=3)
    assert Sub(1, a=2).given == ((1,), {"a": 2})


@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_is_initialised_once(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "a", name="first")
    child = metric.labels("x")
    use(child)
    for twice in (metric, child):
        with pytest.raises(RuntimeError, match=r"^metric is already initialised$"):
            init(twice, kind, name="second")
    assert metric._name == child._name == "first"
    assert metric._children() == [child]
    with pytest.raises(ValueError, match="missing label values"):
        metric._read()
    before = child._read()
    use(child)
    assert child._read() != before


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_initialisation_leaves_the_numbers_alone(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind)
    use(metric)
    before = metric._read()
    with pytest.raises(RuntimeError, match=r"^metric is already initialised$"):
        init(metric, kind)
    assert metric._read() == before


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_those_given(backend: ModuleType, kind: str) -> None:
    given = {"name": "a_b", "documentation": "Hélp\n\\", "unit": "b", "max_series": 7}
    metric = make(backend, kind, "one", "two", **given)
    child = metric.labels("1", "2")
    for thing in (metric, child):
        assert thing._name == "a_b"
        assert thing._documentation == "Hélp\n\\"
        assert thing._unit == "b"
        assert thing._type == kind.lower()
        assert thing._labelnames == ("one", "two")
        assert thing._max_series == 7
        assert str(thing) == f"{kind.lower()}:a_b"
    assert metric._labelvalues == ()
    assert child._labelvalues == ("1", "2")
    assert make(backend, kind)._labelnames == ()
    assert make(backend, kind)._max_series is None


@pytest.mark.parametrize("kind", KINDS)
def test_names_cannot_be_changed(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind)
    for name in ("name", "documentation", "unit", "type", "labelnames", "labelvalues"):
        before = getattr(metric, f"_{name}")
        with pytest.raises(AttributeError):
            setattr(metric, f"_{name}", "x")
        assert getattr(metric, f"_{name}") == before


def test_documentation_is_text_that_can_be_encoded(backend: ModuleType) -> None:
    assert make(backend, "Counter", documentation="a\ud800b")._documentation == "a\ufffdb"


@pytest.mark.parametrize(("kind", "name", "use"), CASES, ids=ids(CASES))
def test_a_parent_has_no_numbers(backend: ModuleType, kind: str, name: str, use: Use) -> None:
    metric = make(backend, kind, "label")
    with pytest.raises(ValueError) as caught:
        use(metric)
    assert type(caught.value) is ValueError
    assert str(caught.value) == f"{kind.lower()} metric is missing label values"
    use(metric.labels("a"))
    use(make(backend, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_is_of_the_class_of_its_parent(backend: ModuleType, kind: str) -> None:
    initialised = []

    class Sub(getattr(backend, kind)):  # type: ignore[misc]  # of either backend
        def __init__(self) -> None:
            initialised.append(self)

    metric = init(Sub(), kind, "label")
    child = metric.labels("a")
    assert type(child) is Sub
    assert initialised == [metric]
    use(child)
    assert child._read() != metric.labels("b")._read()


@pytest.mark.parametrize("kind", KINDS)
def test_children_come_in_the_order_of_their_creation(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "label")
    assert metric._children() == []
    children = [metric.labels(value) for value in "cab"]
    metric.labels("a")
    assert metric._children() == children
    metric.remove("a")
    assert [child._labelvalues for child in metric._children()] == [("c",), ("b",)]
    metric.labels("a")
    assert [child._labelvalues for child in metric._children()] == [("c",), ("b",), ("a",)]
    listed = metric._children()
    listed.clear()
    assert len(metric._children()) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_holds_when_many_come_and_go(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "label")
    expected: dict[str, object] = {}
    for number in range(500):
        expected[str(number)] = metric.labels(number)
        if number % 3:
            metric.remove(number // 2)
            expected.pop(str(number // 2), None)
    assert metric._children() == list(expected.values())
    for value, child in expected.items():
        assert metric.labels(value) is child


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_parent_has_no_children(backend: ModuleType, kind: str) -> None:
    for metric in (make(backend, kind), make(backend, kind, "label").labels("a")):
        use(metric)
        before = metric._read()
        assert metric._children() == []
        metric.clear()
        assert metric._read() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_removed_child_can_still_be_used_but_is_not_shown(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "label")
    held = metric.labels("a")
    use(held)
    metric.remove("a")
    assert metric._children() == []
    before = held._read()
    use(held)
    assert held._read() != before
    fresh = metric.labels("a")
    assert fresh is not held
    assert metric._children() == [fresh]
    assert held._labelvalues == fresh._labelvalues == ("a",)


def test_a_new_child_begins_at_zero(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label")
    metric.labels("a").inc(5)
    metric.clear()
    assert metric._children() == []
    assert metric.labels("a")._read()[0] == 0


def test_removing_takes_values_of_any_type_as_labels_does(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "one", "two")
    for value in (1, None, 2.5, "a", True):
        metric.labels(value, "x")
        metric.remove(value, "x")
        assert metric._children() == []
    metric.labels("\ud800", "x")
    metric.remove("\udfff", "x")
    assert metric._children() == []
    metric.remove("never", "there")


def test_series_are_removed_by_some_of_their_values(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "one", "two", "three")
    for values in ("aax", "abx", "bax", "bby"):
        metric.labels(*values)
    metric._remove_where({0: "c"})
    assert len(metric._children()) == 4
    metric._remove_where({0: "b", 2: "y"})
    assert ["".join(child._labelvalues) for child in metric._children()] == ["aax", "abx", "bax"]
    metric._remove_where({1: "a"})
    assert ["".join(child._labelvalues) for child in metric._children()] == ["abx"]
    metric.labels("\ud800", "", "")
    metric._remove_where({0: "\ud800"})
    metric._remove_where({1: "b"})
    assert metric._children() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_cannot_be_copied_or_pickled(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "label")
    things = [metric, metric.labels("a")]
    if kind != "Counter":
        things.append(metric.time())
    for thing in things:
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=r"^cannot pickle '(.*\.)?\w+' object"):
                copied(thing)


@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_and_its_children_die_together(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "label")
    child = metric.labels("a")
    references = [weakref.ref(metric), weakref.ref(child)]
    del child
    assert references[1]() is not None
    del metric
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_a_cycle_through_a_metric_is_collected(backend: ModuleType) -> None:
    class Witness:
        pass

    gauge = make(backend, "Gauge", "label")
    witness: Any = Witness()
    witness.gauge = gauge
    gauge.labels("a").set_function(lambda of=witness: of)
    histogram = make(backend, "Histogram", timer=lambda of=witness: of and 0.0)
    witness.histogram = histogram
    reference = weakref.ref(witness)
    del witness, gauge, histogram
    gc.collect()
    assert reference() is None
