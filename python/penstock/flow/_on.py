"""Which exceptions count: types of them, or what a function of the caller says."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from penstock.flow._callables import is_coroutine_function

if TYPE_CHECKING:
    from collections.abc import Callable

    Types: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
    On: TypeAlias = Types | Callable[[Exception], object]

__all__ = ["check_on", "matches"]


def check_on(on: On) -> On:
    """Accept a type of exceptions, a tuple of them, or a predicate."""
    for one in on if isinstance(on, tuple) else (on,):
        if isinstance(one, type):
            if not issubclass(one, BaseException):
                raise TypeError(
                    f"on must be types of exceptions or a predicate, got {one.__name__}"
                )
        elif isinstance(on, tuple) or not callable(one):
            kind = type(one).__name__
            raise TypeError(f"on must be types of exceptions or a predicate, got {kind}")
        elif is_coroutine_function(one):
            raise TypeError("on must be a plain function, got a coroutine function")
    return on


def matches(on: On, error: Exception) -> bool:
    """Whether *error* counts; what a predicate raises is passed on."""
    if isinstance(on, type | tuple):
        return isinstance(error, on)
    return bool(on(error))
