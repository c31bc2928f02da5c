"""JSON as bytes: orjson where it is installed, else the standard library with the same results."""

from __future__ import annotations

import os
from json import JSONDecodeError
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["BACKEND", "JSONDecodeError", "JSONEncodeError", "dumps", "dumps_str", "loads"]


def _choose() -> Literal["orjson", "stdlib"]:
    """Return which backend to use; the environment decides, then what is installed."""
    if os.environ.get("PENSTOCK_JSON", "") == "stdlib":
        return "stdlib"
    try:
        import orjson  # noqa: F401  # only whether it is there
    except ImportError:
        return "stdlib"
    return "orjson"


BACKEND: Final = _choose()

if TYPE_CHECKING or BACKEND == "orjson":
    from penstock.json._orjson import decode as _decode
    from penstock.json._orjson import encode as _encode
else:
    from penstock.json._stdlib import decode as _decode
    from penstock.json._stdlib import encode as _encode

#: What cannot be written, by whatever backend.
JSONEncodeError = TypeError


def dumps(
    obj: object,
    *,
    default: Callable[[Any], object] | None = None,
    sort_keys: bool = False,
    indent: bool = False,
) -> bytes:
    """
    Return *obj* as JSON, in UTF-8.

    Args:
        obj: None, bool, int of 64 bits, float (NaN and infinity become null), str, list, tuple,
            dict; datetime, date, time, UUID, Enum (its value), dataclass; scalars and arrays of
            numpy. Keys may be str, int, float, bool, None, datetime, date, time, UUID, Enum.
        default: Is called with what is none of these, and returns something else to write for it.
        sort_keys: Whether the keys of dicts are sorted.
        indent: Whether to write each item on a line of its own, two spaces further in.

    Raises:
        JSONEncodeError: Something cannot be written, or is nested in more than 254 levels: a
            TypeError. What *default* raises is its cause.

    Cost: one pass; any thread.
    """
    return _encode(obj, default, sort_keys, indent)


def dumps_str(
    obj: object,
    *,
    default: Callable[[Any], object] | None = None,
    sort_keys: bool = False,
    indent: bool = False,
) -> str:
    """
    Return *obj* as JSON, as a str; otherwise as `dumps` does.

    Raises:
        JSONEncodeError: As `dumps`.

    Cost: that of `dumps`, and a copy.
    """
    return _encode(obj, default, sort_keys, indent).decode()


def loads(data: str | bytes | bytearray | memoryview) -> Any:
    """
    Return what a JSON document says.

    Args:
        data: The document, in UTF-8 if it is bytes. Strict JSON: no NaN, no comment, no byte order
            mark, no lone surrogate. Of a key that comes twice the last value counts; ints beyond
            64 bits become floats.

    Raises:
        JSONDecodeError: It is no JSON, or nested in more than 1,024 levels: a ValueError. Its text
            is up to the backend.

    Cost: one pass; any thread.
    """
    return _decode(data)
