"""What metrics show of a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["CACHE_FIELDS"]

CACHE_FIELDS: Final[tuple[tuple[str, FieldType, str], ...]] = (
    ("hits", "counter", "Reads that found a live entry."),
    ("misses", "counter", "Reads that found none."),
    ("loads", "counter", "Loads that returned a value."),
    ("load_failures", "counter", "Loads that raised."),
    ("load_seconds", "counter", "Time spent in loads, failed ones included."),
    ("evictions", "counter", "Entries that left to make room."),
    ("expirations", "counter", "Entries that left because their time was up."),
    ("size", "gauge", "Entries, with those that expired and were not reclaimed yet."),
    ("weight", "gauge", "Sum of the weights of these entries."),
    ("maxsize", "gauge", "Limit of the size, or with a weigher of the weight."),
)
