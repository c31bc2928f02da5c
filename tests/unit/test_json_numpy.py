"""JSON of numpy's scalars and arrays: both backends write the same bytes, and refuse the same."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jsons import both, encoded, outcome

np = pytest.importorskip("numpy")

KINDS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "b1")
MOMENTS = (
    "2020-01-01T00:00:00.123456789", "1969-12-31T23:59:59.999999999", "1970", "0001-01-01",
    "9999-12-30T22:00:00", "0000-12-31", "2020-02", "2020-01-01T01",
)  # fmt: skip

VALUES: dict[str, Any] = {
    "scalars": [np.dtype(kind).type(1) for kind in KINDS],
    "limits": [f(np.dtype(k).type) for k in KINDS[:8] for f in (lambda t: np.iinfo(t).max,)],
    "not finite": [np.float64("nan"), np.float32("inf"), np.float16("-inf")],
    "text": np.str_("x"),
    "text as key": {np.str_("x"): 1},
    "moments": [np.datetime64(text) for text in MOMENTS],
    "arrays": [np.array([0, 1, 2]).astype(kind) for kind in KINDS],
    "fractions": [np.array([1.1, 1e4, 1e-4, -0.0, np.nan]).astype(k) for k in ("f2", "f4", "f8")],
    "rows": np.arange(6).reshape(2, 3),
    "short rows": np.arange(6, dtype="f4").reshape(2, 1, 3),
    "empty": [np.array([]), np.zeros((2, 0)), np.zeros((0, 2))],
    "array of moments": np.array(["2020-01-01", "1969-12-31"], dtype="M8[us]"),
}

ASKED: dict[str, Any] = {
    "complex": np.complex64(1),
    "bytes": np.bytes_(b"x"),
    "long": np.longdouble(1),
    "delta": np.timedelta64(1, "s"),
    "array of complex": np.array([1j]),
    "array of text": np.array(["a"]),
    "array of objects": np.array([object()]),
    "array without dimensions": np.array(1),
    "not contiguous": np.arange(10)[::2],
    "columns first": np.arange(6).reshape(2, 3).T,
    "records": np.zeros(2, dtype=[("a", "i4")]),
    "another class": np.array([1]).view(np.recarray),
    "masked": np.ma.array([1, 2], mask=[0, 1]),
}

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
    NO_MOMENT = np.datetime64("NaT")

REFUSED: dict[str, Any] = {
    "no moment": NO_MOMENT,
    "no moment, of a unit": np.datetime64("NaT", "s"),
    "no moment in an array": np.array([1, "NaT"], dtype="M8[s]"),
    "year 20000": np.datetime64("20000-01-01"),
    "year before 0": np.datetime64("-0001-12-31"),
    "the end of time": np.datetime64("9999-12-31T23:59:59.999999"),
    "too fine": np.datetime64(1, "ps"),
    "foreign bytes": np.array([1], dtype=">i4"),
    "int as key": {np.int64(1): 1},
    "float as key": {np.float64(1): 1},
}


@pytest.mark.parametrize("indent", [False, True])
@pytest.mark.parametrize("name", VALUES)
def test_both_backends_write_the_same(name: str, indent: bool) -> None:
    written = {encoded(backend, VALUES[name], indent=indent) for backend in both()}
    assert len(written) == 1


@pytest.mark.parametrize("backend", both())
@pytest.mark.parametrize("name", ASKED)
def test_default_is_asked_about_what_is_not_shown(name: str, backend: str) -> None:
    with pytest.raises(TypeError):
        encoded(backend, ASKED[name])
    assert encoded(backend, [ASKED[name]], default=lambda _: "asked") == b'["asked"]'


@pytest.mark.parametrize("backend", both())
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_shown_but_wrong_is_refused(name: str, backend: str) -> None:
    with pytest.raises(TypeError):
        encoded(backend, REFUSED[name], default=lambda _: "asked")


@given(st.lists(st.floats(width=64), min_size=1, max_size=20), st.sampled_from(["f2", "f4", "f8"]))
def test_any_floats_are_written_alike(numbers: list[float], kind: str) -> None:
    with np.errstate(over="ignore"):
        array = np.array(numbers).astype(kind)
    for value in (array, list(array)):
        assert len({outcome(lambda b=b, v=value: encoded(b, v)) for b in both()}) == 1


def test_a_moment_too_far_to_count_in_microseconds_is_refused() -> None:
    # orjson takes it for another one.
    with pytest.raises(TypeError):
        encoded("stdlib", np.datetime64(2**62, "D"))
