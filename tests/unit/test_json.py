"""JSON: both backends write the same bytes, read the same values, and refuse the same."""

from __future__ import annotations

import json as stdlib
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, EnumMeta, IntEnum, IntFlag, StrEnum
from typing import Any, ClassVar, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jsons import Thing, both, encoded, outcome, value_of

from penstock import json
from penstock.json import _stdlib


class Text(str): ...


class Number(int):
    def __repr__(self) -> str:
        return "?"


class Real(float): ...


class Row(list[Any]):
    def copy(self) -> list[Any]:  # what it says of itself does not count
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class Bag(dict[Any, Any]):
    def items(self) -> Any:
        return ()


class Pair(NamedTuple):
    left: int


class Plain(Enum):
    ONE = 1
    TEXT = "x"
    NOTHING = None
    PAIR = (1, 2)
    HALF = 0.5
    BYTES = b"q"


class Int(IntEnum):
    ONE = 1


class Str(StrEnum):
    A = "a"


class Flags(IntFlag):
    A = 1
    B = 2


class Meta(EnumMeta): ...


class Odd(Enum, metaclass=Meta):
    A = 1


@dataclass
class Open:
    x: object
    _hidden: int = 2
    items: list[Any] = field(default_factory=list)
    shared: ClassVar[int] = 5


@dataclass(slots=True)
class Slotted:
    x: object
    _hidden: int = 2
    shared: ClassVar[int] = 5


@dataclass
class Mixed(Slotted):
    y: int = 3


@dataclass
class Box:
    x: object


class Base: ...


@dataclass(slots=True)
class Both(Base):
    """With slots, and a __dict__ all the same."""

    x: int


class Child(Open): ...


@dataclass
class Mapping(dict[str, int]):
    x: int = 1


class Ignorant(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None


def offset(**parts: float) -> datetime:
    return datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(**parts)))


def with_extra(key: object) -> Open:
    thing = Open(1)
    vars(thing)[key] = 4  # type: ignore[index]
    return thing


#: orjson writes 10 to 99 ms of a time (not of a datetime) without their zero, as 100 to 999 ms.
TIMES_ARE_WRONG = encoded("orjson", time(0, 0, 0, 10_000)) != b'"00:00:00.010000"'


def times() -> st.SearchStrategy[time]:
    if not TIMES_ARE_WRONG:
        return st.times()
    return st.times().filter(lambda moment: not 10_000 <= moment.microsecond < 100_000)


class DateTime(datetime): ...


class Date(date): ...


class Uuid(UUID): ...


EARLY = datetime.fromisoformat("0999-01-01T00:00:00.000001")

VALUES = {
    "none": None,
    "strings": ["", "a", Text("b"), "\x7f\x00\x1f\b\t\n\f\r\"\\/\u2028é😀", "\u0080"],
    "ints": [0, -1, True, False, Number(7), 2**64 - 1, -(2**63)],
    "floats": [0.0, -0.0, 1e15, 1e16, 1e17, 1e-4, 1e-5, -1.25e-5, 1e-6, 1.5e300, 5e-324, 1e100],
    "not finite": [math.nan, math.inf, -math.inf],
    "containers": [[], {}, (), (1,), [[[]]], Row([1]), Bag(a=1), {"a": ({},)}],
    "enums": [Plain.ONE, Plain.TEXT, Plain.NOTHING, Plain.PAIR, Int.ONE, Str.A, Flags.A | Flags.B],
    "dataclasses": [Open(1, items=[2]), Slotted(1), Mixed(1), Both(1), Mapping()],
    "no fields": make_dataclass("E", [])(),
    "more than its fields": with_extra("extra"),
    "dates": [date(1, 2, 3), time(1, 2), time(1, 2, 3, 4), EARLY],
    "offsets": [offset(seconds=s) for s in (0, 29, 30, 89, 90, -1, -29, -30, -90, 86399, -86399)],
    "odd offsets": [offset(hours=-5, minutes=-30), offset(microseconds=-5)],
    "zones": [datetime(1900, 1, 1, tzinfo=ZoneInfo(z)) for z in ("Europe/Amsterdam", "UTC")],
    "no offset": datetime(2020, 1, 1, tzinfo=Ignorant()),
    "uuid": UUID(int=5),
    "keys": [
        {key: 1}
        for key in (
            1, -5, 1.5, math.nan, True, None, Text("t"), Number(3), date(1, 2, 3), UUID(int=1),
            time(1), EARLY, Plain.ONE, Plain.TEXT, Plain.NOTHING, Int.ONE, Str.A,
            2**64 - 1, 1e16,
        )
    ],
    "same keys": {1: 2, "1": 3, "0": 4},
}  # fmt: skip

REFUSED = {
    "bytes": b"",
    "set": {1},
    "tuple subclass": Pair(1),
    "float subclass": Real(1.5),
    "decimal": Decimal(1),
    "complex": 1j,
    "class": int,
    "dataclass itself": Open,
    "child of a dataclass": Child(1),
    "enum of bytes": Plain.BYTES,
    "enum of another metaclass": Odd.A,
    "int too large": 2**64,
    "int too small": -(2**63) - 1,
    "large int subclass": Number(2**70),
    "surrogate": "a\ud800",
    "surrogate in a key": {"\udfff": 1},
    "surrogate in an attribute": with_extra("\ud800"),
    "int as an attribute": with_extra(3),
    "str subclass as an attribute": with_extra(Text("y")),
    "time with a zone": time(1, tzinfo=UTC),
    "datetime subclass": DateTime(2020, 1, 1),
    "date subclass": Date(2020, 1, 1),
    "uuid subclass": Uuid(int=1),
    "bytes as key": {b"a": 1},
    "tuple as key": {(): 1},
    "frozenset as key": {frozenset(): 1},
    "large key": {2**64: 1},
    "float subclass as key": {Real(1): 1},
    "enum of a tuple as key": {Plain.PAIR: 1},
    "datetime subclass as key": {DateTime(2020, 1, 1): 1},
}


@pytest.mark.parametrize("options", [{}, {"sort_keys": True}, {"indent": True}])
@pytest.mark.parametrize("name", VALUES)
def test_both_backends_write_the_same(name: str, options: dict[str, bool]) -> None:
    for backend in both():
        assert encoded(backend, VALUES[name], **options) == encoded(
            "orjson", VALUES[name], **options
        )


@pytest.mark.parametrize("backend", both())
@pytest.mark.parametrize("name", REFUSED)
def test_both_backends_refuse_the_same(name: str, backend: str) -> None:
    with pytest.raises(json.JSONEncodeError):
        encoded(backend, REFUSED[name])
    with pytest.raises(TypeError):
        encoded(backend, [{"deep": REFUSED[name]}])


def nested(depth: int, leaf: object, wrap: str) -> object:
    makers = {"list": lambda x: [x], "dict": lambda x: {"a": x}, "dataclass": Box}
    for _ in range(depth):
        leaf = makers[wrap](leaf)
    return leaf


@pytest.mark.parametrize("backend", both())
@pytest.mark.parametrize("wrap", ["list", "dict", "dataclass"])
def test_254_levels_are_written_and_no_more(wrap: str, backend: str) -> None:
    assert encoded(backend, nested(254, 1, wrap)) == encoded("orjson", nested(254, 1, wrap))
    assert encoded(backend, nested(254, (), wrap)) == encoded("orjson", nested(254, (), wrap))
    for leaf in ([], {}, [1]):
        assert encoded(backend, nested(253, leaf, wrap))
        with pytest.raises(TypeError, match="Recursion limit"):
            encoded(backend, nested(254, leaf, wrap))
    with pytest.raises(TypeError, match="Recursion limit"):
        encoded(backend, nested(255, 1, wrap))


@pytest.mark.parametrize("backend", both())
def test_what_contains_itself_is_refused(backend: str) -> None:
    endless: list[object] = []
    endless.append({"a": endless})
    with pytest.raises(TypeError, match="Recursion limit"):
        encoded(backend, endless)


def test_the_fallback_needs_no_stack() -> None:
    deep = nested(254, 1, "list")
    text = "[" * 1024 + "]" * 1024

    def at_the_bottom(depth: int) -> tuple[bytes, object]:
        if depth:
            return at_the_bottom(depth - 1)
        return _stdlib.encode(deep, None, False, False), _stdlib.decode(text)

    written, read = at_the_bottom(sys.getrecursionlimit() - 200)
    assert written == b"[" * 254 + b"1" + b"]" * 254
    levels = 0
    while read:
        (read,) = read  # type: ignore[misc]
        levels += 1
    assert levels == 1023


# any document

keys = st.one_of(
    st.text(max_size=5),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.booleans(),
    st.none(),
    st.dates(),
    st.datetimes(),
    times(),
    st.uuids(),
    st.sampled_from([Plain.ONE, Plain.TEXT, Int.ONE, Str.A]),
)
scalars = st.one_of(
    keys,
    st.text(st.characters(codec=None), max_size=20),  # surrogates too
    st.integers(),
    st.floats(width=64),
    st.datetimes(timezones=st.timezones()),
    st.binary(max_size=3),
    st.builds(Thing, st.integers()),
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(keys, inner, max_size=4),
        st.builds(Open, inner),
        st.builds(Slotted, inner),
    ),
    max_leaves=20,
)


@given(documents, st.booleans(), st.booleans(), st.booleans())
def test_any_document_is_written_alike(
    document: object, sort_keys: bool, indent: bool, helped: bool
) -> None:
    options: dict[str, Any] = {"sort_keys": sort_keys, "indent": indent}
    if helped:
        options["default"] = lambda x: getattr(x, "value", None)
    results = [outcome(lambda b=b: encoded(b, document, **options)) for b in both()]
    assert len(set(results)) == 1


@given(st.floats(allow_nan=False))
def test_any_float_is_written_alike_and_comes_back(number: float) -> None:
    written = {encoded(backend, number) for backend in both()}
    assert len(written) == 1
    if math.isfinite(number):
        assert stdlib.loads(written.pop()) == number


# penstock.json itself


def test_dumps_is_the_backend_in_use() -> None:
    assert json.dumps({"b": 1, "a": (2.5, None)}) == b'{"b":1,"a":[2.5,null]}'
    assert json.dumps({"b": 1, "a": 2}, sort_keys=True, indent=True) == b'{\n  "a": 2,\n  "b": 1\n}'
    assert json.dumps(Thing(3), default=value_of) == b"3"
    assert json.dumps_str(["é"]) == '["é"]'
    assert json.dumps_str(Thing(3), default=value_of) == "3"
    assert json.JSONEncodeError is TypeError
