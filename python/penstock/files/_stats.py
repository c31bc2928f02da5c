"""What file writers and file caches tell of themselves."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FileCacheStats", "FileWriterStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWriterStats:
    """
    What a `FileWriter` has done so far.

    Of all that was asked for, each is exactly one of *written*, *merged*, *failed* and *pending*.

    Args:
        asked: Writes that were accepted.
        written: How often a file was replaced on the disk.
        merged: Writes that a newer one of the same file made needless.
        failed: How often that failed.
        pending: Contents that wait for their window to end, or are being written.
        bytes: How many were written.
        write_seconds: Time that threads spent replacing files.
    """

    asked: int = 0
    written: int = 0
    merged: int = 0
    failed: int = 0
    pending: int = 0
    bytes: int = 0
    write_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCacheStats:
    """
    What a `FileCache` has done so far.

    Args:
        hits: Gets of a file that was in the cache, and had not changed.
        misses: Gets that had to wait for a file to be read, or failed.
        reloads: Of these, because the file had changed.
        loads: How often a file was read and parsed; several gets may share one.
        failures: Loads that raised.
        evictions: Files that had to leave for others.
        files: Files in the cache.
        bytes: Their size on the disk.
        max_bytes: How much that may be.
    """

    hits: int = 0
    misses: int = 0
    reloads: int = 0
    loads: int = 0
    failures: int = 0
    evictions: int = 0
    files: int = 0
    bytes: int = 0
    max_bytes: int = 0

    @property
    def hit_ratio(self) -> float:
        """
        Hits among all gets, 0.0 before the first.
        """
        gets = self.hits + self.misses
        return self.hits / gets if gets else 0.0
