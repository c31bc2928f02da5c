"""What a `Loader` is told, checked."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, NoReturn, TypeVar

from penstock.errors import ClosedError
from penstock.flow._callables import check_function

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["check_functions", "refuse", "values_in"]

V = TypeVar("V")


def check_functions(load_many: object, key: object) -> None:
    """Accept functions; there may be no *key*."""
    check_function("Loader", load_many)
    if key is not None and not callable(key):
        raise TypeError(f"key must be callable, got {type(key).__name__}")


def values_in(cache: bool | MutableMapping[Hashable, V]) -> MutableMapping[Hashable, V] | None:
    """Return where values are kept, None for nowhere."""
    if isinstance(cache, bool):
        return {} if cache else None
    if not isinstance(cache, MutableMapping):
        got = type(cache).__name__
        raise TypeError(f"cache must be a bool or a mutable mapping, got {got}")
    return cache


def refuse() -> NoReturn:
    """Say that it is too late."""
    raise ClosedError("the Loader is closed")
