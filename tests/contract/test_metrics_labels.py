"""From label values to a child: which are the same, which are refused, what may come between."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from threading import Barrier
from types import ModuleType
from typing import Any

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends import BACKENDS, load_backend
from tests.metering import KINDS, Odd, make, use
from tests.threads import LIMIT, spawn


class Text(str):
    """A str that is like no other."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 1


class Colour(Enum):
    """Something with a text."""

    RED = 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_values_give_the_same_child(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "one", "two")
    child = metric.labels("a", "b")
    assert child._labelvalues == ("a", "b")
    assert metric.labels("a", "b") is child
    assert metric.labels(one="a", two="b") is child
    assert metric.labels(two="b", one="a") is child
    assert metric.labels(*["".join(["a"]), "xb"[1:]]) is child
    assert metric.labels("b", "a") is not child
    assert metric._children() == [child, metric.labels(two="a", one="b")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"), (True, "True"), (None, "None"), (1.5, "1.5"), (1e16, "1e+16"), (b"x", "b'x'"),
        (Decimal("1.50"), "1.50"), (Colour.RED, "Colour.RED"), (Text("a"), "a"), ("", ""),
        ((1, 2), "(1, 2)"), (Odd(lambda: Text("odd")), "odd"), (int, "<class 'int'>"),
    ],
)  # fmt: skip
def test_values_are_the_texts_of_what_is_given(
    backend: ModuleType, value: object, text: str
) -> None:
    metric = make(backend, "Counter", "one", "two")
    child = metric.labels("first", value)
    assert child._labelvalues == ("first", text)
    assert {type(own) for own in child._labelvalues} == {str}
    assert metric.labels("first", value) is child
    assert metric.labels(two=value, one="first") is child
    assert metric.labels("first", text) is child
    assert len(metric._children()) == 1


def test_a_lone_surrogate_is_replaced_before_the_look_up(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label")
    child = metric.labels("a\ud800b\udfff\udc00")
    assert child._labelvalues == ("a\ufffdb\ufffd\ufffd",)
    assert metric.labels("a\udabcb\ud800\ud800") is child
    assert metric.labels(label="a\ufffdb\ufffd\ufffd") is child
    assert metric.labels("😀\x00\uffff")._labelvalues == ("😀\x00\uffff",)


# What must stay apart: pieces that a careless key would run together.
PIECES = st.text(st.sampled_from('ab,"\\\x00\x1f\xff {}=😀\ufffd'), max_size=4)
ROWS = st.lists(st.tuples(PIECES, PIECES, PIECES), max_size=12)


@pytest.mark.parametrize("name", BACKENDS)
@given(rows=ROWS)
def test_different_values_never_share_a_child(name: str, rows: list[tuple[str, ...]]) -> None:
    metric = make(load_backend(name), "Counter", "one", "two", "three")
    for row in rows:
        metric.labels(*row).inc()
    counted = {child._labelvalues: child._read()[0] for child in metric._children()}
    assert counted == {row: rows.count(row) for row in rows}
    assert list(counted) == list(dict.fromkeys(rows))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("", "ab"), ("ab", "")),
        (("a\x00", "b"), ("a", "\x00b")),
        (('a","', "b"), ("a", '","b')),
        (("a", "b"), ("b", "a")),
        (("a", "a"), ("b", "b")),
        (("é", ""), ("e\u0301", "")),
        (("1", ""), ("1 ", "")),
        (("a", "\xff"), ("a", "ÿ\x00")),
    ],
)
def test_values_that_look_alike_have_children_of_their_own(
    backend: ModuleType, one: tuple[str, str], other: tuple[str, str]
) -> None:
    metric = make(backend, "Counter", "one", "two")
    assert metric.labels(*one) is not metric.labels(*other)
    assert [child._labelvalues for child in metric._children()] == [one, other]


def test_many_children_are_all_found_again(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "one", "two")
    rows = [(str(number % 100), f"{number // 100}") for number in range(20_000)]
    children = [metric.labels(*row) for row in rows]
    assert [metric.labels(*row) for row in rows] == children
    assert len(set(map(id, children))) == len(rows)
    assert metric._children() == children


Call = Callable[[Any], object]
WRONG: dict[str, Call] = {
    "no values": lambda metric: metric.labels(),
    "too few": lambda metric: metric.labels("a"),
    "too many": lambda metric: metric.labels("a", "b", "c"),
    "both": lambda metric: metric.labels("a", two="b"),
    "both, all twice": lambda metric: metric.labels("a", "b", one="a", two="b"),
    "missing name": lambda metric: metric.labels(one="a"),
    "unknown name": lambda metric: metric.labels(one="a", three="b"),
    "one name more": lambda metric: metric.labels(one="a", two="b", three="c"),
    "chained": lambda metric: metric.labels("a", 'b"').labels("a", "b"),
    "chained, wrong count": lambda metric: metric.labels("a", "b").labels(),
    "chained, both": lambda metric: metric.labels("a", "b").labels("a", two="b"),
    "chained by name": lambda metric: metric.labels("a", "b").labels(one="a", two="b"),
    "remove too few": lambda metric: metric.remove("a"),
    "remove too many": lambda metric: metric.remove("a", "b", 3),
    "remove none": lambda metric: metric.remove(),
}
UNLABELLED: dict[str, Call] = {
    "values": lambda metric: metric.labels("a"),
    "none": lambda metric: metric.labels(),
    "names": lambda metric: metric.labels(a="b"),
    "both": lambda metric: metric.labels("a", a="b"),
    "remove": lambda metric: metric.remove("a"),
    "remove none": lambda metric: metric.remove(),
}


def complain(call: Call, metric: Any) -> tuple[type[BaseException], str]:
    with pytest.raises(Exception) as caught:  # compared with another one
        call(metric)
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", WRONG)
def test_wrong_labels_are_refused_as_prometheus_client_does(
    backend: ModuleType, kind: str, case: str
) -> None:
    theirs = getattr(prometheus_client, kind)("name", "Help.", ["one", "two"], registry=None)
    ours = make(backend, kind, "one", "two")
    assert complain(WRONG[case], ours) == complain(WRONG[case], theirs)
    assert len(ours._children()) == len(theirs._metrics)


@pytest.mark.parametrize("case", UNLABELLED)
def test_labels_of_a_metric_without_any_are_refused_as_prometheus_client_does(
    backend: ModuleType, case: str
) -> None:
    theirs = prometheus_client.Counter("name", "Help.", registry=None)
    ours = make(backend, "Counter")
    assert complain(UNLABELLED[case], ours) == complain(UNLABELLED[case], theirs)


def test_what_str_raises_comes_through(backend: ModuleType) -> None:
    def fail() -> str:
        raise LookupError("no text")

    metric = make(backend, "Counter", "one", "two")
    calls: list[Call] = [
        lambda metric: metric.labels("a", Odd(fail)),
        lambda metric: metric.labels(one="a", two=Odd(fail)),
        lambda metric: metric.remove("a", Odd(fail)),
    ]
    for call in calls:
        assert complain(call, metric) == (LookupError, "no text")
    broken: Any = Odd(lambda: 5)  # type: ignore[arg-type, return-value]  # on purpose
    with pytest.raises(TypeError, match="__str__ returned non-string"):
        metric.labels("a", broken)
    assert metric._children() == []


def test_a_text_may_use_the_family_that_it_is_a_value_of(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label")

    def look_up() -> str:
        metric.labels("a").inc()
        return "a"

    metric.labels(Odd(look_up)).inc()
    assert [child._read()[0] for child in metric._children()] == [2]

    def clear() -> str:
        metric.clear()
        return "a"

    metric.labels(Odd(clear)).inc()
    assert [child._read()[0] for child in metric._children()] == [1]

    def remove() -> str:
        metric.remove("a")
        return "a"

    metric.remove(Odd(remove))
    assert metric._children() == []

    def fill() -> str:
        for number in range(100):
            metric.labels(number)
        return "5"

    assert metric.labels(Odd(fill)) is metric.labels("5")
    assert len(metric._children()) == 100


def test_a_text_may_change_from_call_to_call(backend: ModuleType) -> None:
    texts = iter("abc")
    metric = make(backend, "Counter", "label")
    value = Odd(lambda: next(texts))
    assert [metric.labels(value)._labelvalues for _ in "abc"] == [("a",), ("b",), ("c",)]


def test_arguments_of_the_caller_are_left_alone(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "one", "two")
    named = {"two": 2, "one": Text("1")}
    metric.labels(**named)
    assert list(named.items()) == [("two", 2), ("one", named["one"])]
    assert type(named["one"]) is Text


@pytest.mark.usefixtures("interleaving")
@pytest.mark.parametrize("kind", KINDS)
def test_threads_that_ask_for_the_same_new_values_get_one_child(
    backend: ModuleType, kind: str
) -> None:
    threads, rounds = 8, 200
    metric = make(backend, kind, "label")
    start = Barrier(threads, timeout=LIMIT)

    def ask() -> list[object]:
        got = []
        for number in range(rounds):
            if number % 20 == 0:
                start.wait()
            child = metric.labels(f"value {number}")
            use(child)
            got.append(child)
        return got

    results = [thread.result() for thread in [spawn(ask) for _ in range(threads)]]
    assert results == [metric._children()] * threads
    expected = make(backend, kind)
    for _ in range(threads):
        use(expected)

    def numbers(metric: Any) -> object:
        read = metric._read()
        return read[:2] if kind in {"Summary", "Histogram"} else read

    if kind == "Counter":
        assert {child._read()[0] for child in metric._children()} == {threads}
    else:
        assert [numbers(child) for child in metric._children()] == [numbers(expected)] * rounds


@pytest.mark.usefixtures("interleaving")
def test_threads_may_remove_what_others_look_up(backend: ModuleType) -> None:
    metric = make(backend, "Counter", "label", max_series=5)

    def look_up() -> None:
        for number in range(2000):
            metric.labels(number % 9).inc()

    def remove() -> None:
        for number in range(2000):
            metric.remove(number % 9)
            if number % 50 == 0:
                metric.clear()
                metric._remove_where({0: "3"})

    for thread in [spawn(look_up), spawn(look_up), spawn(remove), spawn(metric._children)]:
        thread.result()
    metric.clear()
    assert metric._children() == []
