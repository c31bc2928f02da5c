"""What of the options of a `Recorder` has to go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.flow._checks import check_int

if TYPE_CHECKING:
    from penstock.recording._schema import Schema

__all__ = ["check_partitions", "check_timestamp"]


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
        ValueError: There is no such column, and it decides about the table.
    """
    if not isinstance(timestamp, str):
        raise TypeError(f"timestamp must be a str, got {type(timestamp).__name__}")
    if timestamp in schema.columns:
        return timestamp
    if schema.by_day:
        raise ValueError(f"partition_by='day' needs the column {timestamp!r}, which is no column")
    return None
