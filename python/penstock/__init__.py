"""Caches and metrics for asyncio services, with a Rust core."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from penstock._backend import BACKEND, build_info

if TYPE_CHECKING:
    from penstock.caching import Cache, CacheStats, cached
    from penstock.errors import PenstockError, RecursiveLoad

__all__ = [
    "BACKEND",
    "Cache",
    "CacheStats",
    "PenstockError",
    "RecursiveLoad",
    "__version__",
    "build_info",
    "cached",
]

__version__ = "0.1.0"

# Where each name is; a module is imported when its first name is asked for.
_HOMES = {
    "Cache": "penstock.caching",
    "CacheStats": "penstock.caching",
    "PenstockError": "penstock.errors",
    "RecursiveLoad": "penstock.errors",
    "cached": "penstock.caching",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'penstock' has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
