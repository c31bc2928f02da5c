"""What metrics show of file writers and file caches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["CACHE_FIELDS", "WRITER_FIELDS"]

Fields = tuple[tuple[str, "FieldType", str], ...]

WRITER_FIELDS: Final[Fields] = (
    ("asked", "counter", "Writes that were asked for."),
    ("written", "counter", "Files that were replaced on the disk."),
    ("merged", "counter", "Writes that a newer one of the same file made needless."),
    ("failed", "counter", "Files that could not be replaced."),
    ("pending", "gauge", "Contents that wait for their window to end, or are being written."),
    ("bytes", "counter", "Bytes that were written."),
    ("write_seconds", "counter", "Time that threads spent replacing files."),
)

CACHE_FIELDS: Final[Fields] = (
    ("hits", "counter", "Gets of a file that was in the cache, and had not changed."),
    ("misses", "counter", "Gets that had to wait for a file to be read."),
    ("reloads", "counter", "Misses because a file had changed."),
    ("loads", "counter", "How often a file was read and parsed."),
    ("failures", "counter", "Loads that raised."),
    ("evictions", "counter", "Files that had to leave for others."),
    ("files", "gauge", "Files in the cache."),
    ("bytes", "gauge", "Their size on the disk."),
    ("max_bytes", "gauge", "How much that may be."),
)
