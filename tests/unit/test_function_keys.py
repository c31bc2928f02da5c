"""Keys of calls: what is the same call, what is not, and what no key is made of."""

from __future__ import annotations

import inspect
import itertools
import os
import subprocess
import sys
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from enum import Enum, IntEnum, IntFlag, StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.caching import _function_keys
from penstock.caching._function_keys import ArgumentKeys, digest


class Colour(Enum):
    RED = 1
    BLUE = 2


class Other(Enum):
    RED = 1


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    A = "a"


class Rights(IntFlag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: object
    y: object = 0
    note: str = field(default="", compare=False)


@dataclass
class Place:
    x: object
    y: object = 0


def of(value: object) -> str:
    return digest("value", value, "f")


def keys(function: Any, key: Any = None, home: str = "") -> Any:
    signature, skip = inspect.signature(function), int(bool(home))
    parameters = list(signature.parameters.values())[skip:]
    made = ArgumentKeys("p", "f", signature.replace(parameters=parameters), key, skip, home)
    return lambda *args, **kwargs: made.of(args, kwargs)


BERLIN = ZoneInfo("Europe/Berlin")
SUMMER = datetime(2024, 7, 1, 12)  # noqa: DTZ001  # naive on purpose

DIFFERENT = [
    *(None, True, False, 0, 1, -1, 10**5000, 0.0, -0.0, 1.0, 1.5, float("nan"), float("inf")),
    *("", "1", "True", "None", "1.0", "n", "a", "\ud800", "b'a'", b"", b"1", b"a"),
    *((), (1,), (1, 2), (2, 1), ((1,), 2), (1, (2,)), ("1",), ("ab",), ("a", "b"), ("", "ab")),
    *([], [1], [[1]], {}, {1: 2}, {"1": 2}, {1: {2: 3}}, set(), {1}, {1, 2}),
    *(frozenset(), frozenset({1}), (1, [2]), ([1], 2)),
    *(date(2024, 7, 1), SUMMER, SUMMER.replace(tzinfo=UTC), SUMMER.replace(tzinfo=BERLIN)),
    *(SUMMER.replace(tzinfo=timezone(timedelta(hours=2))), SUMMER.replace(fold=1)),
    SUMMER.replace(tzinfo=ZoneInfo("Europe/Paris")),
    *(UUID(int=1), Decimal(1), Decimal("1.0"), Decimal(-1), Decimal("NaN"), Decimal("1e1")),
    *(Colour.RED, Colour.BLUE, Other.RED, Level.LOW, Word.A, Rights.READ),
    *(Rights.READ | Rights.WRITE, Point(1), Point(1, 2), Place(1), Point("1"), [Point(1)]),
]


def test_values_that_differ_have_keys_that_differ() -> None:
    for one, other in itertools.combinations(DIFFERENT, 2):
        assert of(one) != of(other), (one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        ({1, "a", None}, {None, "a", 1}),
        (frozenset("abc"), frozenset("cab")),
        (Point(1, note="x"), Point(1, note="y")),
        (float("nan"), float("nan")),
        (Rights.READ | Rights.WRITE, Rights(3)),
    ],
)
def test_values_that_are_the_same_have_one_key(one: object, other: object) -> None:
    assert of(one) == of(other)


class Text(str):
    pass


Pair = namedtuple("Pair", "a b")  # noqa: PYI024


@pytest.mark.parametrize(
    "value",
    [
        *(object(), Text("a"), Pair(1, 2), OrderedDict(), defaultdict(int), bytearray(b"a")),
        *(int, Point, len, iter([]), 1j, range(3), timedelta(1), [object()], {"a": object()}),
        Point(object()),
    ],
)
def test_anything_else_is_refused_by_name(value: object) -> None:
    async def load(path: str, what: object) -> None: ...

    with pytest.raises(TypeError, match=r"^argument 'what' of f\(\) is or holds a .*; .* key="):
        keys(load)("a", value)


def test_what_holds_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(TypeError, match=r"argument 'value' of f\(\) is nested too deeply"):
        of(endless)


def test_decimals_do_not_depend_on_the_context() -> None:
    usual = of(Decimal("1E+9"))
    with localcontext() as context:
        context.capitals = 0
        context.prec = 1
        assert of(Decimal("1E+9")) == usual


def test_defaults_and_the_order_of_keywords_make_no_difference() -> None:
    async def load(a: int, b: str = "x", *rest: int, flag: bool = False, **more: int) -> None: ...

    key = keys(load)
    assert key(1) == key(a=1) == key(1, "x") == key(1, b="x") == key(flag=False, b="x", a=1)
    assert key(1, p=1, q=2) == key(1, q=2, p=1)
    different = [key(1), key(2), key(1, "y"), key(1, flag=True), key(1, "x", 1), key(1, p=1)]
    different += [key(1, "x", 1, 2), key(1, p=2), key(1, q=1), key("1"), key(1.0), key(True)]
    assert len(set(different)) == len(different)


def test_a_remembered_key_is_the_one_that_was_made() -> None:
    async def load(a: object = None, b: object = None) -> None: ...

    key = keys(load)
    calls: list[tuple[tuple[object, ...], dict[str, object]]] = [
        *((((value,), {})) for value in (1, 1.0, True, "1", b"1", 0.0, -0.0, 0, False, None)),
        *((((), {"a": value})) for value in (1, 1.0, True, "1", 0.0, -0.0)),
        *((((), {"b": value})) for value in (1, 1.0, True, "1", 0.0, -0.0)),
        *(((one, 2), {}) for one in (1, 1.0, True, "1", 0.0, -0.0)),
        ((1,), {"b": 2}),
        ((2,), {"b": 1}),
        (("a", "b"), {}),
        (("a" * 1000,), {}),
    ]
    fresh = [keys(load)(*args, **kwargs) for args, kwargs in calls]
    for _ in range(2):
        assert [key(*args, **kwargs) for args, kwargs in calls] == fresh


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def load(a: object) -> None: ...

    monkeypatch.setattr(_function_keys, "_REMEMBERED", 10)
    made = ArgumentKeys("p", "f", inspect.signature(load), None, 0)
    for number in range(100):
        made.of((number,), {})
        made.of(("x" * 1000 + str(number),), {})
        made.of(((number,),), {})
    assert 0 < len(made.remembered) <= 10


def test_arguments_that_do_not_fit_are_refused() -> None:
    async def load(a: int) -> None: ...

    for args, kwargs in [((), {}), ((1, 2), {}), ((1,), {"c": 1}), (([], []), {})]:
        with pytest.raises(TypeError, match=r"^f\(\) (missing|too many|got)"):
            keys(load)(*args, **kwargs)


def test_key_has_the_last_word() -> None:
    async def load(a: object, b: int = 0) -> None: ...

    key = keys(load, lambda a, b=0: f"{type(a).__name__} {b}")
    assert key(object(), b=2) == "p:object 2"
    hashed = keys(load, lambda a, b=0: (a, b))
    assert hashed(1) == hashed(1, 0) != hashed(2)
    assert len(hashed(1)) == len("p:") + 32
    with pytest.raises(TypeError, match=r"key= of f\(\) returned a object, not a str"):
        keys(load, lambda a: object())(1)


def test_a_coroutine_function_is_no_key() -> None:
    async def load(a: object) -> None: ...

    with pytest.raises(TypeError, match=r"key= of f\(\) returned a coroutine"):
        keys(load, load)(1)


class Service:
    async def load(self, a: object, b: int = 0) -> None: ...


class Child(Service): ...


class Sibling(Service): ...


def test_self_is_no_part_of_the_key_and_another_class_is() -> None:
    key = keys(Service.load, home=f"{__name__}.Service")
    for a in (1, [1]):  # which is remembered, and which is not
        for kind in (Service, Child, Sibling):
            assert key(kind(), a) == key(kind(), a=a) == key(kind(), a) != key(kind(), 2)
            assert key(kind, a) == key(kind, a=a) == key(kind, a) != key(kind, 2)
            assert key(kind(), a, b=3) == key(kind(), a, b=3) != key(kind(), a)
        made = {key(each, a) for kind in (Service, Child, Sibling) for each in (kind, kind())}
        assert len(made) == 6


def test_keys_of_a_method_do_not_depend_on_who_called_before() -> None:
    calls = [(kind(), a) for kind in (Service, Child, Sibling) for a in (1, 2, "1")]
    calls += [(kind, 1) for kind in (Service, Child)]
    fresh = [keys(Service.load, home=f"{__name__}.Service")(*call) for call in calls]
    key = keys(Service.load, home=f"{__name__}.Service")
    for _ in range(2):
        assert [key(*call) for call in reversed(calls)] == fresh[::-1]


def test_remembered_keys_hold_no_instances_and_no_classes() -> None:
    signature = inspect.signature(lambda a: None)
    made = ArgumentKeys("p", "f", signature, None, 1, f"{__name__}.Service")
    for first in (Service(), Child(), Child):
        made.of((first, 1), {})
    flat = (1, int)
    whose = f"{__name__}.Child"
    assert list(made.remembered) == [flat, (flat, f"O{whose}"), (flat, f"C{whose}")]


# Written down: other versions, here and of Python, have to find what this one has stored.
KNOWN = [
    (None, "9265a69b911de9b6d23a7bf2b3521e7e"),
    (True, "818f8b1d5e9f65f997849ad99bb74110"),
    (1, "b66cb5d940a072684f2488f7f78b41aa"),
    (1.0, "0d470157b5b5c0857927abd12e1e5301"),
    ("a", "6f878b9a50cef9d283066a62e2fdb9e4"),
    (b"a", "012eb9ce5169e7481c5ce5cbe6c6e05d"),
    ((1, "a", [None]), "aaf6b7be8ef7bc6ddd73c5e4bc0a2f8a"),
    ({"b": 1, "a": {2, 1}}, "018071272555e65425265cd33bf81dcb"),
    (date(2024, 7, 1), "f05396fb37dfa02a46f2790098f2e6e1"),
    (SUMMER.replace(tzinfo=BERLIN), "c1ddc219d60478d4f2a39b3b5619c578"),
    (UUID(int=1), "b83449e05a74879d5b64a1fdbc054af9"),
    (Decimal("1.50"), "e567272561b7f93008b4477fcfe18816"),
]


def test_keys_are_those_of_other_versions() -> None:
    assert [(value, of(value)) for value, _ in KNOWN] == KNOWN


def test_keys_of_methods_are_those_of_other_versions() -> None:
    class Service:
        async def load(self, a: int) -> None: ...

    class Child(Service): ...

    for kind in (Service, Child):
        kind.__module__, kind.__qualname__ = "services", kind.__name__
    key = keys(Service.load, home="services.Service")
    assert [key(Service(), 1), key(Child(), 1), key(Child, 1)] == [
        "p:448a53bed13bb21e128f60941ee82e26",
        "p:c59ba9d325e9bd58b838d5cea238d246",
        "p:e20d1976e604acf2e5a48e6cca4fc321",
    ]


def test_keys_are_the_same_in_every_process() -> None:
    code = (
        "from tests.unit.test_function_keys import DIFFERENT, of; "
        "print(of([each for each in DIFFERENT if each == each]))"
    )
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
            timeout=30,
        ).stdout
        for seed in ("0", "1")
    }
    assert answers == {of([each for each in DIFFERENT if each == each]) + "\n"}


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(_VALUES, _VALUES)
def test_keys_are_equal_where_the_values_are(one: object, other: object) -> None:
    # Their texts tell types and zeros apart, as keys do; but not the order in a dict.
    if of(one) == of(other):
        assert one == other
    if repr(one) == repr(other):
        assert of(one) == of(other)
