"""What a store in a SQLite file counts, and what it tells of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["SQLITE_STORE_FIELDS", "Counts", "SqliteStoreStats"]


class Counts:
    """The counters of a store; each is changed by plain additions, on its event loop."""

    __slots__ = (
        "bytes", "deletes", "entries", "errors", "evicted", "fills", "hits", "invalidations",
        "misses", "reads", "recovered", "refused", "replayed", "sets", "swept", "timeouts",
        "undecodable", "writes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.reads = self.hits = self.misses = self.undecodable = 0
        self.writes = self.sets = self.fills = self.refused = self.deletes = 0
        self.invalidations = self.replayed = self.evicted = self.swept = 0
        self.errors = self.timeouts = self.recovered = 0
        self.bytes = self.entries = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteStoreStats:
    """
    What a `SqliteStore` has done so far, in this process.

    Args:
        reads: Batches of keys that were read.
        hits: Keys that were there and valid.
        misses: Keys that were not.
        undecodable: Values that could not be read; they count as misses.
        writes: Transactions.
        sets: Records that callers stored.
        fills: Records that loads stored.
        refused: Those that were not, since something newer was there.
        deletes: Keys that were removed.
        invalidations: Tags and patterns that were invalidated.
        replayed: Changes that were made up for.
        evicted: Records that went because the namespace was full.
        swept: Records and marks of deletes that went because their time was over.
        errors: Calls that failed; timeouts are among them.
        timeouts: Calls that waited for the file too long.
        recovered: Files that were moved aside because they were corrupt.
        entries: Records and marks of deletes in the namespace when it was last written.
        bytes: Their size then.
    """

    reads: int
    hits: int
    misses: int
    undecodable: int
    writes: int
    sets: int
    fills: int
    refused: int
    deletes: int
    invalidations: int
    replayed: int
    evicted: int
    swept: int
    errors: int
    timeouts: int
    recovered: int
    entries: int
    bytes: int

    @classmethod
    def of(cls, counts: Counts) -> SqliteStoreStats:
        """Return the figures of now."""
        return cls(**{name: getattr(counts, name) for name in Counts.__slots__})


Fields = tuple[tuple[str, "FieldType", str], ...]

SQLITE_STORE_FIELDS: Final[Fields] = (
    ("reads", "counter", "Batches of keys that were read."),
    ("hits", "counter", "Keys that were there and valid."),
    ("misses", "counter", "Keys that were not."),
    ("undecodable", "counter", "Values that could not be read."),
    ("writes", "counter", "Transactions."),
    ("sets", "counter", "Records that callers stored."),
    ("fills", "counter", "Records that loads stored."),
    ("refused", "counter", "Records of loads that were not stored: something newer was there."),
    ("deletes", "counter", "Keys that were removed."),
    ("invalidations", "counter", "Tags and patterns that were invalidated."),
    ("replayed", "counter", "Changes that were made up for."),
    ("evicted", "counter", "Records that went because the namespace was full."),
    ("swept", "counter", "Records that went because their time was over."),
    ("errors", "counter", "Calls that failed."),
    ("timeouts", "counter", "Calls that waited for the file too long."),
    ("recovered", "counter", "Files that were moved aside because they were corrupt."),
    ("entries", "gauge", "Records in the namespace when it was last written."),
    ("bytes", "gauge", "Their size then."),
)
