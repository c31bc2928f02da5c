"""Label values, amounts, exemplars, functions and timers that do something of their own."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tests.stress.harness import cases, in_child
from tests.stress.hostile import Oops, error_of, nothing
from tests.threads import spawn

from penstock import _backend
from penstock.metrics import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Counter, Gauge, Summary, Histogram)}


class Value:
    """A label value that does something when its text is asked for."""

    def __init__(self, on_str: Callable[[], object] = nothing, text: Any = "value") -> None:
        self.on_str = on_str
        self.text = text

    def __str__(self) -> str:
        self.on_str()
        text: str = self.text
        return text


class Text(str):
    """A text that is not as plain as it looks."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise Oops

    def __hash__(self) -> int:
        raise Oops

    def __str__(self) -> str:
        return self[::-1]

    def encode(self, *_: Any) -> bytes:
        raise Oops


class Amount:
    """A number that does something when it is asked how large it is."""

    def __init__(self, on_float: Callable[[], object] = nothing) -> None:
        self.on_float = on_float

    def __float__(self) -> float:
        self.on_float()
        return 2.0


def fail() -> None:
    raise Oops


def count(metric: Any) -> Callable[..., None]:
    operation: Callable[..., None] = metric.observe if hasattr(metric, "observe") else metric.inc
    return operation


def total(metric: Any) -> float:
    """What was counted in all series."""
    suffixes = ("_count", "_total", "")
    return sum(sample.value for sample in metric._samples() if sample.name in suffixes)


def actions(family: Any) -> dict[str, Callable[[], object]]:
    """All that code may come to do to a family in the middle of another operation on it."""
    return {
        "the same series": lambda: count(family.labels("value"))(1),
        "another series": lambda: count(family.labels("another"))(1),
        "many series": lambda: [count(family.labels(number))(1) for number in range(100)],
        "remove": lambda: family.remove("value"),
        "remove by labels": lambda: family.remove_by_labels({"a": "value"}),
        "clear": family.clear,
        "collect": family.collect,
        "encode": lambda: _backend.encode([family], True, True, None),
        "another thread": lambda: spawn(lambda: count(family.labels("thread"))(1)).result(),
        "fail": fail,
    }


@in_child
@cases("kind", KINDS)
def test_text_of_a_label_value_may_do_anything(kind: str) -> None:
    for max_series in (None, 2):
        family = KINDS[kind]("name", "Help.", ["a"], registry=None, max_series=max_series)
        for name, action in actions(family).items():
            print(max_series, name)
            for use in (
                lambda value: count(family.labels(value))(1),
                lambda value: count(family.labels(a=value))(1),
                family.remove,
                lambda value: family.remove_by_labels({"a": value}),
            ):
                family.clear()
                count(family.labels("value"))(1)
                error = error_of(lambda: use(Value(action)))
                assert type(error) is (Oops if name == "fail" else type(None))
                assert len(family._metrics) <= (3 if max_series else 1000)
                count(family.labels("value"))(1)
                assert total(family) >= 1


@in_child
@cases("kind", KINDS)
def test_label_value_is_looked_up_by_its_text_alone(kind: str) -> None:
    family = KINDS[kind]("name", "Help.", ["a"], registry=None)
    same = family.labels("txet")
    for value in (Text("text"), Value(text="txet"), Value(text=Text("txet"))):
        assert family.labels(value) is same, type(value)
    assert list(family._metrics) == [("txet",)]
    assert type(next(iter(family._metrics))[0]) is str
    family.remove(Text("text"))
    assert family._metrics == {}


@in_child
@cases("kind", KINDS)
def test_text_that_is_none_is_an_error(kind: str) -> None:
    family = KINDS[kind]("name", "Help.", ["a"], registry=None)
    for value in (Value(text=5), Value(text=None), Value(text=b"x")):
        assert type(error_of(lambda: family.labels(value))) is TypeError
        assert type(error_of(lambda: family.remove(value))) is TypeError
    assert family._metrics == {}


@in_child
@cases("kind", KINDS)
def test_amount_may_do_anything(kind: str) -> None:
    family = KINDS[kind]("name", "Help.", ["a"], registry=None)
    for name, action in actions(family).items():
        print(name)
        family.clear()
        series = family.labels("value")
        error = error_of(lambda: count(series)(Amount(action)))
        assert type(error) is (Oops if name == "fail" else type(None))
        counted = total(series)
        own = 0 if name == "fail" else 2 if kind in {"Counter", "Gauge"} else 1
        assert counted == own + (name == "the same series")


@in_child
def test_amount_may_change_what_its_gauge_is() -> None:
    gauge = Gauge("name", "Help.", registry=None)
    for operation in (gauge.inc, gauge.dec, gauge.set):
        operation(Amount(lambda: gauge.set_function(lambda: 7)))
        assert gauge.collect()[0].samples[0].value == 7
        assert type(error_of(lambda: operation(Amount(fail)))) is Oops


@in_child
def test_labels_of_an_exemplar_may_do_anything() -> None:
    class Exemplar(dict[str, str]):
        """It is asked for its items."""

        def __init__(self, on_items: Callable[[], object]) -> None:
            super().__init__(trace="x")
            self.on_items = on_items

        def items(self) -> Any:
            self.on_items()
            return super().items()

    for kind in (Counter, Histogram):
        family: Any = kind("name", "Help.", ["a"], registry=None)
        for name, action in actions(family).items():
            print(name)
            family.clear()
            series = family.labels("value")
            error = error_of(lambda: count(series)(1, Exemplar(action)))
            assert type(error) is (Oops if name == "fail" else type(None))
            assert total(series) >= (name != "fail")


@in_child
def test_function_of_a_gauge_may_do_anything() -> None:
    logging.getLogger("penstock.metrics").addHandler(logging.NullHandler())
    logging.getLogger("penstock.metrics").propagate = False
    registry = CollectorRegistry()
    gauge = Gauge("name", "Help.", ["a"], registry=registry)
    Counter("after", "Help.", registry=registry).inc(3)
    others = {
        "replace": lambda: gauge.labels("value").set_function(lambda: 3),
        "unregister": lambda: registry.unregister(gauge),
    }
    for name, action in (actions(gauge) | others).items():
        print(name)
        inside: list[bool] = []

        def value() -> float:
            if not inside:
                inside.append(True)
                action()
            return 7

        gauge.clear()
        gauge.labels("value").set_function(value)
        gauge.labels("other").set(5)
        page = generate_latest(registry).decode()
        assert inside == [True]
        assert "\nafter_total 3.0\n" in page
        assert ('\nname{a="value"} 7.0\n' in page) is (name != "fail")
        assert '\nname{a="other"} 5.0\n' in page
        error = 'penstock_metrics_scrape_errors{collector="name"} 1.0\n'
        assert (error in page) is (name == "fail")


@in_child
def test_function_that_never_ends_its_recursion_is_left_out() -> None:
    logging.getLogger("penstock.metrics").addHandler(logging.NullHandler())
    logging.getLogger("penstock.metrics").propagate = False
    registry = CollectorRegistry()
    gauge = Gauge("name", "Help.", registry=registry)
    gauge.set_function(lambda: gauge.collect()[0].samples[0].value)
    Counter("after", "Help.", registry=registry).inc(3)
    for _ in range(3):
        page = generate_latest(registry)
        assert b"\nafter_total 3.0\n" in page
        assert b'penstock_metrics_scrape_errors{collector="name"} 1.0\n' in page


@in_child
def test_exception_that_ends_programs_ends_a_scrape() -> None:
    for kind in (KeyboardInterrupt, SystemExit, GeneratorExit):
        registry = CollectorRegistry()
        gauge = Gauge("name", "Help.", registry=registry)

        def stop() -> float:
            raise kind

        gauge.set_function(stop)
        assert type(error_of(lambda: generate_latest(registry))) is kind
        gauge.set_function(float)
        assert b"\nname 0.0\n" in generate_latest(registry)


@in_child
def test_timer_may_do_anything() -> None:
    for labels in ((), ("a",)):
        acting: list[Callable[[], object]] = []

        def timer() -> float:
            if acting:
                acting.pop()()
            return 1.0

        family = Histogram("name", "Help.", labels, registry=None, timer=timer)
        histogram = family.labels("value") if labels else family
        for name, action in actions(
            family if labels else Counter("n", "H.", ["a"], registry=None)
        ).items():
            uses: list[Callable[[], object]] = [
                lambda: histogram.observe(1),
                histogram.count,
                lambda: histogram.quantile(0.5),
                lambda: histogram.time().__enter__(),
            ]
            for use in uses:
                print(name)
                acting.append(action)
                error = error_of(use)
                assert acting == []
                assert type(error) is (Oops if name == "fail" else type(None))
        histogram.observe(1)
        assert histogram.count() >= 1


@in_child
def test_timer_that_is_broken_is_told_of() -> None:
    for result in ("x", None, float("nan"), float("inf"), -1e300, 10**400):
        print(result)
        now: list[Any] = [1.0]
        histogram = Histogram("name", "Help.", registry=None, timer=lambda: now[0])
        histogram.observe(1)
        now[0] = result
        error = error_of(lambda: histogram.observe(2))
        assert error is None or isinstance(error, (TypeError, ValueError, OverflowError))
        now[0] = 1.0
        histogram.observe(3)
        counts, _, _, _ = histogram._read()
        assert sum(counts) == (3 if error is None else 2)
        assert histogram.count() == sum(counts)
