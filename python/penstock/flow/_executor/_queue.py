"""What is to be done by the workers of an executor, and what of it comes first."""

from __future__ import annotations

from _thread import RLock
from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.flow._executor._check import Check
    from penstock.flow._executor._job import Job
    from penstock.flow._executor._worker import Worker

__all__ = ["Queue"]

Heap = list[tuple[int, int, "Job"]]


class Queue:
    """
    The tasks that no worker has taken yet.

    Those that a worker has submitted are in its own queue, all others in a common one, except for
    those with a priority. A claimed task may be left in here: whoever takes it out sees that.

    Each operation on a deque is one step. The lock of the heaps is a reentrant one, and no code of
    a user runs while it is held but that of finalizers.
    """

    __slots__ = ("_lock", "_numbers", "checks", "common", "later", "urgent")

    def __init__(self) -> None:
        self.common: deque[Job] = deque()
        #: Results that are to be checked.
        self.checks: deque[Check] = deque()
        #: Heaps of the tasks that are to be run before all others, and after.
        self.urgent: Heap = []
        self.later: Heap = []
        self._numbers = count()
        self._lock = RLock()

    def put(self, job: Job, priority: int) -> None:
        """Add a task with a priority other than 0."""
        entry = (priority, next(self._numbers), job)
        with self._lock:
            heappush(self.urgent if priority < 0 else self.later, entry)

    def is_empty(self, workers: list[Worker]) -> bool:
        """Return whether there is nothing for anybody."""
        if self.common or self.urgent or self.later or self.checks:
            return False
        return not any(worker.own for worker in workers)

    def find(self, worker: Worker, workers: list[Worker]) -> Job | Check | None:
        """Return what a worker is to do next, None if there is nothing."""
        if self.urgent and (job := self._pop(self.urgent)) is not None:
            return job
        if self.checks:
            # One task, one check: results do not pile up, and tasks do not wait for them.
            if worker.is_check_next:
                worker.is_check_next = False
                try:
                    return self.checks.popleft()
                except IndexError:
                    pass
            worker.is_check_next = True
        own, common = worker.own, self.common
        while own or common:
            try:
                return own.popleft() if own else common.popleft()
            except IndexError:  # somebody was faster
                pass
        for other in workers:
            if other.own and (job := self._steal(worker, other)) is not None:
                return job
        return self._find_last() if self.checks or self.later else None

    def _steal(self, worker: Worker, other: Worker) -> Job | None:
        """Take the oldest task out of the queue of another worker."""
        try:
            job = other.own.popleft()
        except IndexError:
            return None
        worker.stolen += 1
        return job

    def _find_last(self) -> Job | Check | None:
        try:
            return self.checks.popleft()
        except IndexError:
            return self._pop(self.later)

    def _pop(self, heap: Heap) -> Job | None:
        with self._lock:
            return heappop(heap)[2] if heap else None
