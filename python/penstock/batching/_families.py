"""What metrics show of batchers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["BATCHER_FIELDS"]

BATCHER_FIELDS: Final[tuple[tuple[str, FieldType, str], ...]] = (
    ("submitted", "counter", "Items that were accepted."),
    ("completed", "counter", "Items that were handled."),
    ("failed", "counter", "Items that failed."),
    ("cancelled", "counter", "Items that were cancelled before they were dispatched."),
    ("discarded", "counter", "Items whose result nobody waited for any more."),
    ("dropped", "counter", "Items that were dropped because too many waited."),
    ("rejected", "counter", "Items that were turned away because too many waited."),
    ("timeouts", "counter", "Items that had no result in time."),
    ("pending", "gauge", "Items that wait for a batch."),
    ("waiting", "gauge", "Items that wait beyond the number that may."),
    ("in_flight", "gauge", "Batches that run."),
    ("batches", "counter", "Batches that were dispatched."),
    ("items", "counter", "Items that were dispatched."),
    ("batch_limit", "gauge", "How many items a batch may have now."),
    ("flushes_full", "counter", "Batches dispatched because there were enough items."),
    ("flushes_weight", "counter", "Batches dispatched because the items were heavy enough."),
    ("flushes_linger", "counter", "Batches dispatched because the oldest item had waited."),
    ("flushes_flush", "counter", "Batches dispatched by a flush."),
    ("flushes_close", "counter", "Batches dispatched while closing."),
    ("flushes_idle", "counter", "Batches dispatched at once."),
    ("wait_seconds", "counter", "Time that items waited for their batch."),
    ("run_seconds", "counter", "Time that batches ran."),
)
