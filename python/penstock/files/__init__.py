"""Files: many writes become one atomic replacement, and what was read is kept until it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock._lazy import lazy

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

__getattr__, __dir__ = lazy(__name__, _HOMES)
