"""What a `Batcher` has done so far."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from penstock._backend import Ring

__all__ = ["BatcherStats", "CloseReport", "Reason", "Tally"]

#: Why a batch was dispatched.
Reason = Literal["full", "weight", "linger", "flush", "close", "idle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatcherStats:
    """
    What a `Batcher` has done so far.

    When nothing is pending and no batch runs, *submitted* is the sum of *completed*, *failed*,
    *cancelled*, *discarded*, *dropped* and *timeouts*: each item came to exactly one end.

    Args:
        submitted: Items that were accepted, with those that were dropped for others.
        completed: Items that have a result, or that were put without waiting for one and handled.
        failed: Items that have an error: their own, that of their batch, or `ClosedError`.
        cancelled: Items that nobody waited for any more before they were dispatched.
        discarded: Items that nobody waited for any more when their batch was done.
        dropped: Items that were dropped because too many waited.
        rejected: Items that were turned away because too many waited.
        timeouts: Items that had no result in time.
        pending: Items that wait for a batch, with those cancelled ones that nobody has met yet.
        waiting: How many of them are beyond *max_pending*.
        in_flight: Batches that run.
        batches: Batches that were dispatched.
        items: Items that were dispatched.
        batch_limit: How many items a batch may have now.
        flushes_full: Batches that were dispatched because there were enough items.
        flushes_weight: Because these were heavy enough.
        flushes_linger: Because the oldest item had waited for long enough.
        flushes_flush: Because of ``flush()``.
        flushes_close: Because of ``aclose()``.
        flushes_idle: At once, without a linger.
        wait_seconds: Time between acceptance and dispatch, of all items that were dispatched.
        run_seconds: Time that batches ran.
    """

    submitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    discarded: int = 0
    dropped: int = 0
    rejected: int = 0
    timeouts: int = 0
    pending: int = 0
    waiting: int = 0
    in_flight: int = 0
    batches: int = 0
    items: int = 0
    batch_limit: int = 0
    flushes_full: int = 0
    flushes_weight: int = 0
    flushes_linger: int = 0
    flushes_flush: int = 0
    flushes_close: int = 0
    flushes_idle: int = 0
    wait_seconds: float = 0.0
    run_seconds: float = 0.0


class CloseReport(NamedTuple):
    """
    What became of the items that were there when ``aclose()`` was called.

    Attributes:
        completed: How many have a result, or were handled.
        failed: How many have an error of the handler's.
        abandoned: How many were given up, because they were not to be waited for or for too long:
            whoever waits for them gets a `ClosedError`.
    """

    completed: int
    failed: int
    abandoned: int


class Tally:
    """Counts as a batcher goes on; in the thread of its event loop, if not said otherwise."""

    __slots__ = (
        "_cancelled", "batches", "completed", "discarded", "dropped", "expired", "failed",
        "flushes", "items", "lock", "pushed_again", "refused", "rejected", "run_seconds",
        "wait_seconds", "withdrawn",
    )  # fmt: skip

    def __init__(self) -> None:
        self.completed = 0
        self.failed = 0
        self.discarded = 0
        #: Items whose time was over: while they were waiting, and while their batch was running.
        self.expired = [0, 0]
        #: Cancelled after they were taken, or with their event loop.
        self.withdrawn = 0
        #: Put back for another event loop.
        self.pushed_again = 0
        self.batches = 0
        self.items = 0
        self.flushes: dict[Reason, int] = dict.fromkeys(
            ("full", "weight", "linger", "flush", "close", "idle"), 0
        )
        self.wait_seconds = 0.0
        self.run_seconds = 0.0
        # Those below are counted in any thread, under a lock that a finalizer may find held by
        # what it interrupts.
        self.lock = threading.RLock()
        self.dropped = 0
        self.rejected = 0
        #: Dropped without having been in the queue.
        self.refused = 0
        self._cancelled = 0

    def snapshot(
        self, ring: Ring, running: int, limit: int, max_pending: int | None
    ) -> BatcherStats:
        """Return the figures of now."""
        pushed, _, skipped = ring._counts()
        pending = ring.pending
        # What ran out of time and was not met yet is missing among the skipped: the figure waits
        # for it, since it may not fall.
        cancelled = max(self._cancelled, skipped - self.expired[0] + self.withdrawn)
        self._cancelled = cancelled
        return BatcherStats(
            submitted=pushed - self.pushed_again + self.refused,
            completed=self.completed,
            failed=self.failed,
            cancelled=cancelled,
            discarded=self.discarded,
            dropped=self.dropped,
            rejected=self.rejected,
            timeouts=sum(self.expired),
            pending=pending,
            waiting=0 if max_pending is None else max(0, pending - max_pending),
            in_flight=running,
            batches=self.batches,
            items=self.items,
            batch_limit=limit,
            **{f"flushes_{reason}": count for reason, count in self.flushes.items()},
            wait_seconds=self.wait_seconds,
            run_seconds=self.run_seconds,
        )
