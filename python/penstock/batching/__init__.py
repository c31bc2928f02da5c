"""Batching: what is small is gathered, and handled together."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
