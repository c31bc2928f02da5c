"""Files: many writes become one atomic replacement, and what was read is kept until it changes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.files._cache import FileCache
    from penstock.files._stats import FileCacheStats, FileWriterStats
    from penstock.files._writer import FileWriter

__all__ = ["FileCache", "FileCacheStats", "FileWriter", "FileWriterStats"]

# Where each name is; who only reads files does not wait for what writes them.
_HOMES = {
    "FileCache": "penstock.files._cache",
    "FileCacheStats": "penstock.files._stats",
    "FileWriter": "penstock.files._writer",
    "FileWriterStats": "penstock.files._stats",
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
