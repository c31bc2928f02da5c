"""What kind of function it is that is decorated."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_function", "is_coroutine_function", "name_of"]


def is_coroutine_function(function: Callable[..., object]) -> bool:
    """Whether a call returns something to await; what only says so (`cached`) is included."""
    while isinstance(function, partial):
        function = function.func
    return (
        inspect.iscoroutinefunction(function)
        # asyncio's mark, which Cython's functions have. A Mock has any attribute, but not this one.
        or type(getattr(function, "_is_coroutine", None)) is object
        or inspect.iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004
    )


def check_function(decorator: str, function: object) -> None:
    """
    Refuse what *decorator* cannot wrap.

    Raises:
        TypeError: *function* is not callable, a class, a bare classmethod or staticmethod, or a
            generator function: a call of that runs nothing.
    """
    if isinstance(function, classmethod | staticmethod):
        kind = type(function).__name__
        raise TypeError(f"{decorator} goes below {kind}, next to the function")
    if not callable(function) or isinstance(function, type):
        what = f"the class {function.__name__}" if isinstance(function, type) else None
        raise TypeError(f"{decorator} needs a function, got {what or type(function).__name__}")
    inner: object = function
    while isinstance(inner, partial):
        inner = inner.func
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise TypeError(f"{decorator} cannot wrap the generator function {name_of(function)}")


def name_of(function: object) -> str:
    """How messages call a function: its qualified name, or what it is."""
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__
