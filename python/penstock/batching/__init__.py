"""Batching: what is small is gathered, and handled together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock._lazy import lazy

if TYPE_CHECKING:
    from penstock.batching._batched import batched
    from penstock.batching._batcher import Batcher
    from penstock.batching._loader import Loader
    from penstock.batching._results import ItemError
    from penstock.batching._stats import BatcherStats, CloseReport

__all__ = ["Batcher", "BatcherStats", "CloseReport", "ItemError", "Loader", "batched"]

# Where each name is; a module is imported when its first name is asked for.
_HOMES = {
    "Batcher": "penstock.batching._batcher",
    "BatcherStats": "penstock.batching._stats",
    "CloseReport": "penstock.batching._stats",
    "ItemError": "penstock.batching._results",
    "Loader": "penstock.batching._loader",
    "batched": "penstock.batching._batched",
}

__getattr__, __dir__ = lazy(__name__, _HOMES)
