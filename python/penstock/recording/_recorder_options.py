"""What of the options of a `Recorder` has to go together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from penstock.flow._checks import check_int
from penstock.recording._names import is_text

if TYPE_CHECKING:
    from penstock.pools import SqlitePool
    from penstock.recording._schema import Schema

__all__ = ["check_partitions", "check_pool", "check_timestamp"]

#: The weakest first.
_SYNCHRONOUS: Final = ("OFF", "NORMAL", "FULL", "EXTRA")


def check_partitions(partition_by: object, retention: object) -> bool:
    """
    Return whether each day has a table of its own.

    Raises:
        TypeError: *retention* is no int.
        ValueError: An argument is out of its range, or there are no days to keep.
    """
    if partition_by not in (None, "day"):
        raise ValueError(f"partition_by must be None or 'day', got {partition_by!r}")
    if retention is not None:
        check_int("retention", retention, 1)
        if partition_by is None:
            raise ValueError("retention needs partition_by='day'")
    return partition_by is not None


def check_timestamp(timestamp: object, schema: Schema) -> str | None:
    """
    Return the column of the time; None if the table has none, and needs none.

    Raises:
        TypeError: *timestamp* is no str.
        ValueError: There is no such column, and it decides about the table; or it is one of texts,
            which are in the order of their letters.
    """
    if not isinstance(timestamp, str):
        raise TypeError(f"timestamp must be a str, got {type(timestamp).__name__}")
    declared = schema.columns.get(timestamp)
    if declared is not None:
        if is_text(declared):
            raise ValueError(
                f"timestamp must name a column of numbers, {timestamp!r} is {declared}"
            )
        return timestamp
    if schema.by_day:
        raise ValueError(f"partition_by='day' needs the column {timestamp!r}, which is no column")
    return None


def check_pool(pool: SqlitePool, path: str | os.PathLike[str], synchronous: str) -> SqlitePool:
    """
    Accept a pool that somebody else has made.

    Raises:
        TypeError: *synchronous* is no str.
        ValueError: It is that of another database, or keeps less than is asked for.
    """
    if os.path.abspath(path) != pool.path:
        raise ValueError(f"path must be that of the pool, {pool.path!r}, got {os.fspath(path)!r}")
    if not isinstance(synchronous, str):
        raise TypeError(f"synchronous must be a str, got {type(synchronous).__name__}")
    if synchronous.upper() not in _SYNCHRONOUS:
        known = ", ".join(_SYNCHRONOUS)
        raise ValueError(f"synchronous must be one of {known}, got {synchronous!r}")
    kept = pool._store.options.synchronous
    if _SYNCHRONOUS.index(kept) < _SYNCHRONOUS.index(synchronous.upper()):
        raise ValueError(f"the pool is only synchronous={kept!r}, got {synchronous!r}")
    return pool
