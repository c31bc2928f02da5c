"""Contenders of the rows of cached functions: those of a cache in tiers, and no cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._model import Contender

if TYPE_CHECKING:
    from penstock.bench._model import Backend

__all__ = ["FUNCTIONS"]

# What `cache.cached(f)` makes; the method would import the other backend's for the second copy.
_TIERED: Final = """\
cache = penstock.TieredCache(ttl=3600)
f = penstock.caching.TieredFunction(cache, f, {})
"""


def _ours(backend: Backend) -> Contender:
    suffix = "" if backend == "native" else " (pure)"
    kinds = frozenset({"async", "tool"})
    return Contender(f"penstock TieredCache.cached{suffix}", kinds, _TIERED, backend=backend)


FUNCTIONS: Final[tuple[Contender, ...]] = (
    _ours("native"),
    _ours("pure"),
    Contender("no cache, the file is read", frozenset({"tool"}), ""),
)
