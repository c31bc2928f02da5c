"""Functions to put behind a cache."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["Counting", "add", "make"]


def add(a: object = 0, b: object = 0, *rest: object, **more: object) -> tuple[object, ...]:
    """Return what it was called with."""
    return (a, b, rest, more)


def make(backend: ModuleType, func: Callable[..., object] = add, **options: Any) -> Any:
    """Put a function behind a cache, with the attributes of the function."""
    cache = options.pop("cache") if "cache" in options else backend.Cache(99)
    memo = backend.Memo(func, cache, **options)
    return functools.update_wrapper(memo, func)


class Counting:
    """A function that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.calls += 1
        return (self.calls, args, kwargs)
