"""What JSON shows of numpy's scalars and arrays, where somebody has imported numpy."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from penstock.json._texts import BARE

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["items", "reason", "text"]

#: Names of the types of scalars: those that Python has too, and the shorter floats.
_EXACT: Final = frozenset(
    {
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float64", "bool", "bool_"),
    }
)
_SHORT: Final = frozenset({"float16", "float32"})
#: By the letters of numpy: kind and size of what arrays may be of.
_KINDS: Final = frozenset(
    {"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "b1", "M8"}
)
_UNITS: Final = frozenset({"Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"})
#: The last moment, in microseconds, that orjson shows: early enough in every timezone.
_LAST: Final = 253_402_207_200_000_000
_UNSUPPORTED: Final = "unsupported datatype in numpy array"
_NOT_CONTIGUOUS: Final = "numpy array is not C contiguous; use ndarray.tolist() in default"


def _module_of(obj: object) -> ModuleType | None:
    """Return numpy if *obj* is one of its own, without importing it."""
    return sys.modules.get("numpy") if type(obj).__module__ == "numpy" else None


def text(obj: Any) -> str | None:
    """
    Return what is written for a scalar; None for anything else.

    Raises:
        TypeError: It is of a kind that is shown, but this one cannot be.
    """
    numpy = _module_of(obj)
    if numpy is None:
        return None
    name = type(obj).__name__
    if name in _EXACT:
        value = obj.item()
        return BARE[type(value)](value)
    if name in _SHORT:
        return _short(numpy.float32(obj)) if numpy.isfinite(obj) else "null"
    return _moment(numpy, obj) if name == "datetime64" else None


def items(obj: Any) -> list[object] | None:
    """
    Return the items of an array; None for anything else, and for an array that is not shown.

    Raises:
        TypeError: The order of its bytes is not that of this machine.
    """
    numpy = _module_of(obj)
    if numpy is None or type(obj) is not numpy.ndarray or _flaw(obj):
        return None
    exact = obj.ndim == 1 and obj.dtype.name in _EXACT
    # Rows are arrays, and what Python has not stays a scalar.
    return list(obj.tolist() if exact else obj)


def reason(obj: Any) -> str | None:
    """Say what is wrong with an array that is not shown; None if *obj* is no array."""
    numpy = _module_of(obj)
    return _flaw(obj) if numpy is not None and type(obj) is numpy.ndarray else None


def _flaw(array: Any) -> str | None:
    kind = array.dtype.str
    if kind[0] == (">" if sys.byteorder == "little" else "<"):
        raise TypeError("numpy array is not native-endianness")
    if not array.flags.c_contiguous:
        return _NOT_CONTIGUOUS
    if array.ndim == 0 or kind[1:3] not in _KINDS or array.dtype.names is not None:
        return _UNSUPPORTED
    return None


def _short(value: Any) -> str:
    """Write a float of 32 bits with as many digits as tell it from its neighbours."""
    sign, digits, exponent = Decimal(str(value)).normalize().as_tuple()
    minus, shown = "-" if sign else "", "".join(map(str, digits))
    if shown == "0":
        return f"{minus}0.0"
    point = len(shown) + int(exponent)
    if 0 < point <= 13:
        whole = shown[:point].ljust(point, "0")
        return f"{minus}{whole}.{shown[point:] or '0'}"
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{shown}"
    fraction = f".{shown[1:]}" if len(shown) > 1 else ""
    return f"{minus}{shown[0]}{fraction}e{point - 1:+}"


def _moment(numpy: ModuleType, obj: Any) -> str:
    unit, _ = numpy.datetime_data(obj.dtype)
    # By years first: in microseconds a distant one would come around from the other end.
    years = unit in _UNITS and not numpy.isnat(obj) and obj.astype("M8[Y]").astype(int) + 1970
    moment = obj.astype("M8[us]") if years is not False and 0 <= years < 10_000 else None
    if moment is None or moment.astype(int) > _LAST:
        raise TypeError(f"unrepresentable numpy.datetime64: {obj}")
    return f'"{str(moment).removesuffix(".000000")}"'
