"""What a `Recorder` tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["RECORDER_FIELDS", "RecorderStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderStats:
    """
    What a `Recorder` has done so far.

    Args:
        rows: Rows that are in the database.
        failed: Rows that were accepted and are not: they did not fit, or could not be written.
        pending: Rows that wait to be written.
        dropped: Rows that were given up for others, because too many waited.
        rejected: Rows that were not accepted, because too many waited.
        commits: Transactions that wrote rows.
        retries: How often the database was locked for too long, and was tried again.
        partitions_created: Tables of a day that were created.
        partitions_dropped: Tables of a day that were dropped because they were too old.
        queries: Queries that were answered.
        write_seconds: Time spent in transactions, and waiting for them.
    """

    rows: int = 0
    failed: int = 0
    pending: int = 0
    dropped: int = 0
    rejected: int = 0
    commits: int = 0
    retries: int = 0
    partitions_created: int = 0
    partitions_dropped: int = 0
    queries: int = 0
    write_seconds: float = 0.0


RECORDER_FIELDS: Final[tuple[tuple[str, FieldType, str], ...]] = (
    ("rows", "counter", "Rows that were written."),
    ("failed", "counter", "Rows that were accepted and could not be written."),
    ("pending", "gauge", "Rows that wait to be written."),
    ("dropped", "counter", "Rows that were given up because too many waited."),
    ("rejected", "counter", "Rows that were not accepted because too many waited."),
    ("commits", "counter", "Transactions that wrote rows."),
    ("retries", "counter", "How often a locked database was tried again."),
    ("partitions_created", "counter", "Tables of a day that were created."),
    ("partitions_dropped", "counter", "Tables of a day that were dropped because of their age."),
    ("queries", "counter", "Queries that were answered."),
    ("write_seconds", "counter", "Time spent in transactions, and waiting for them."),
)
