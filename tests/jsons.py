"""What tests of JSON share: both backends side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import json
from penstock.json import _orjson, _stdlib

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Thing", "both", "decoded", "dumped", "encoded", "outcome", "value_of"]

_BACKENDS = {"orjson": _orjson, "stdlib": _stdlib}


class Thing:
    """Something that JSON does not know."""

    def __init__(self, value: object = None) -> None:
        self.value = value


def value_of(thing: Thing) -> object:
    """What to write for it."""
    return thing.value


def both() -> list[str]:
    """The names of the backends."""
    return list(_BACKENDS)


def encoded(
    backend: str,
    obj: object,
    *,
    default: Callable[[Any], object] | None = None,
    sort_keys: bool = False,
    indent: bool = False,
) -> bytes:
    """What a backend writes."""
    return _BACKENDS[backend].encode(obj, default, sort_keys, indent)


def decoded(backend: str, data: Any) -> Any:
    """What a backend reads."""
    return _BACKENDS[backend].decode(data)


def dumped(obj: object) -> bytes:
    """What the backend in use writes."""
    return json.dumps(obj)


def outcome(call: Callable[[], object]) -> str:
    """What a call returned, or which builtin error it raised; the text of errors is left out."""
    try:
        return repr(call())
    except (ValueError, TypeError) as error:
        kinds = [json.JSONDecodeError, TypeError, ValueError]
        return next(kind.__name__ for kind in kinds if isinstance(error, kind))
