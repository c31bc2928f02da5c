"""Which cache a store or an l1 serves: of two, neither would hear what the other changes there."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.stores import Store

__all__ = ["check_free", "leave", "take"]

#: The caches, by the ids of what serves them, which they hold and which may have no hash.
_owners: Final[WeakValueDictionary[int, object]] = WeakValueDictionary()


def check_free(stores: Iterable[Store], l1: object) -> None:
    """
    Refuse what serves another cache, and stores that are closed.

    Raises:
        ValueError: A store is closed; it, or *l1*, serves a cache that is not.
    """
    for store in stores:
        what = f"store {store.name!r}"
        if getattr(store, "closed", False) is True:
            raise ValueError(f"{what} is closed: make a new one")
        _check_one(store, f"{what} serves another cache already: give each one of its own")
    _check_one(l1, "l1 serves another cache already: give each one of its own, or close that")


def take(owner: object, served_by: Iterable[object]) -> None:
    """Let stores and an l1 serve a cache until that is closed, or gone."""
    for each in served_by:
        _owners[id(each)] = owner


def leave(owner: object, served_by: Iterable[object]) -> None:
    """They serve it no more."""
    for each in served_by:
        if _owners.get(id(each)) is owner:
            del _owners[id(each)]


def _check_one(one: object, message: str) -> None:
    if id(one) in _owners:
        gc.collect()  # a cache that nobody has any more is part of cycles
        if id(one) in _owners:
            raise ValueError(message)
