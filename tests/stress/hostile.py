"""Keys and values that do something of their own when a cache compares, hashes or drops them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock import Cache

    Operation = Callable[[Cache[object, object], object], object]

__all__ = [
    "OPERATIONS",
    "READS",
    "WHOLE",
    "WRITES",
    "Key",
    "Oops",
    "Value",
    "error_of",
    "nothing",
    "quietly",
]


class Oops(Exception):
    """What the hostile raise."""


def error_of(call: Callable[[], object]) -> BaseException | None:
    """Return what a call raises, if it does."""
    try:
        call()
    except BaseException as error:
        return error.with_traceback(None)
    return None


def nothing() -> None:
    """Do nothing."""


class Key:
    """A key that has the hash of every other one; its hooks can be set at any time."""

    __slots__ = ("__weakref__", "name", "on_eq", "on_hash")

    def __init__(
        self,
        name: object = "key",
        on_eq: Callable[[], object] = nothing,
        on_hash: Callable[[], object] = nothing,
    ) -> None:
        self.name = name
        self.on_eq = on_eq
        self.on_hash = on_hash

    def __eq__(self, other: object) -> bool:
        self.on_eq()
        return isinstance(other, Key) and self.name == other.name

    def __hash__(self) -> int:
        self.on_hash()
        return 7

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


class Value:
    """A value that does something when it dies."""

    __slots__ = ("__weakref__", "on_del")

    def __init__(self, on_del: Callable[[], object] = nothing) -> None:
        self.on_del = on_del

    def __del__(self) -> None:
        self.on_del()


#: Operations that find a key without changing what is there.
READS: dict[str, Operation] = {
    "get": lambda cache, key: cache.get(key),
    "getitem": lambda cache, key: cache[key],
    "contains": lambda cache, key: key in cache,
    "peek": lambda cache, key: cache.peek(key),
    "get_many": lambda cache, key: cache.get_many([key]),
    "ttl_of": lambda cache, key: cache.ttl_of(key),
    "touch": lambda cache, key: cache.touch(key),
}

#: Operations that find a key and change what is there.
WRITES: dict[str, Operation] = {
    "set": lambda cache, key: cache.set(key, "new"),
    "set with a ttl": lambda cache, key: cache.set(key, "new", ttl=60),
    "setitem": lambda cache, key: cache.__setitem__(key, "new"),
    "setdefault": lambda cache, key: cache.setdefault(key, "new"),
    "update": lambda cache, key: cache.update([(key, "new")]),
    "set_many": lambda cache, key: cache.set_many([(key, "new")]),
    "get_or_load": lambda cache, key: cache.get_or_load(key, lambda _: "new"),
    "pop": lambda cache, key: cache.pop(key),
    "pop with a default": lambda cache, key: cache.pop(key, None),
    "delitem": lambda cache, key: cache.__delitem__(key),
    "_invalidate": lambda cache, key: cache._invalidate(key),
}

#: Every operation on one key.
OPERATIONS = READS | WRITES

#: Operations on the whole cache; the key is not looked at.
WHOLE: dict[str, Operation] = {
    "len": lambda cache, _: len(cache),
    "list": lambda cache, _: list(cache),
    "items": lambda cache, _: list(cache.items()),
    "clear": lambda cache, _: cache.clear(),
    "expire": lambda cache, _: cache.expire(),
    "popitem": lambda cache, _: cache.popitem(),
    "resize": lambda cache, _: cache.resize(4),
    "stats": lambda cache, _: cache.stats(),
    "reset_stats": lambda cache, _: cache.reset_stats(),
    "repr": lambda cache, _: repr(cache),
}


def quietly(operation: Operation, cache: Cache[object, object], key: object) -> None:
    """Run an operation for which an absent key is no problem."""
    with contextlib.suppress(KeyError):
        operation(cache, key)
