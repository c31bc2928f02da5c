"""How single values look in JSON: what is digits, and what is text in quotes."""

from __future__ import annotations

from datetime import date, datetime, time
from math import isfinite
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BARE", "QUOTED", "float_text", "int_text"]


def int_text(value: int) -> str:
    """Write an int of any subclass."""
    if not -(2**63) <= value < 2**64:
        raise TypeError("Integer exceeds 64-bit range")
    return int.__repr__(value)


def float_text(value: float) -> str:
    """Write the digits of repr the way that orjson lays them out."""
    if not isfinite(value):
        return "null"
    text = repr(value)
    mantissa, small, exponent = text.partition("e-")
    if not small:
        return text
    if exponent != "05":
        return f"{mantissa}e-{exponent.lstrip('0')}"
    sign = "-" if value < 0 else ""
    return f"{sign}0.0000{mantissa.lstrip('-').replace('.', '')}"


def _datetime(value: datetime) -> str:
    try:
        offset = value.utcoffset()
    except Exception as error:
        raise TypeError("the timezone of a datetime does not know its offset") from error
    text = value.replace(tzinfo=None).isoformat()
    if offset is None:
        # That of a timezone which does not know is shown as UTC.
        return text if value.tzinfo is None else f"{text}+00:00"
    # Seconds are rounded to minutes; 59.5 minutes are sixty.
    seconds = offset.days * 86_400 + offset.seconds
    hours, rest = divmod(abs(seconds), 3_600)
    return f"{text}{'-' if seconds < 0 else '+'}{hours:02}:{(rest + 30) // 60:02}"


def _time(value: time) -> str:
    if value.tzinfo is not None:
        raise TypeError("datetime.time must not have tzinfo set")
    return value.isoformat()


#: By exact type: those that are written as text in quotes, and those that are not.
QUOTED: Final[dict[type, Callable[[Any], str]]] = {
    datetime: _datetime,
    date: date.isoformat,
    time: _time,
    UUID: str,
}
BARE: Final[dict[type, Callable[[Any], str]]] = {
    int: int_text,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    float: float_text,
}
