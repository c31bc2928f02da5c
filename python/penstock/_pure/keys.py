"""Cache keys of calls, by the rules of functools.lru_cache."""

from collections.abc import Mapping
from typing import Final

__all__ = ["make_key"]

#: Separates positional from keyword arguments: f(1, "a", 2) is not f(1, a=2).
_MARK: Final = object()


def make_key(args: tuple[object, ...], kwargs: Mapping[str, object], *, typed: bool) -> object:
    """
    Build the key of a call.

    A single positional ``int`` or ``str`` is the key itself: it is never equal to a tuple, and
    both types hash fast.
    """
    key = args
    if kwargs:
        key += (_MARK,)
        for item in kwargs.items():
            key += item
    if typed:
        key += tuple(type(value) for value in args)
        key += tuple(type(value) for value in kwargs.values())
    elif len(key) == 1 and type(key[0]) in (int, str):
        return key[0]
    return key
