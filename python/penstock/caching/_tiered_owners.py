"""Which cache a store serves: of two, neither would hear what the other one changes there."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.caching._tier import Tier
    from penstock.stores import Store

__all__ = ["check_free", "take"]

#: The tiers that stores are, by the ids of these, which may have no hash.
_tiers: Final[WeakValueDictionary[int, Tier]] = WeakValueDictionary()


def check_free(stores: Iterable[Store]) -> None:
    """
    Refuse what serves another cache.

    Raises:
        ValueError: A store does, and that cache was not closed.
    """
    for store in stores:
        if _is_taken(store):
            gc.collect()  # a cache that nobody has any more is part of cycles
            if _is_taken(store):
                what = f"store {store.name!r} serves another cache already"
                raise ValueError(f"{what}: give each one of its own, or close that cache before")


def take(tiers: Iterable[Tier]) -> None:
    """Let stores serve a cache until it is closed, or gone."""
    for tier in tiers:
        _tiers[id(tier.store)] = tier


def _is_taken(store: Store) -> bool:
    tier = _tiers.get(id(store))
    return tier is not None and not tier.closed
