"""The backend that is orjson, with the options that make it take what users have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from orjson import loads as decode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["decode", "encode"]

_PLAIN: Final = orjson.OPT_SERIALIZE_NUMPY
_ANY_KEYS: Final = orjson.OPT_NON_STR_KEYS
_SORTED: Final = orjson.OPT_SORT_KEYS
_INDENTED: Final = orjson.OPT_INDENT_2


def encode(
    obj: object, default: Callable[[Any], object] | None, sort_keys: bool, indent: bool
) -> bytes:
    """Return *obj* as JSON."""
    option = _PLAIN
    if sort_keys:
        option |= _SORTED
    if indent:
        option |= _INDENTED
    if default is None:
        # Twice as fast where all keys are strings; nobody is asked a second time if they are not.
        try:
            return orjson.dumps(obj, None, option)
        except TypeError:
            pass
    return orjson.dumps(obj, default, option | _ANY_KEYS)
