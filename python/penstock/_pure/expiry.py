"""Deadlines in the order in which they come due."""

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from penstock._pure.entry import NEVER, Entry

__all__ = ["Deadlines"]

K = TypeVar("K")
V = TypeVar("V")

#: Stale items that are not worth a compaction.
_SLACK = 64


class Deadlines(Generic[K, V]):
    """
    A heap of (deadline, turn) with lazy deletion.

    Turns grow, so that equal deadlines come out in the order of their assignment. An item whose
    turn is not pending any more is stale. Items refer to turns, not to entries: a stale one keeps
    no value alive.

    Cost: O(log n) per assignment; stale items never outnumber the pending ones by more than a few.
    """

    __slots__ = ("_heap", "_turns", "pending")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._turns = count(1)
        self.pending: dict[int, Entry[K, V]] = {}

    def assign(self, entry: Entry[K, V], deadline: int) -> None:
        """Give a live entry its deadline, in place of the one it had."""
        if deadline == NEVER and entry.deadline == NEVER:
            return
        item = (deadline, next(self._turns))
        # Commit: no call in here (see Table).
        if not entry.alive:
            return
        if entry.turn in self.pending:
            del self.pending[entry.turn]
        entry.deadline, entry.turn = item
        if deadline == NEVER:
            return
        self.pending[entry.turn] = entry
        heappush(self._heap, item)
        if len(self._heap) > 2 * len(self.pending) + _SLACK:
            self._compact()

    def due(self, now: int) -> Entry[K, V] | None:
        """The entry that is due first; it stays pending until it is taken out of the table."""
        while self._heap and self._heap[0][0] <= now:
            turn = self._heap[0][1]
            if turn in self.pending:
                return self.pending[turn]
            heappop(self._heap)
        return None

    def _compact(self) -> None:
        """Drop the stale items; what a finalizer assigns meanwhile goes to the other heap."""
        old: list[tuple[int, int]] = []
        old, self._heap = self._heap, old
        fresh = [item for item in old if item[1] in self.pending]
        heapify(fresh)
        fresh, self._heap = self._heap, fresh
        for item in fresh:
            heappush(self._heap, item)
